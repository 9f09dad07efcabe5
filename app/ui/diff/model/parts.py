"""The lines of the diff in a run of rows: as parts to decide, and as text."""

from collections.abc import Iterable, Sequence
from typing import Literal

from app.review.desks.desk import HunkPart
from app.review.model import FileChange, Hunk
from app.ui.diff.model.rows import Row

Side = Literal["both", "left", "right"]


def parts_of(changes: Sequence[FileChange], rows: Iterable[Row], side: Side = "both") -> list[HunkPart]:
    """The changed lines in `rows` on that side, by hunk, without those of decided hunks."""
    chosen: dict[tuple[int, int], set[int]] = {}
    for row in rows:
        if row.kind == "line":
            chosen.setdefault((row.file, row.hunk), set()).update(_lines_of(row, side))
    parts: list[HunkPart] = []
    for (file, number), indices in chosen.items():
        hunk = changes[file].hunks[number]
        lines = frozenset(index for index in indices if hunk.lines[index].kind != "context")
        if lines and hunk.decision == "pending":
            parts.append(HunkPart(changes[file], hunk, lines))
    return parts


def text_of(changes: Sequence[FileChange], rows: Iterable[Row], side: Side = "both") -> str:
    """The lines in `rows` on that side, without gutters and marks; a wrapped line once."""
    texts: dict[tuple[int, int, int], str] = {}
    for row in rows:
        if row.kind == "line":
            for index in _lines_of(row, side):
                texts[row.file, row.hunk, index] = changes[row.file].hunks[row.hunk].lines[index].text
    return "\n".join(texts.values())


def text_of_hunk(hunk: Hunk) -> str:
    """The lines of a hunk after the change; if it only removes lines, those."""
    lines = [line for line in hunk.lines if line.kind != "removed"]
    if not any(line.kind == "added" for line in lines):
        lines = [line for line in hunk.lines if line.kind == "removed"]
    return "\n".join(line.text for line in lines)


def _lines_of(row: Row, side: Side) -> list[int]:
    """The indices, in the hunk, of a row's lines on that side."""
    sides = {"both": (row.left, row.right), "left": (row.left,), "right": (row.right,)}[side]
    return sorted({index for index in sides if index is not None})
