"""Which row of a review shows what: files and hunks of any number laid out without touching their lines."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.review.model import DiffLine, FileChange, Hunk

RowKind = Literal["gap", "file", "hunk", "line", "note"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `left` and `right` index the hunk's lines: unified rows use `left` alone, side-by-side rows
    have None where a side is empty."""

    kind: RowKind
    file: int
    hunk: int = -1
    left: int | None = None
    right: int | None = None


@dataclass(frozen=True, slots=True)
class _Block:
    start: int
    file: int
    hunk: int  # -1: the file's gap and heading


def pair(lines: Sequence[DiffLine]) -> list[tuple[int | None, int | None]]:
    """Side-by-side rows of one hunk: context on both sides, each run of removed lines beside the added ones."""
    rows: list[tuple[int | None, int | None]] = []
    removed: list[int] = []
    added: list[int] = []

    def flush() -> None:
        for number in range(max(len(removed), len(added))):
            rows.append(
                (
                    removed[number] if number < len(removed) else None,
                    added[number] if number < len(added) else None,
                )
            )
        removed.clear()
        added.clear()

    for index, line in enumerate(lines):
        if line.kind == "removed":
            if added:
                flush()
            removed.append(index)
        elif line.kind == "added":
            added.append(index)
        else:
            flush()
            rows.append((index, index))
    flush()
    return rows


class DiffLayout:
    """The rows of `changes`. A hunk or file in `folded` (hunk ids and paths) is its heading alone."""

    def __init__(self, changes: Sequence[FileChange], folded: frozenset[str], *, split: bool) -> None:
        self.changes = changes
        self._split = split
        self._pairs: dict[str, list[tuple[int | None, int | None]]] = {}
        self._blocks: list[_Block] = []
        self._hunk_rows: dict[str, int] = {}
        self.file_rows: list[int] = []
        row = 0
        for file_index, change in enumerate(changes):
            self._blocks.append(_Block(row, file_index, -1))
            row += 1 if file_index else 0
            self.file_rows.append(row)
            row += 1
            for hunk_index, hunk in enumerate(change.hunks):
                self._hunk_rows[hunk.id] = row
                if change.path in folded:
                    self._hunk_rows[hunk.id] = self.file_rows[-1]
                    continue
                self._blocks.append(_Block(row, file_index, hunk_index))
                row += 1
                if hunk.id not in folded:
                    row += self._height(hunk)
        self._starts = [block.start for block in self._blocks]
        self.row_count = row

    def _height(self, hunk: Hunk) -> int:
        if not hunk.lines:
            return 1
        if not self._split:
            return len(hunk.lines)
        pairs = self._pairs[hunk.id] = pair(hunk.lines)
        return len(pairs)

    def row(self, number: int) -> Row:
        """What row `number` shows."""
        block = self._blocks[bisect_right(self._starts, number) - 1]
        offset = number - block.start
        if block.hunk < 0:
            return Row("gap" if block.file and offset == 0 else "file", block.file)
        if offset == 0:
            return Row("hunk", block.file, block.hunk)
        hunk = self.changes[block.file].hunks[block.hunk]
        if not hunk.lines:
            return Row("note", block.file, block.hunk)
        if self._split:
            left, right = self._pairs[hunk.id][offset - 1]
            return Row("line", block.file, block.hunk, left, right)
        return Row("line", block.file, block.hunk, offset - 1)

    def row_of_hunk(self, hunk_id: str) -> int | None:
        """The row of a hunk's heading (its file's, where the file is folded)."""
        return self._hunk_rows.get(hunk_id)
