"""A list of any length drawn by line: one widget, whatever the number of rows."""

import re
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Offset, Size
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from app.ui.drawing.palette import Palette
from app.ui.drawing.strips import marked_spans, text_strip
from app.ui.drawing.text import Span
from app.ui.keys.actions import bindings

_MARGIN = 3  # rows kept visible before and after the cursor
_SIDEWAYS = 8  # cells per horizontal step
_WORD = re.compile(r"\w+")


class LineView(ScrollView, can_focus=True):
    """Rows with an optional gutter that does not scroll sideways with the body.

    A subclass calls `set_extent` when its rows change and implements `row_text` and either `body` (with
    `row_gutter`, if it has a gutter) or `draw_row`. With `has_cursor` there is a current row.
    """

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("lines"))
    ALLOW_SELECT = True
    has_cursor: ClassVar[bool] = True

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.row_count = 0
        self.gutter_width = 0
        self.cursor_row = 0
        self._palette: Palette | None = None

    # For subclasses to implement.

    def row_gutter(self, row: int, current: bool) -> list[Segment]:
        """The gutter of `row`, exactly `gutter_width` cells."""
        raise NotImplementedError

    def body(self, row: int, left: int, width: int) -> tuple[str, Style, list[Span], int]:
        """The text of `row` that is visible in cells [left, left + width), its style, its spans, and the cell
        at which it starts. It may start before `left` and be longer."""
        raise NotImplementedError

    def row_text(self, row: int) -> str:
        """The text that is copied from `row`, without gutter."""
        raise NotImplementedError

    def goes_on(self, row: int) -> bool:  # noqa: ARG002
        """Whether `row` is a further part of the wrapped line in the row above it."""
        return False

    # Drawing.

    @property
    def palette(self) -> Palette:
        """The theme's styles."""
        if self._palette is None:
            self._palette = Palette.of(self.app)
        return self._palette

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._palette = None

    def set_extent(self, row_count: int, body_width: int) -> None:
        """Set the number of rows and the width of the longest body in cells; the cursor stays within them."""
        self.row_count = row_count
        self.virtual_size = Size(self.gutter_width + body_width, row_count)
        self.cursor_row = max(0, min(self.cursor_row, row_count - 1))
        self.refresh()

    @property
    def room_width(self) -> int:
        """The width of a row in cells, without the scroll bar."""
        return max(0, self.size.width - self.scrollbar_size_vertical)

    def render_line(self, y: int) -> Strip:
        row = self.scroll_offset.y + y
        width = self.room_width
        if not 0 <= row < self.row_count:
            return Strip.blank(width, self.palette.text)
        return self.draw_row(row, width)

    def draw_row(self, row: int, width: int) -> Strip:
        """The whole of `row` in `width` cells."""
        left = self.scroll_offset.x
        current = self.has_cursor and row == self.cursor_row
        body_width = max(0, width - self.gutter_width)
        text, base, spans, start = self.body(row, left, body_width)
        spans = [*spans, *marked_spans(self.text_selection, row, text, start, self.palette.selection)]
        strip = text_strip(text, base, spans, row=row, start=start, left=left, width=body_width)
        if self.gutter_width:
            strip = Strip([*self.row_gutter(row, current), *strip])
        return strip.crop_extend(0, width, base)

    def base_style(self, row: int) -> Style:
        """The background of `row`: the cursor's, if the cursor is on it and the view has the focus."""
        if self.has_cursor and row == self.cursor_row and self.has_focus:
            return self.palette.text + self.palette.cursor_line
        return self.palette.text

    def selection_updated(self, selection: Selection | None) -> None:  # noqa: ARG002
        self.refresh()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        first = selection.start.y if selection.start else 0
        last = min(selection.end.y if selection.end else self.row_count - 1, self.row_count - 1)
        lines: list[str] = []
        for row in range(first, last + 1):
            text = self.row_text(row)
            span = selection.get_span(row)
            if span is not None:
                taken = text[span[0] :] if span[1] == -1 else text[span[0] : span[1]]
                if lines and self.goes_on(row):
                    lines[-1] += taken
                else:
                    lines.append(taken)
        return "\n".join(lines), "\n"

    # Movement.

    @property
    def page(self) -> int:
        """Rows in view."""
        return max(1, self.size.height)

    @property
    def covered(self) -> int:
        """The number of rows at the top of the view that are covered by something else."""
        return 0

    def point_to(self, row: int) -> None:
        """Put the cursor on `row` without scrolling."""
        self.cursor_row = max(0, min(row, self.row_count - 1))
        self.refresh()

    def move_to(self, row: int, *, centre: bool = False, margin: int = _MARGIN) -> None:
        """Put the cursor on `row` and scroll it into view with `margin` rows around it; with `centre`, a row
        that was out of view comes to a third of the view's height."""
        row = max(0, min(row, self.row_count - 1))
        self.cursor_row = row
        top, height = self.scroll_offset.y, self.page
        margin = min(margin, (height - 1) // 2)
        if centre and not top + margin <= row < top + height - margin:
            self.scroll_to(y=max(0, row - height // 3), animate=False, force=True)
        elif row < top + margin:
            self.scroll_to(y=max(0, row - margin), animate=False, force=True)
        elif row >= top + height - margin:
            self.scroll_to(y=row - height + 1 + margin, animate=False, force=True)
        self.refresh()

    def show_columns(self, left: int, right: int, room: int) -> None:
        """Scroll sideways so that cells [left, right) of the body are visible; `room` cells of it fit."""
        if not self.scroll_offset.x <= left <= right <= self.scroll_offset.x + room:
            self.scroll_to(x=max(0, left - room // 3) if right > room else 0, animate=False, force=True)

    def _move_by(self, rows: int) -> None:
        if self.has_cursor:
            self.move_to(self.cursor_row + rows)
        else:
            self.scroll_to(y=self.scroll_offset.y + rows, animate=False, force=True)

    def action_down(self) -> None:
        self._move_by(1)

    def action_up(self) -> None:
        self._move_by(-1)

    def action_half_down(self) -> None:
        self._move_by(self.page // 2)

    def action_half_up(self) -> None:
        self._move_by(-(self.page // 2))

    def action_page_down(self) -> None:
        self._move_by(self.page - 1)

    def action_page_up(self) -> None:
        self._move_by(1 - self.page)

    def action_first(self) -> None:
        self._move_by(-self.row_count)

    def action_last(self) -> None:
        self._move_by(self.row_count)

    def action_left(self) -> None:
        self.scroll_to(x=max(0, self.scroll_offset.x - _SIDEWAYS), animate=False, force=True)

    def action_right(self) -> None:
        self.scroll_to(x=self.scroll_offset.x + _SIDEWAYS, animate=False, force=True)

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    # The mouse.

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        top, height = round(new_value), self.size.height
        if self.has_cursor and height and round(old_value) != top:
            # The row that a key acts on stays in view.
            last = top + height - 1
            self.point_to(max(min(top + self.covered, last), min(self.cursor_row, last)))

    def text_select_all(self) -> None:
        """Do nothing: two clicks select a word here, and not all text as in other widgets of Textual."""

    def on_click(self, event: events.Click) -> None:
        if event.chain == 2:
            self._select_word(event)
        offset = event.get_content_offset(self)
        if self.has_cursor and offset is not None and self.scroll_offset.y + offset.y < self.row_count:
            self.point_to(self.scroll_offset.y + offset.y)

    def _select_word(self, event: events.Click) -> None:
        _, offset = self.screen.get_widget_and_offset_at(event.screen_x, event.screen_y)
        words = _WORD.finditer(self.row_text(offset.y)) if offset is not None else ()
        for word in words:
            if offset is not None and word.start() <= offset.x < word.end():
                ends = (Offset(at, offset.y) for at in word.span())
                self.screen.selections = {self: Selection.from_offsets(*ends)}
