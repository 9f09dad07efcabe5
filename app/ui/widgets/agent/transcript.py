"""The conversation, drawn by line: however long it grows, it is one widget."""

import time
from bisect import bisect_right
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import Reactive
from textual.strip import Strip
from textual.timer import Timer

from app.ui.keys.actions import bindings
from app.ui.widgets.agent.call_item import CallItem
from app.ui.widgets.agent.transcript_items import Item
from app.ui.widgets.agent.transcript_search import TranscriptSearch, mark, rows_with
from app.ui.widgets.line_view import LineView

_FRAME = 1 / 25  # seconds between redraws while text streams
_SHARE = 0.3  # of a core, at most, goes into the screen meanwhile: on a slow machine it is redrawn less often
_LONGEST_PAUSE = 0.25  # seconds between redraws, however much a single one took
_SLICE = 0.01  # seconds of drawing out of view at a time
_AHEAD = 200  # items, the newest, that are drawn before they come into view


class Transcript(LineView):
    """Items under each other; it stays at the end while the end is in view.

    What is in view is drawn at once, the newest of the rest bit by bit, and what is older when it comes into
    view. Until then an item counts with the height it had before a change of width, or with a guess; when its
    true height is known, what is in view stays where it is.
    """

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("transcript"))
    has_cursor: ClassVar[bool] = False
    # A row more is no reason to lay out the whole screen anew, with each frame of a reply.
    virtual_size = Reactive(Size(0, 0), layout=False)

    class ReplyWanted(Message):
        """The user wants to write."""

    class SearchWanted(Message):
        """The user wants to look for something."""

    class PlanWanted(Message):
        """The user wants the plan unfolded, or folded."""

    class Searched(Message):
        """A search began, went on to another place, or ended."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.items: list[Item] = []
        self._starts: list[int] = []
        self._dirty_from: int | None = None
        self._frame: Timer | None = None
        self._pause = _FRAME
        self._redrawn_at = time.thread_time()
        self._settling: Timer | None = None
        self._selected: CallItem | None = None
        self.search = TranscriptSearch()
        self._found_row: tuple[Item, int] | None = None  # where the search is, as a row of an item
        self._is_drawing_view = False
        self._follows = True  # the end is in view, and stays so when something is added or the size changes

    # Content.

    def add(self, item: Item) -> None:
        """Put `item` at the end."""
        self.items.append(item)
        self._mark(len(self.items) - 1)

    def clear(self) -> None:
        """Take everything away."""
        self.items.clear()
        self.look_for("")
        self._selected = None
        self._follows = True
        self._mark(0)

    def remove_item(self, item: Item) -> None:
        """Take `item` away again."""
        if item in self.items:
            index = self.items.index(item)
            del self.items[index]
            self._mark(index)

    def changed(self, item: Item) -> None:
        """`item` looks different now."""
        item.touch()
        self._mark(self._index(item))

    def _index(self, item: Item) -> int:
        for index in range(len(self.items) - 1, -1, -1):
            if self.items[index] is item:
                return index
        return len(self.items)

    def _mark(self, index: int) -> None:
        self._dirty_from = index if self._dirty_from is None else min(index, self._dirty_from)
        if self._frame is None and self.is_mounted:
            self._frame = self.set_timer(self._pause, self._redraw)

    def _redraw(self) -> None:
        """Show what has changed; and again after a pause in which no more than a share of a core is used."""
        # What the last time has cost by now, its painting and the events since among it.
        now = time.thread_time()
        self._pause = min(max(_FRAME, (now - self._redrawn_at) / _SHARE), _LONGEST_PAUSE)
        self._redrawn_at = now
        self._flush()

    def _flush(self) -> None:
        if self._frame is not None:
            self._frame.stop()
            self._frame = None
        if self._dirty_from is None or not self.size.width:
            return
        if self._follows:
            self._draw_end()
            self._lay_out()
            self.follow()
        else:
            self._lay_out_around_view()
        if self._settling is None:
            self._settling = self.set_timer(_SLICE, self._settle)

    def _lay_out(self) -> None:
        """Put the items, from the first that changed on, where their heights say."""
        index, self._dirty_from = self._dirty_from or 0, None
        width = self.size.width
        row = self._starts[index - 1] + self.items[index - 1].height(width) if index else 0
        del self._starts[index:]
        for item in self.items[index:]:
            self._starts.append(row)
            row += item.height(width)
        self.set_extent(row, width)

    def _settle(self) -> None:
        """Draw the newest items out of view for the width there is now."""
        self._settling = None
        width, palette = self.size.width, self.palette
        if not width:
            return  # the pane is hidden; it is drawn when it is shown again
        began = time.perf_counter()
        for index in range(len(self.items) - 1, max(-1, len(self.items) - 1 - _AHEAD), -1):
            item = self.items[index]
            if item.is_drawn_for(width, palette):
                continue
            if time.perf_counter() - began > _SLICE:
                self._settling = self.set_timer(_SLICE, self._settle)
                return
            self._draw(index)

    def _draw(self, index: int) -> list[Strip]:
        """The strips of item `index`; what follows moves if its height was another."""
        item = self.items[index]
        before = item.height(self.size.width)
        strips = item.strips(self.size.width, self.palette)
        if len(strips) != before:
            self._mark(index)
        return strips

    def _draw_end(self) -> None:
        rows = 0
        for index in range(len(self.items) - 1, -1, -1):
            rows += len(self._draw(index))
            if rows > self.page:
                break

    def _lay_out_around_view(self) -> None:
        """Lay out the visible items by their true heights without moving them."""
        top = bisect_right(self._starts, self.scroll_offset.y) - 1
        offset = self.scroll_offset.y - self._starts[top] if top >= 0 else 0
        self._lay_out()
        if not 0 <= top < len(self.items):
            return
        self._draw_rows(self._starts[top] + offset)
        if self._dirty_from is not None:
            self._lay_out()
        if self._starts[top] + offset != self.scroll_offset.y:
            self.scroll_to(y=self._starts[top] + offset, animate=False, force=True, immediate=True)

    def _draw_rows(self, first: int) -> None:
        """Draw the items of a page that begins with row `first`."""
        top, bottom = bisect_right(self._starts, first) - 1, bisect_right(self._starts, first + self.page)
        for index in range(max(0, top), min(bottom, len(self.items))):
            self._draw(index)

    def _draw_in_view(self) -> None:
        """Draw what has come into view, and lay it out by its true heights."""
        if self.size.width and not self._is_drawing_view:
            self._is_drawing_view = True
            self._draw_rows(self.scroll_offset.y)
            self._flush()
            self._is_drawing_view = False

    def follow(self) -> None:
        """Go to the end and stay there."""
        self._follows = True
        end = max(0, self.row_count - self.size.height)
        self.scroll_to(y=end, animate=False, force=True, immediate=True)  # so that it is painted once

    def watch_virtual_size(self, size: Size) -> None:
        """The scroll bar comes, goes and changes."""
        self._scroll_update(size)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._follows = round(new_value) + self.size.height >= self.row_count
        self._draw_in_view()

    def on_mount(self) -> None:
        self._mark(0)

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002
        self._mark(0)
        self._draw_in_view()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self.is_mounted:
            self._mark(0)
            self._draw_in_view()

    # Drawing.

    def draw_row(self, row: int, width: int) -> Strip:
        index = bisect_right(self._starts, row) - 1
        strips = self._draw(index) if 0 <= index < len(self.items) else []
        offset = row - self._starts[index] if strips else 0
        if offset >= len(strips):
            return Strip.blank(width, self.palette.text)
        strip = strips[offset].crop_extend(0, width, self.palette.text)
        if self.search.query:
            found = self._found_row
            is_here = found is not None and found[0] is self.items[index] and found[1] == offset
            style = self.palette.match_current if is_here else self.palette.match
            strip = mark(strip, self.search.query, style)
        selection = self.text_selection
        span = selection.get_span(row) if selection is not None else None
        if span is not None:
            end = width if span[1] == -1 else span[1]
            strip = Strip.join(
                [
                    strip.crop(0, span[0]),
                    strip.crop(span[0], end).apply_style(self.palette.selection),
                    strip.crop(end),
                ]
            )
        return strip.apply_offsets(0, row)

    def row_text(self, row: int) -> str:
        index = bisect_right(self._starts, row) - 1
        if not 0 <= index < len(self.items):  # it was taken away, and the rows are not laid out anew yet
            return ""
        strips = self.items[index].strips(self.size.width, self.palette)
        offset = row - self._starts[index]
        return strips[offset].text.rstrip() if offset < len(strips) else ""

    # Tool calls.

    @property
    def calls(self) -> list[CallItem]:
        """The tool calls, in order."""
        return [item for item in self.items if isinstance(item, CallItem)]

    def select(self, call: CallItem | None) -> None:
        """Make `call` the one that Enter expands, and bring it into view."""
        for item in (self._selected, call):
            if item is not None:
                item.selected = item is call
                self.changed(item)
        self._selected = call
        self._flush()
        if call is not None:
            self._bring_into_view(self._index(call))

    def _bring_into_view(self, index: int, offset: int = 0) -> None:
        """Scroll to a row of item `index`; in a pane that is hidden there are no rows yet."""
        if index >= len(self._starts):
            return
        row = self._starts[index] + offset
        if not self.scroll_offset.y <= row < self.scroll_offset.y + self.page:
            self.scroll_to(y=max(0, row - self.page // 3), animate=False, force=True)

    def _step(self, step: int) -> None:
        calls = self.calls
        if not calls:
            return
        if self._selected in calls:
            at = calls.index(self._selected) + step
        else:
            at = len(calls) - 1 if step < 0 else 0
        self.select(calls[max(0, min(at, len(calls) - 1))])

    def action_next_call(self) -> None:
        if self.search.query:
            self.go_to_match(1)
        else:
            self._step(1)

    def action_previous_call(self) -> None:
        if self.search.query:
            self.go_to_match(-1)
        else:
            self._step(-1)

    def action_newest_call(self) -> None:
        calls = self.calls
        if calls:
            self.select(calls[-1])
            self.toggle(calls[-1])

    def action_unfold_plan(self) -> None:
        self.post_message(self.PlanWanted())

    # Searching.

    def action_search(self) -> None:
        self.post_message(self.SearchWanted())

    def look_for(self, query: str) -> None:
        """Mark every `query`, and go to the newest; "" ends the search."""
        self.search.look(query, self.items)
        self._found_row = None
        self.go_to_match(-1)
        self.refresh()

    def go_to_match(self, step: int) -> None:
        """Go to the next place with what is looked for, or the one before; what is folded there opens."""
        place = self.search.step(step)
        self.post_message(self.Searched())
        index = self._index(place.item) if place is not None else len(self.items)
        if place is None or index == len(self.items):
            return
        rows = rows_with(self.search.query, self._draw(index))
        if place.nth >= len(rows):
            place.item.open()
            self.changed(place.item)
            rows = rows_with(self.search.query, self._draw(index))
        offset = rows[min(place.nth, len(rows) - 1)] if rows else 0
        self._found_row = (place.item, offset)
        self._follows = False
        self._flush()
        self._bring_into_view(index, offset)
        self.refresh()

    def action_expand(self) -> None:
        if self._selected is None:
            self._step(-1)
        if self._selected is not None:
            self.toggle(self._selected)

    def toggle(self, call: CallItem) -> None:
        """Show or hide the output of `call`."""
        call.expanded = not call.expanded
        self.changed(call)
        self._flush()

    def action_expand_all(self) -> None:
        calls = self.calls
        expand = not all(call.expanded for call in calls)
        for call in calls:
            call.expanded = expand
            call.touch()
        self._mark(0)
        self._flush()

    def action_reply(self) -> None:
        self.post_message(self.ReplyWanted())

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None or self.text_selection is not None:
            return
        index = bisect_right(self._starts, self.scroll_offset.y + offset.y) - 1
        if 0 <= index < len(self.items) and isinstance(item := self.items[index], CallItem):
            self.select(item)
            self.toggle(item)
