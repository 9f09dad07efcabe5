"""The lines of a review that are selected: from the row where the selection began to the cursor."""

from collections.abc import Sequence

from app.review.desks.desk import HunkPart
from app.ui.diff.model.diff_model import DiffModel
from app.ui.diff.model.parts import Side, parts_of, text_of
from app.ui.diff.model.rows import Row


class LineSelection:
    """Rows between an anchor and the cursor; side by side, both sides of them or one."""

    def __init__(self, model: DiffModel) -> None:
        self._model = model
        self._anchor: int | None = None
        self._side: Side = "both"
        self.is_dragged = False
        """Whether it was made with the mouse."""
        self.marks_left = False
        """Side by side: whether text that the mouse marks within a line is on the left."""

    @property
    def is_active(self) -> bool:
        """Whether lines are selected."""
        return self._anchor is not None

    def rows(self, cursor: int) -> range:
        """The selected rows, with the cursor on row `cursor`."""
        if self._anchor is None:
            return range(0)
        return range(min(self._anchor, cursor), max(self._anchor, cursor) + 1)

    def holds(self, row: int, cursor: int, *, is_left: bool) -> bool:
        """Whether the line in `row` is selected, side by side the one on that side."""
        return row in self.rows(cursor) and self.side in ("both", "left" if is_left else "right")

    @property
    def side(self) -> Side:
        """The side that is selected; "both" in the unified layout."""
        return self._side if self._model.split else "both"

    def cycle(self, cursor: int) -> None:
        """Start selecting at `cursor`. If lines are selected: side by side, first only the right side, then
        only the left, then nothing; unified, nothing."""
        self.is_dragged = False
        if self._anchor is None:
            if self._model.rows.row_count:
                self._anchor, self._side = cursor, "both"
        elif self.side == "both" and self._model.split:
            self._side = "right"
        elif self.side == "right":
            self._side = "left"
        else:
            self._anchor = None

    def drag_from(self, row: int) -> None:
        """Start selecting at `row` with the mouse: on a line, only the side that was pressed."""
        self.is_dragged = True
        self._anchor, self._side = row, "both"
        if self._model.rows.row(row).kind == "line":
            self._side = "left" if self.marks_left else "right"

    def leave(self) -> bool:
        """Select nothing. False if nothing was selected."""
        had, self._anchor = self._anchor is not None, None
        return had

    def parts(self, cursor: int) -> list[HunkPart]:
        """The selected changed lines, by hunk, without those of decided hunks."""
        return parts_of(self._model.changes, self._places(cursor), self.side)

    def text(self, cursor: int) -> str:
        """The selected lines, without gutters and marks."""
        return text_of(self._model.changes, self._places(cursor), self.side)

    def _places(self, cursor: int) -> Sequence[Row]:
        return [self._model.rows.row(row) for row in self.rows(cursor)]
