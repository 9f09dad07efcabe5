"""What a run of rows stands for: the lines to be decided, and their text."""

from collections.abc import Iterable, Sequence
from typing import Literal

from app.review.desks.desk import Part
from app.review.model import FileChange, Hunk
from app.ui.diff.model.rows import Row

Side = Literal["both", "left", "right"]


def parts_of(changes: Sequence[FileChange], rows: Iterable[Row], side: Side = "both") -> list[Part]:
    """The changed lines in `rows`, by hunk; those of decided hunks, and of another side, are left out."""
    chosen: dict[tuple[int, int], set[int]] = {}
    for row in rows:
        if row.kind == "line":
            chosen.setdefault((row.file, row.hunk), set()).update(_lines_of(row, side))
    parts: list[Part] = []
    for (file, number), indices in chosen.items():
        hunk = changes[file].hunks[number]
        lines = frozenset(index for index in indices if hunk.lines[index].kind != "context")
        if lines and hunk.decision == "pending":
            parts.append(Part(changes[file], hunk, lines))
    return parts


def text_of(changes: Sequence[FileChange], rows: Iterable[Row], side: Side = "both") -> str:
    """The lines in `rows`, without gutters and marks."""
    texts: dict[tuple[int, int, int], str] = {}  # a wrapped line has several rows
    for row in rows:
        if row.kind == "line":
            for index in _lines_of(row, side):
                texts[row.file, row.hunk, index] = changes[row.file].hunks[row.hunk].lines[index].text
    return "\n".join(texts.values())


def text_of_hunk(hunk: Hunk) -> str:
    """A hunk as it is after the change; where nothing was added, what was removed."""
    lines = [line for line in hunk.lines if line.kind != "removed"]
    if not any(line.kind == "added" for line in lines):
        lines = [line for line in hunk.lines if line.kind == "removed"]
    return "\n".join(line.text for line in lines)


def _lines_of(row: Row, side: Side) -> list[int]:
    """A row's lines, by their index in the hunk."""
    sides = {"both": (row.left, row.right), "left": (row.left,), "right": (row.right,)}[side]
    return sorted({index for index in sides if index is not None})
