"""The text that each row of a review shows, and how long lines are wrapped into rows."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from app.review.model import FileChange, Hunk
from app.ui.diff.model.rows import Row
from app.ui.diff.model.surroundings import Surroundings
from app.ui.drawing.text import Wrapped, visible, wrapped

NO_NEWLINE = "  ∎ no newline at end"

_LEAST_ROOM = 8  # cells that a row of a wrapped line has, however narrow the view is
_CACHED = 256  # wrapped lines that are kept


class RowTexts:
    """The texts of one layout in a view of `width` cells, `gutter_width` of which are left of each text."""

    def __init__(
        self,
        changes: Sequence[FileChange],
        around: Surroundings,
        *,
        split: bool,
        width: int,
        gutter_width: int,
    ) -> None:
        self._changes = changes
        self._around = around
        self._split = split
        side = (width - 1) // 2 if split else width
        self.room = max(_LEAST_ROOM, side - gutter_width)
        """Cells for the text of a line. A text of as many bytes certainly fits."""
        self._wrapped = lru_cache(_CACHED)(self._wrap)

    def hunk_of(self, row: Row) -> Hunk:
        """The hunk that a row belongs to."""
        return self._changes[row.file].hunks[row.hunk]

    def index(self, row: Row, *, is_left: bool) -> int | None:
        """The `left` or `right` of a row that is shown on that side; in the unified layout always `left`."""
        return row.left if is_left or not self._split else row.right

    def file_line(self, row: Row) -> str:
        """The raw text of an "extra" row."""
        lines = self._around.files[self._changes[row.file].path]
        number = (row.right or 1) - 1
        return lines[number] if number < len(lines) else ""

    def whole(self, row: Row, *, is_left: bool) -> str:
        """The visible text of the whole line of which `row` is a part."""
        if row.kind == "extra":
            return visible(self.file_line(row))
        index = self.index(row, is_left=is_left)
        if index is None:
            return ""
        line = self.hunk_of(row).lines[index]
        return visible(line.text) + ("" if line.has_newline else NO_NEWLINE)

    def wrapped(self, row: Row, *, is_left: bool) -> Wrapped:
        """The rows into which the line of `row` is wrapped, whichever of them `row` is."""
        return self._wrapped(replace(row, part=0) if row.part else row, is_left)

    def _wrap(self, row: Row, is_left: bool) -> Wrapped:
        return wrapped(self.whole(row, is_left=is_left), self.room)

    def height(self, row: Row) -> int:
        """The number of rows that a wrapped line takes, at least 1."""
        if not self._split:
            return len(self.wrapped(row, is_left=False).starts)
        return max(len(self.wrapped(row, is_left=is_left).starts) for is_left in (True, False))

    def shown(self, row: Row, *, is_left: bool, wrap: bool) -> str:
        """The text in a "line" or "extra" row on one side, without gutter and marks."""
        if wrap:
            whole = self.wrapped(row, is_left=is_left)
            start, end = whole.part(row.part)
            return whole.text[start:end].removesuffix(NO_NEWLINE)
        if row.kind == "extra":
            return visible(self.file_line(row))
        index = self.index(row, is_left=is_left)
        return visible(self.hunk_of(row).lines[index].text) if index is not None else ""
