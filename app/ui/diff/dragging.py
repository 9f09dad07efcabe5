"""Selecting lines of a diff with the mouse.

A drag within a line marks text, as everywhere; from one line to another it selects lines. Beyond the upper or
lower edge of the view it scrolls on as long as it is held there.
"""

from textual import events
from textual.timer import Timer

from app.ui.diff.model.diff_model import DiffModel
from app.ui.diff.model.selection import LineSelection
from app.ui.widgets.line_view import LineView

_SCROLL_EVERY = 0.04  # seconds, while a drag is held beyond the view's edge


class LineDrag:
    """The drags over one view."""

    def __init__(self, view: LineView, model: DiffModel, selection: LineSelection) -> None:
        self._view = view
        self._model = model
        self._selection = selection
        self._pressed: int | None = None  # the row on which the button went down
        self._is_dragging = False
        self._beyond = 0  # rows by which the mouse is beyond the edge, negative above it
        self._scrolling: Timer | None = None

    def press(self, event: events.MouseDown) -> None:
        """The button goes down."""
        if event.button != 1:
            return
        if self._selection.is_dragged:
            self._selection.leave()
            self._view.refresh()
        self._pressed = self._row_at(event)
        if self._pressed is not None:
            self._view.capture_mouse()  # it may leave the view
        self._selection.marks_left = self._is_left(event)

    def move(self, event: events.MouseMove) -> None:
        """The mouse moves, with or without the button."""
        if self._pressed is None:
            return
        if event.button != 1:  # it was released outside of the terminal
            self.end()
            return
        row = self._row_at(event)
        if not self._is_dragging:
            if row == self._pressed:
                return
            self._begin(self._pressed)
        view = self._view
        y = event.screen_y - view.content_region.y
        self._beyond = min(0, y - view.covered) or max(0, y - view.page + 1)
        if row is not None:
            view.point_to(row)
        if self._beyond and self._scrolling is None:
            self._scrolling = view.set_interval(_SCROLL_EVERY, self._scroll_on)
        elif not self._beyond:
            self._stop_scrolling()

    def end(self) -> None:
        """The button is released, or the drag ends for another reason."""
        self._pressed, self._is_dragging = None, False
        self._stop_scrolling()
        self._view.release_mouse()

    def _begin(self, row: int) -> None:
        self._view.screen.clear_selection()
        self._is_dragging = True
        self._view.point_to(row)
        self._selection.drag_from(row)

    def _scroll_on(self) -> None:
        self._view.move_to(self._view.cursor_row + self._beyond, margin=0)

    def _stop_scrolling(self) -> None:
        if self._scrolling is not None:
            self._scrolling.stop()
            self._scrolling = None

    def _row_at(self, event: events.MouseEvent) -> int | None:
        """The row under the mouse; None where no row is in view."""
        view = self._view
        y = event.screen_y - view.content_region.y
        row = view.scroll_offset.y + y
        return row if view.covered <= y < view.page and row < view.row_count else None

    def _is_left(self, event: events.MouseEvent) -> bool:
        column = event.screen_x - self._view.content_region.x
        return self._model.split and column <= (self._view.room_width - 1) // 2
