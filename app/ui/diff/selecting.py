"""Selecting lines of a review, with the keyboard or by dragging over them."""

from textual import events
from textual.timer import Timer

from app.review.desks.desk import Part
from app.ui.diff.drawing import DiffDrawing
from app.ui.diff.parts import Side, parts_of, text_of

_SCROLL_EVERY = 0.04  # seconds, while a drag is held beyond the view's edge


class DiffSelecting(DiffDrawing):
    """From the anchor to the cursor; side by side, both sides or one."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._anchor: int | None = None
        self._side: Side = "both"
        self._pressed: int | None = None  # the row on which the mouse went down
        self._is_dragging = False
        self._was_dragged = False  # whether it was the mouse that selected
        self._beyond = 0  # rows by which it is beyond the view's edge
        self._scrolling: Timer | None = None

    @property
    def is_selecting(self) -> bool:
        """Whether lines are being selected."""
        return self._anchor is not None

    @property
    def selected_rows(self) -> range:
        """The rows that are selected."""
        if self._anchor is None:
            return range(0)
        return range(min(self._anchor, self.cursor_row), max(self._anchor, self.cursor_row) + 1)

    def selects(self, row: int, *, is_left: bool) -> bool:
        """Whether `row` is selected on that side (unified: whether it is at all)."""
        if row not in self.selected_rows:
            return False
        return not self.split or self._side in ("both", "left" if is_left else "right")

    def select(self) -> None:
        """Begin to select lines at the cursor. Again: side by side, the new side alone, then the old one; then,
        and unified at once, nothing."""
        self._was_dragged = False
        if self._anchor is None:
            self._anchor, self._side = self.cursor_row, "both"
        elif self.split and self._side == "both":
            self._side = "right"
        elif self.split and self._side == "right":
            self._side = "left"
        else:
            self._anchor = None
        self.refresh()

    def leave_selection(self) -> bool:
        """Select nothing. False if nothing was."""
        had, self._anchor = self._anchor is not None, None
        self.refresh()
        return had

    def forget_selection(self) -> None:
        """To be called before other rows are laid out: the numbers of the old ones mean nothing then."""
        self.leave_selection()
        self._end_drag()

    def selected_parts(self) -> list[Part]:
        """The changed lines that are selected, by hunk; those of decided hunks are left out."""
        return parts_of(self.changes, map(self.rows.row, self.selected_rows), self._one_side)

    def selected_text(self) -> str:
        """The selected lines, without gutters and marks."""
        return text_of(self.changes, map(self.rows.row, self.selected_rows), self._one_side)

    @property
    def _one_side(self) -> Side:
        return self._side if self.split else "both"

    # The mouse. Along a line it marks text, as everywhere; from one line to another it selects lines.

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if event.button != 1:
            return
        if self._was_dragged:
            self.leave_selection()
        self._pressed = self._row_at(event)
        if self._pressed is not None:
            self.capture_mouse()  # it may leave the view
        self.marks_left = self._is_left(event)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._pressed is None:
            return
        if event.button != 1:  # it was let go where no one saw it
            self._end_drag()
            return
        row = self._row_at(event)
        if not self._is_dragging:
            if row == self._pressed:
                return
            self._begin_drag(self._pressed)
        y = event.screen_y - self.content_region.y
        self._beyond = min(0, y - self.covered) or max(0, y - self.page + 1)
        if row is not None:
            self.point_to(row)
        if self._beyond and self._scrolling is None:
            self._scrolling = self.set_interval(_SCROLL_EVERY, self._scroll_on)
        elif not self._beyond:
            self._stop_scrolling()

    def on_mouse_up(self) -> None:
        self._end_drag()

    def on_hide(self) -> None:
        self._end_drag()

    def _begin_drag(self, row: int) -> None:
        self.screen.clear_selection()
        self._is_dragging = self._was_dragged = True
        self.point_to(row)
        self._anchor, self._side = row, "both"
        if self.rows.row(row).kind == "line":
            self._side = "left" if self.marks_left else "right"

    def _end_drag(self) -> None:
        self._pressed, self._is_dragging = None, False
        self._stop_scrolling()
        self.release_mouse()

    def _scroll_on(self) -> None:
        self.move_to(self.cursor_row + self._beyond, margin=0)

    def _stop_scrolling(self) -> None:
        if self._scrolling is not None:
            self._scrolling.stop()
            self._scrolling = None

    def _row_at(self, event: events.MouseEvent) -> int | None:
        """The row under the mouse; None where there is none in view."""
        y = event.screen_y - self.content_region.y
        row = self.scroll_offset.y + y
        return row if self.covered <= y < self.page and row < self.row_count else None

    def _is_left(self, event: events.MouseEvent) -> bool:
        return self.split and event.screen_x - self.content_region.x <= (self.room_width - 1) // 2
