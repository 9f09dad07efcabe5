"""Which row of a review shows what: files and hunks of any number laid out without touching their lines."""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from app.review.hunk_text import line_marks
from app.review.model import FileChange, Hunk

RowKind = Literal["gap", "file", "hunk", "line", "note", "extra", "comment"]

_RUN = re.compile(rb" +|-+\+*|\++")


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `left` and `right` index the hunk's lines: unified rows use `left` alone, side-by-side rows
    have None where a side is empty. On an "extra" row, a line of the file around the hunk, they are its numbers
    before and after; on a "comment" row, `left` is the comment's place in `HunkShape.comments`."""

    kind: RowKind
    file: int
    hunk: int = -1
    left: int | None = None
    right: int | None = None


@dataclass(frozen=True, slots=True)
class Remark:
    """One row of a comment, shown under line `index` of a hunk (-1: under its heading)."""

    index: int
    comment: int
    text: str
    is_first: bool = True


@dataclass(frozen=True, slots=True)
class HunkShape:
    """What is shown of a hunk beside its own lines: lines of the file above and below, and comments."""

    above: int = 0
    below: int = 0
    comments: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class _Block:
    start: int
    file: int
    hunk: int  # -1: the file's gap and heading


Pairs = list[tuple[int | None, int | None]]


def pair(marks: bytes) -> Pairs:
    """Side-by-side rows of one hunk, from its lines' marks: context on both sides, each run of removed lines
    beside the added ones that follow it."""
    rows: Pairs = []
    for run in _RUN.finditer(marks):
        start, end = run.span()
        if marks[start : start + 1] == b" ":
            rows.extend((number, number) for number in range(start, end))
            continue
        added = start + run.group().count(b"-")
        for number in range(max(added - start, end - added)):
            left, right = start + number, added + number
            rows.append((left if left < added else None, right if right < end else None))
    return rows


def _pair_count(marks: bytes) -> int:
    """The number of rows that `pair` gives."""
    count = 0
    for run in _RUN.findall(marks):
        removed = run.count(b"-")
        count += max(removed, len(run) - removed)
    return count


@dataclass(frozen=True, slots=True)
class Shapes:
    """How the hunks are shown: `folded` names hunks and files (by path) that are their heading alone."""

    folded: frozenset[str] = frozenset()
    hunks: Mapping[str, HunkShape] = field(default_factory=dict)


_PLAIN = HunkShape()


class DiffLayout:
    """The rows of `changes`."""

    def __init__(self, changes: Sequence[FileChange], shapes: Shapes, *, split: bool) -> None:
        self.changes = changes
        self._shapes = shapes.hunks
        self._split = split
        self._pairs: dict[tuple[int, int], Pairs] = {}
        self._blocks: list[_Block] = []
        self._hunk_rows: dict[str, int] = {}
        self.file_rows: list[int] = []
        self.comment_rows: list[int] = []
        row = 0
        for file_index, change in enumerate(changes):
            self._blocks.append(_Block(row, file_index, -1))
            row += 1 if file_index else 0
            self.file_rows.append(row)
            row += 1
            for hunk_index, hunk in enumerate(change.hunks):
                self._hunk_rows[hunk.id] = row
                if change.path in shapes.folded:
                    self._hunk_rows[hunk.id] = self.file_rows[-1]
                    continue
                self._blocks.append(_Block(row, file_index, hunk_index))
                row += 1
                if hunk.id not in shapes.folded:
                    row += self._height(file_index, hunk_index, hunk, row)
        self._starts = [block.start for block in self._blocks]
        self.hunk_rows = sorted(set(self._hunk_rows.values()))
        self.row_count = row

    def _height(self, file: int, number: int, hunk: Hunk, start: int) -> int:
        if not hunk.lines:
            height = 1
        else:
            height = _pair_count(line_marks(hunk.lines)) if self._split else len(hunk.lines)
        shape = self._shapes.get(hunk.id)
        if shape is None:
            return height
        for place, remark in enumerate(shape.comments):
            if remark.is_first:
                row = start + shape.above + self._body_row(file, number, remark.index) + 1 + place
                self.comment_rows.append(row)
        return shape.above + height + shape.below + len(shape.comments)

    def _body_row(self, file: int, hunk: int, index: int) -> int:
        """The row of a hunk's line, counted from its first; -1 for its heading."""
        if not self._split or index < 0:
            return index
        pairs = self._pairs_of(file, hunk)
        return next((row for row, sides in enumerate(pairs) if index in sides), -1)

    def _pairs_of(self, file: int, hunk: int) -> Pairs:
        key = (file, hunk)
        if key not in self._pairs:
            self._pairs[key] = pair(line_marks(self.changes[file].hunks[hunk].lines))
        return self._pairs[key]

    def shape(self, hunk: Hunk) -> HunkShape:
        """How `hunk` is shown."""
        return self._shapes.get(hunk.id, _PLAIN)

    def row(self, number: int) -> Row:
        """What row `number` shows."""
        block = self._blocks[bisect_right(self._starts, number) - 1]
        offset = number - block.start
        if block.hunk < 0:
            return Row("gap" if block.file and offset == 0 else "file", block.file)
        if offset == 0:
            return Row("hunk", block.file, block.hunk)
        hunk = self.changes[block.file].hunks[block.hunk]
        shape = self.shape(hunk)
        place = offset - 1 - shape.above
        if place < 0:
            return self._extra(block, hunk, place)
        behind = 0
        for index, remark in enumerate(shape.comments):
            at = self._body_row(block.file, block.hunk, remark.index) + 1 + index
            if at == place:
                return Row("comment", block.file, block.hunk, index)
            behind += at < place
        place -= behind
        if not hunk.lines:
            return Row("note", block.file, block.hunk)
        if self._split:
            pairs = self._pairs_of(block.file, block.hunk)
            if place < len(pairs):
                return Row("line", block.file, block.hunk, *pairs[place])
            return self._extra(block, hunk, place - len(pairs))
        if place < len(hunk.lines):
            return Row("line", block.file, block.hunk, place)
        return self._extra(block, hunk, place - len(hunk.lines))

    @staticmethod
    def _extra(block: _Block, hunk: Hunk, place: int) -> Row:
        """A line above (`place` below 0) or below a hunk."""
        before, after = first_lines(hunk)
        if place >= 0:
            before, after = before + hunk.before_count, after + hunk.after_count
        return Row("extra", block.file, block.hunk, before + place, after + place)

    def row_of_hunk(self, hunk_id: str) -> int | None:
        """The row of a hunk's heading (its file's, where the file is folded)."""
        return self._hunk_rows.get(hunk_id)

    def row_of_line(self, file: int, hunk: int, index: int) -> int | None:
        """The row of a hunk's line; None where it is folded away."""
        found = self.changes[file].hunks[hunk]
        heading = self._hunk_rows[found.id]
        shape = self.shape(found)
        body = self._body_row(file, hunk, index)
        above = sum(self._body_row(file, hunk, remark.index) < body for remark in shape.comments)
        row = heading + 1 + shape.above + body + above
        here = self.row(row) if row < self.row_count else None
        return row if here is not None and (here.file, here.hunk) == (file, hunk) else None


def first_lines(hunk: Hunk) -> tuple[int, int]:
    """The numbers of a hunk's first line before and after; a diff's header gives a side without lines the
    number of the line in front of it."""
    return hunk.before_start + (not hunk.before_count), hunk.after_start + (not hunk.after_count)
