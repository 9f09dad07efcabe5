"""Putting the new text where the old one was found, keeping what of the file was not meant to change."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from app.agent.editing.match import Match
from app.workspace.files.text import prevailing_line_ending

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_ENDING = re.compile(r"(?:\r\n|\r|\n)\Z")


def split_lines(text: str) -> list[str]:
    """Lines with their endings, divided at "\\n", "\\r\\n" and "\\r" only (str.splitlines knows many more)."""
    return _LINE.findall(text)


def replacement_at(text: str, place: Match) -> str:
    """What comes in place of text[place.start:place.end].

    Where the quotation was read leniently, the model's spelling of what it did not change is a mistake too: so
    unchanged lines stay as the file has them, and so do the unchanged ends of a changed line.
    """
    found = text[place.start : place.end]
    if found == place.old:
        return place.new
    old, new, real = (part.split("\n") for part in (place.old, place.new, found))
    if len(old) != len(real):
        return place.new
    spelling = _spelling(old, real)
    # A line that was quoted with spaces behind it is written with them elsewhere by the same mistake.
    bare = {
        line: is_there for line, is_there in zip(old, real, strict=True) if line.rstrip() == is_there != line
    }
    result: list[str] = []
    for same, a, b, c, d in _blocks(*(_keys(lines, place) for lines in (old, new))):
        if same:
            result += real[a:b]
        elif b - a == d - c:
            result += [
                bare[line] if (line := new[c + i]) in bare else _line(old[a + i], line, real[a + i], spelling)
                for i in range(b - a)
            ]
        else:
            result += [bare.get(line, line).translate(spelling) for line in new[c:d]]
    return "\n".join(result)


def _keys(lines: list[str], place: Match) -> list[str]:
    """The lines as they are compared: where the quotation erred in trailing space, without it."""
    return [line.rstrip() for line in lines] if place.rung in ("trailing space", "indentation") else lines


def _blocks(old: list[str], new: list[str]) -> list[tuple[bool, int, int, int, int]]:
    """How `old` becomes `new`: (same, a, b, c, d) for old[a:b] and new[c:d].

    What both begin and end with is never taken for something else in between.
    """
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    middle = SequenceMatcher(None, old[head : len(old) - tail], new[head : len(new) - tail], autojunk=False)
    return [
        (True, 0, head, 0, head),
        *((tag == "equal", a + head, b + head, c + head, d + head) for tag, a, b, c, d in middle.get_opcodes()),
        (True, len(old) - tail, len(old), len(new) - tail, len(new)),
    ]


def _spelling(old: Sequence[str], real: Sequence[str]) -> dict[int, str]:
    """Typographic characters that the model wrote where the file has a plain one, each with that plain one."""
    table: dict[int, str] = {}
    for quoted, line in zip(old, real, strict=True):
        if len(quoted.rstrip()) == len(line.rstrip()):
            for written, is_there in zip(quoted, line, strict=False):
                if written != is_there and not written.isascii() and is_there.isascii():
                    table[ord(written)] = is_there
    return table


def _line(old: str, new: str, real: str, spelling: dict[int, str]) -> str:
    before, after, kept = old.rstrip(), new.rstrip(), real.rstrip()
    if len(before) != len(kept):
        return new.translate(spelling)
    head = _common(before, after)
    tail = _common(before[head:][::-1], after[head:][::-1])
    end = len(after) - tail
    return kept[:head] + after[head:end].translate(spelling) + kept[len(kept) - tail :] + new[len(after) :]


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many items both begin with."""
    return next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _ending(line: str) -> str:
    found = _ENDING.search(line)
    return found[0] if found else ""


def with_line_endings(before: str, after: str) -> str:
    """`after`, whose lines end in "\\n", with the line endings of `before`.

    Each line that both have keeps its own ending, one that replaces another takes that one's, and new lines get
    the one that prevails.
    """
    if "\r" not in before:
        return after
    ending = prevailing_line_ending(before)
    real = split_lines(before)
    old = [_ENDING.sub("\n", line) for line in real]
    new = split_lines(after)
    if ending == "\r" and "\n" in before:
        ending = "\n"  # a lone "\r" before a blank line that ends in "\n" would read as one ending
    result: list[str] = []
    for same, a, b, c, d in _blocks(old, new):
        if same:
            result += real[a:b]
            continue
        is_one_to_one = b - a == d - c
        endings = [_ending(line) or ending for line in real[a:b]] if is_one_to_one else [ending] * (d - c)
        result += [_ENDING.sub(mark, line) for line, mark in zip(new[c:d], endings, strict=True)]
    return "".join(result)
