"""The rows of a review: any number of files and hunks is laid out without reading the hunks' lines.

The rows of a plain hunk are computed from its line marks. The rows of a hunk with remarks, with lines of the
file around it or with lines to wrap are listed one by one when one of them is asked for.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from app.review.diff.hunk_text import HunkText, line_marks
from app.review.model import FileChange, Hunk
from app.ui.diff.model.rows import HunkShape, Row, Shapes, first_lines
from app.ui.diff.model.texts import RowTexts

_CACHED = 64  # hunks whose listed rows are kept

_RUN = re.compile(rb" +|-+\+*|\++")


@dataclass(frozen=True, slots=True)
class _Block:
    start: int
    file: int
    hunk: int  # -1: the file's gap and heading


Pairs = list[tuple[int | None, int | None]]


def pair(marks: bytes) -> Pairs:
    """The side-by-side rows of a hunk, as indices of its lines, from its line marks (" ", "-" and "+").

    A context line is on both sides; a run of removed lines is beside the run of added lines that follows it.
    """
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


class DiffLayout:
    """The rows of `changes`, counted from 0. Lines are wrapped as `wrapping` says, or not at all."""

    def __init__(
        self, changes: Sequence[FileChange], shapes: Shapes, *, split: bool, wrapping: RowTexts | None = None
    ) -> None:
        self.changes = changes
        self._shapes = shapes
        self._shaped = shapes.hunks
        self._split = split
        self._wrapping = wrapping
        self._pairs: dict[tuple[int, int], Pairs] = {}
        self._listed: dict[tuple[int, int], list[Row]] = {}
        self._blocks: list[_Block] = []
        self._hunk_rows: dict[str, int] = {}
        self.file_rows: list[int] = []
        self.remark_rows: list[int] = []
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

    def _is_plain(self, hunk: Hunk) -> bool:
        """Whether each line of a hunk (side by side: each pair) is one row, and nothing else is shown of it."""
        if hunk.id in self._shaped:
            return False
        if self._wrapping is None or not hunk.lines:
            return True
        return isinstance(hunk.lines, HunkText) and hunk.lines.longest <= self._wrapping.room

    def _height(self, file: int, number: int, hunk: Hunk, start: int) -> int:
        if self._is_plain(hunk):
            if not hunk.lines:
                return 1
            return _pair_count(line_marks(hunk.lines)) if self._split else len(hunk.lines)
        height = 0
        for row in self._lines(file, number, hunk):
            if row.kind == "remark" and self.shape(hunk).remarks[row.left or 0].starts_remark:
                self.remark_rows.append(start + height)
            height += self._parts(row)
        return height

    def _parts(self, row: Row) -> int:
        if self._wrapping is None or row.kind in ("note", "remark", "run"):
            return 1
        return self._wrapping.height(row)

    def _lines(self, file: int, number: int, hunk: Hunk) -> Iterator[Row]:
        """The rows under a hunk's heading, before lines are wrapped."""
        shape = self.shape(hunk)
        remarks: dict[int, list[int]] = {}
        for place, remark in enumerate(shape.remarks):
            remarks.setdefault(remark.index, []).append(place)

        def under(*indices: int | None) -> Iterator[Row]:
            for index in {index for index in indices if index is not None}:
                for place in remarks.get(index, ()):
                    yield Row("remark", file, number, place)

        told: set[int] = set()

        def line(left: int | None, right: int | None) -> Iterator[Row]:
            run = (shape.run_at(left) or shape.run_at(right)) if shape.runs else None
            if run is None:
                yield Row("line", file, number, left, right)
            elif run.start not in told:
                told.add(run.start)
                yield Row("run", file, number, run.start)
            yield from under(left, right)

        before, after = first_lines(hunk)
        yield from under(-1)
        for up in range(shape.above, 0, -1):
            yield Row("extra", file, number, before - up, after - up)
        if not hunk.lines:
            yield Row("note", file, number)
        elif self._split:
            for left, right in self._pairs_of(file, number):
                yield from line(left, right)
        else:
            for index in range(len(hunk.lines)):
                yield from line(index, None)
        before, after = before + hunk.before_count, after + hunk.after_count
        for down in range(shape.below):
            yield Row("extra", file, number, before + down, after + down)

    def _body(self, file: int, number: int) -> list[Row]:
        """All rows under the heading of a hunk that is not plain."""
        found = self._listed.get((file, number))
        if found is None:
            found = []
            for row in self._lines(file, number, self.changes[file].hunks[number]):
                found.append(row)
                found.extend(replace(row, part=part) for part in range(1, self._parts(row)))
            if len(self._listed) == _CACHED:
                del self._listed[next(iter(self._listed))]  # the oldest
            self._listed[file, number] = found
        return found

    def _pairs_of(self, file: int, hunk: int) -> Pairs:
        key = (file, hunk)
        if key not in self._pairs:
            self._pairs[key] = pair(line_marks(self.changes[file].hunks[hunk].lines))
        return self._pairs[key]

    def shape(self, hunk: Hunk) -> HunkShape:
        """How `hunk` is shown."""
        return self._shapes.of(hunk)

    def row(self, number: int) -> Row:
        """What row `number` shows."""
        block = self._blocks[bisect_right(self._starts, number) - 1]
        offset = number - block.start
        if block.hunk < 0:
            return Row("gap" if block.file and offset == 0 else "file", block.file)
        if offset == 0:
            return Row("hunk", block.file, block.hunk)
        hunk = self.changes[block.file].hunks[block.hunk]
        if not self._is_plain(hunk):
            return self._body(block.file, block.hunk)[offset - 1]
        if not hunk.lines:
            return Row("note", block.file, block.hunk)
        if self._split:
            return Row("line", block.file, block.hunk, *self._pairs_of(block.file, block.hunk)[offset - 1])
        return Row("line", block.file, block.hunk, offset - 1)

    def row_of_hunk(self, hunk_id: str) -> int | None:
        """The row of a hunk's heading, or of its file's heading where the file is folded."""
        return self._hunk_rows.get(hunk_id)

    def row_of_line(self, file: int, hunk: int, index: int, part: int = 0) -> int | None:
        """The row of line `index` of a hunk, if it is wrapped of one `part` of it; None if it is folded."""
        found = self.changes[file].hunks[hunk]
        offset = self._offset(file, hunk, found, index, part)
        row = self._hunk_rows[found.id] + 1 + offset
        here = self.row(row) if offset >= 0 and row < self.row_count else None
        return row if here is not None and (here.file, here.hunk) == (file, hunk) else None

    def _offset(self, file: int, number: int, hunk: Hunk, index: int, part: int) -> int:
        """The row of line `index`, counted from the first row under the hunk's heading; -1 if there is none."""
        if not self._is_plain(hunk):
            rows = enumerate(self._body(file, number))
            return next(
                (
                    place
                    for place, row in rows
                    if row.kind == "line" and index in (row.left, row.right) and row.part == part
                ),
                -1,
            )
        if not self._split:
            return index
        pairs = self._pairs_of(file, number)
        return next((place for place, sides in enumerate(pairs) if index in sides), -1)
