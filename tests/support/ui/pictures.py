"""Pictures of the screen as text: what stands in every cell, and in which colours by each of several themes.

A file has two lines for each row: how often it is repeated with its text, and its style runs. A run is
a letter and a number of cells; the letters' colours, one for each theme, stand below:

    3 |│ one      │
       a1b4c7a1
    a #5fb3d9/#0f141a  #0a5a82/#fbfbf9  #ffd700/#000000
"""

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.cells import cell_len
from rich.style import Style
from textual.app import App

Cell = tuple[str, str]
"""What stands there ("" in the second half of a wide character), and how it looks."""
Picture = tuple[tuple[Cell, ...], ...]

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ROW = re.compile(r"^ *(\d+) \|(.*)\|$")
_RUN = re.compile(r"([a-zA-Z]'*)(\d+)")
_MARKS = ("bold", "dim", "italic", "underline", "reverse", "strike")


def _look(style: Style | None) -> str:
    if style is None:
        return "-"
    colours = [
        "-" if colour is None else colour.triplet.hex if colour.triplet is not None else colour.name
        for colour in (style.color, style.bgcolor)
    ]
    return "/".join(colours) + "".join(f"+{mark}" for mark in _MARKS if getattr(style, mark))


def picture_of(app: App[object]) -> Picture:
    """What the screen of `app` shows now."""
    rows = []
    for strip in app.screen._compositor.render_strips():
        row: list[Cell] = []
        for segment in strip:
            look = _look(segment.style)
            for character in segment.text:
                row.append((character, look))
                if _is_wide(character):
                    row.append(("", look))
        rows.append(tuple(row))
    return tuple(rows)


def _is_wide(character: str) -> bool:
    return cell_len(character) == 2


def text_of(picture: Picture) -> str:
    """The characters alone."""
    return "\n".join("".join(character for character, _ in row) for row in picture)


def write(pictures: Sequence[Picture], themes: Iterable[str]) -> str:
    """The file of one screen's `pictures`, one in each theme, which differ in nothing but colours."""
    texts = {text_of(picture) for picture in pictures}
    assert len(texts) == 1, "the themes show different text:\n" + "\n\n".join(texts)
    names: dict[tuple[str, ...], str] = {}
    blocks: list[tuple[str, str]] = []
    for rows in zip(*pictures, strict=True):
        looks = list(zip(*([look for _, look in row] for row in rows), strict=True))
        runs = ""
        for look, group in groupby(looks):
            number = len(names)
            name = names.setdefault(look, _LETTERS[number % 52] + "'" * (number // 52))
            runs += f"{name}{len(list(group))}"
        blocks.append(("".join(character for character, _ in rows[0]), runs))
    lines = [f"themes: {' '.join(themes)}"]
    for (text, runs), group in groupby(blocks):
        lines += [f"{len(list(group)):>2} |{text}|", f"    {runs}"]
    lines += [f"{name} {'  '.join(look)}" for look, name in names.items()]
    return "\n".join(lines) + "\n"


def read(file: str) -> tuple[Picture, ...]:
    """The pictures that `write` wrote."""
    lines = file.splitlines()[1:]
    count = 2 * sum(_ROW.match(line) is not None for line in lines)
    looks = {name: tuple(look.split("  ")) for name, _, look in (line.partition(" ") for line in lines[count:])}
    pictures: list[list[tuple[Cell, ...]]] = [[] for _ in next(iter(looks.values()))]
    for head, runs in zip(lines[:count:2], lines[1:count:2], strict=True):
        found = _ROW.match(head)
        assert found is not None, head
        characters: list[str] = []
        for character in found[2]:
            characters += [character, ""] if _is_wide(character) else [character]
        names = [name for name, length in _RUN.findall(runs) for _ in range(int(length))]
        for theme, picture in enumerate(pictures):
            cells = zip(characters, (looks[name][theme] for name in names), strict=True)
            picture.extend([tuple(cells)] * int(found[1]))
    return tuple(tuple(picture) for picture in pictures)


def difference(wanted: Picture, seen: Picture) -> str:
    """The rows that differ, for a person; "" where none do."""
    if wanted == seen:
        return ""
    said = []
    for number, (before, after) in enumerate(zip(wanted, seen, strict=False)):
        if before != after:
            texts = ["".join(character for character, _ in row) for row in (before, after)]
            said.append(
                f"row {number}: was {texts[0]!r}"
                + (f"\n  and is now {texts[1]!r}" if texts[1] != texts[0] else "")
            )
            changed = {(a[1], b[1]) for a, b in zip(before, after, strict=False) if a[1] != b[1]}
            said += [f"  a style was {a} and is now {b}" for a, b in sorted(changed)[:3]]
    return "\n".join(said[:30]) or f"{len(wanted)} rows were there, and now {len(seen)}"
