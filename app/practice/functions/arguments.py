"""Arguments for the calls in tests: what `{name}` and `{name detail}` in a template's calls stand for."""

import re
from collections.abc import Callable
from typing import Any

from app.practice.draw import Draw
from app.practice.functions.words import NAMES, WORDS

_PLACE = re.compile(r"\{(=?)([a-z]\w*)((?: [^{}]+)?)\}")


def _integers(draw: Draw, low: int, high: int, count: int = 0) -> list[int]:
    return [draw.integer(low, high) for _ in range(count or draw.integer(3, 5))]


def _words(draw: Draw, count: int = 0) -> list[str]:
    return draw.sample(WORDS, count or draw.integer(2, 4))


def _near(draw: Draw, detail: str) -> int:
    return int(detail) + draw.choice((-1, 0, 0, 1, 1, -2, 3, 6))


def _member(draw: Draw, before: list[Any]) -> Any:
    held = list(before[-1])
    return draw.choice(held)


def _absent_or_member(draw: Draw, before: list[Any]) -> Any:
    held = list(before[-1])
    return draw.choice([*held, "nothing" if held and isinstance(held[0], str) else 99])


def _records(draw: Draw, detail: str) -> list[dict[str, Any]]:
    """Rows with these keys. `key:word`, `key:flag`, `key:near-7` and `key:a/b` are not small numbers."""
    rows = []
    for _ in range(draw.integer(2, 3)):
        row: dict[str, Any] = {}
        for part in detail.split():
            key, _, kind = part.partition(":")
            if kind == "word":
                row[key] = draw.choice(WORDS)
            elif kind == "flag":
                row[key] = draw.chance(0.6)
            elif kind.startswith("near"):
                row[key] = _near(draw, kind[5:])
            elif kind:
                row[key] = draw.choice(kind.split("/"))
            else:
                row[key] = draw.integer(1, 12)
        rows.append(row)
    return rows


def _text_of_lengths(draw: Draw, detail: str) -> str:
    return " ".join("abcdefghijklmnop"[: max(1, int(detail) + step)] for step in draw.sample((-1, 0, 1, 2), 3))


_MAKERS: dict[str, Callable[[Draw, str, list[Any]], Any]] = {
    "ints": lambda draw, _d, _b: _integers(draw, -9, 20),
    "positive": lambda draw, _d, _b: _integers(draw, 1, 20),
    "few": lambda draw, _d, _b: _integers(draw, 1, 3, 5),
    "signed": lambda draw, _d, _b: [*_integers(draw, -5, 5, 3), draw.choice((0, 3, -2))],
    "distinct": lambda draw, d, _b: draw.sample(range(1, 30), int(d or 4)),
    "sorted": lambda draw, _d, _b: sorted(draw.sample(range(1, 30), 5)),
    "maybe_empty": lambda draw, _d, _b: draw.choice(([], _integers(draw, 1, 20), _integers(draw, -9, 20))),
    "pairs": lambda draw, _d, _b: [(draw.choice(WORDS), draw.integer(1, 9)) for _ in range(3)],
    "grid": lambda draw, _d, _b: [_integers(draw, 1, 9, 2) for _ in range(draw.integer(2, 3))],
    "square": lambda draw, _d, _b: [_integers(draw, 1, 9, 3) for _ in range(3)],
    "lists": lambda draw, _d, _b: [_integers(draw, 1, 9, draw.integer(1, 3)) for _ in range(3)],
    "around": lambda draw, d, _b: [_near(draw, d) for _ in range(4)],
    "multiples": lambda draw, d, _b: [int(d) * 2, int(d) * 2 + 1, int(d), draw.integer(1, 30)],
    "of": lambda draw, d, _b: _integers(draw, 1, 20, int(d)),
    "int": lambda draw, d, _b: draw.integer(*map(int, d.split())) if d else draw.integer(-9, 20),
    "near": lambda draw, d, _b: _near(draw, d),
    "one": lambda draw, d, _b: draw.choice([int(part) for part in d.split()]),
    "float": lambda draw, _d, _b: draw.integer(10, 999) / 10,
    "word": lambda draw, _d, _b: draw.choice(WORDS),
    "title": lambda draw, _d, _b: draw.choice(WORDS).title(),
    "name": lambda draw, _d, _b: draw.choice(NAMES),
    "names": lambda draw, _d, _b: draw.sample(NAMES, draw.integer(2, 4)),
    "words": lambda draw, d, _b: _words(draw, int(d or 0)),
    "repeated": lambda draw, _d, _b: [draw.choice(WORDS[:3]) for _ in range(5)],
    "sentence": lambda draw, _d, _b: " ".join(_words(draw)),
    "lengths": lambda draw, d, _b: _text_of_lengths(draw, d),
    "text": lambda draw, d, _b: draw.choice(d.split("/")),
    "letter": lambda draw, _d, before: draw.choice(before[-1]),
    "member": lambda draw, _d, before: _member(draw, before),
    "maybe": lambda draw, _d, before: _absent_or_member(draw, before),
    "counts": lambda draw, _d, _b: {word: draw.integer(1, 9) for word in _words(draw, 3)},
    "ages": lambda draw, _d, _b: {name: draw.integer(5, 80) for name in draw.sample(NAMES, 3)},
    "records": lambda draw, d, _b: _records(draw, d),
    "record": lambda draw, d, _b: _records(draw, d)[0],
}


def filled(call: str, draw: Draw) -> str:
    """`call` with every place in it replaced by a value drawn for it, as Python writes it;
    `{=name}` stands for the bare text, for use inside of quotes."""
    before: list[Any] = []

    def value(match: re.Match[str]) -> str:
        before.append(_MAKERS[match[2]](draw, match[3].strip(), before))
        return str(before[-1]) if match[1] else repr(before[-1])

    return _PLACE.sub(value, call)
