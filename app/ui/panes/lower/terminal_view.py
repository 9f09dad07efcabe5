"""What a program on the terminal draws, as rows; keys and mouse go to the program, or move in the rows."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import ClassVar

from pyte.screens import Char
from rich.style import Style
from textual import events
from textual.geometry import Offset
from textual.message import Message

from app.terminal.keys import key_bytes, mouse_bytes, paste_bytes
from app.terminal.screen import TerminalScreen
from app.ui.drawing.text import Span, visible_block
from app.ui.keys.keymap import Keymap, keys_of
from app.ui.widgets.line_view import LineView
from app.workspace.places import Place, places_in

_WHEEL_ROWS = 3
_BUTTONS = {1: 0, 2: 1, 3: 2}  # Textual's numbers, and what terminals send
_NAMES = ("black", "red", "green", "brown", "blue", "magenta", "cyan", "white")
_COLOURS = {name: number for number, name in enumerate((*_NAMES, *(f"bright{name}" for name in _NAMES)))}
_COLOURS["bfightmagenta"] = 13  # as pyte 0.8.2 spells it for backgrounds
"""pyte's names of the sixteen colours, by their numbers."""


def _colour(name: str) -> str | None:
    return None if name == "default" else f"color({_COLOURS[name]})" if name in _COLOURS else f"#{name}"


_attributes = itemgetter(slice(1, None))
"""What a cell is but its character."""


@lru_cache(1000)
def _style(attributes: tuple[str, str, bool, bool, bool, bool, bool, bool]) -> Style:
    """How a cell with these attributes is drawn."""
    cell = Char("", *attributes)
    return Style(
        color=_colour(cell.fg),
        bgcolor=_colour(cell.bg),
        bold=cell.bold or None,
        italic=cell.italics or None,
        underline=cell.underscore or None,
        strike=cell.strikethrough or None,
        reverse=cell.reverse or None,
        blink=cell.blink or None,
    )


class TerminalView(LineView):
    """Rows of history and screen. While it `is_typing`, all keys but those that leave go to the program."""

    has_cursor: ClassVar[bool] = True

    class Typed(Message):
        """The program is to be given `data`."""

        def __init__(self, data: bytes) -> None:
            super().__init__()
            self.data = data

    class ModeChanged(Message):
        """Keys go elsewhere from now on."""

    class Resized(Message):
        """There is room for another number of cells."""

    class OpenWanted(Message):
        """The user wants to see the place that a row names."""

        def __init__(self, place: Place) -> None:
            super().__init__()
            self.place = place

    def __init__(self, keymap: Keymap) -> None:
        super().__init__(id="terminal-view")
        self._leaving = keys_of("shell.leave", keymap)
        self.terminal = TerminalScreen(80, 24)
        self.is_typing = True
        self._held_button = 3

    # The program's screen.

    def show(self, screen: TerminalScreen) -> None:
        """Show what another program draws."""
        self.terminal = screen
        self.repaint()
        self._follow()

    def repaint(self) -> None:
        """The program has drawn something."""
        screen, follows = self.terminal, self.is_typing and self._is_at_end
        dirty, screen.dirty = screen.dirty, set()
        if screen.row_count != self.row_count or screen.columns != self.virtual_size.width:
            self.set_extent(screen.row_count, screen.columns)
        elif len(dirty) > screen.lines // 2:
            self.refresh()
        else:
            for line in dirty | {screen.cursor.y}:
                self.refresh_lines(screen.first_row + line)
        if follows:
            self._follow()

    @property
    def _is_at_end(self) -> bool:
        return self.scroll_offset.y >= self.row_count - self.size.height - 1

    def _follow(self) -> None:
        self.cursor_row = min(self.terminal.first_row + self.terminal.cursor.y, max(0, self.row_count - 1))
        self.scroll_to(x=0, y=max(0, self.row_count - self.size.height), animate=False, force=True)

    def body(self, row: int, left: int, width: int) -> tuple[str, Style, list[Span], int]:  # noqa: ARG002
        screen = self.terminal
        spans: list[Span] = []
        at, texts = 0, []
        cells = screen.cells(row)
        for attributes, run in groupby(cells, key=_attributes):
            text = "".join(one.data for one in run)
            texts.append(text)
            spans.append((at, at + len(text), _style(attributes)))
            at += len(text)
        if not self.is_typing:
            spans += [(place.start, place.end, Style(underline=True)) for place in places_in("".join(texts))]
        elif row == screen.first_row + screen.cursor.y and not screen.cursor.hidden:
            before = sum(len(cell.data) for cell in cells[: screen.cursor.x])
            spans.append((before, before + 1, Style(reverse=True) if self.has_focus else Style(underline=True)))
        return visible_block("".join(texts)), self.base_style(row), spans, 0

    def base_style(self, row: int) -> Style:
        return self.palette.text if self.is_typing else super().base_style(row)

    def row_text(self, row: int) -> str:
        return visible_block(self.terminal.text(row)) if row < self.terminal.row_count else ""

    def newest(self, most: int) -> list[str]:
        """The last rows with something in them, at most so many."""
        rows = [self.row_text(row) for row in range(max(0, self.row_count - 2 * most), self.row_count)]
        while rows and not rows[-1]:
            rows.pop()
        return rows[-most:]

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002
        self.post_message(self.Resized())

    # Typing, or reading.

    def type(self) -> None:
        """Keys go to the program."""
        self._set_typing(True)
        self._follow()

    def read(self) -> None:
        """Keys move in what was printed."""
        if self.is_typing:
            self._set_typing(False)
            self._follow()

    def _set_typing(self, is_typing: bool) -> None:
        self.is_typing = is_typing
        self.refresh()
        self.post_message(self.ModeChanged())

    def type_key(self, event: events.Key) -> bool:
        """Give a key to the program. False where it is one for the workspace."""
        if not self.is_typing or event.key in self._leaving:
            return False
        if data := key_bytes(event.key, event.character, self.terminal.private):
            self._follow()
            self.post_message(self.Typed(data))
        return True

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        if self.is_typing:
            self.post_message(self.Typed(paste_bytes(event.text, self.terminal.private)))

    def on_focus(self) -> None:
        super().on_focus()
        self.post_message(self.ModeChanged())
        self._tell_focus("I")

    def on_blur(self) -> None:
        super().on_blur()
        self._tell_focus("O")

    def _tell_focus(self, letter: str) -> None:
        if 1004 in self.terminal.private:
            self.post_message(self.Typed(f"\x1b[{letter}".encode()))

    # Places.

    def _places(self, row: int) -> Iterator[Place]:
        return places_in(self.row_text(row))

    def open(self) -> None:
        """Open what the row under the cursor names."""
        place = next(self._places(self.cursor_row), None)
        if place is not None:
            self.post_message(self.OpenWanted(place))

    def step(self, step: int) -> None:
        """Go to the next row that names a place, or the one before."""
        rows = range(self.cursor_row + 1, self.row_count) if step > 0 else range(self.cursor_row - 1, -1, -1)
        found = next((row for row in rows if next(self._places(row), None) is not None), None)
        if found is not None:
            self.move_to(found)

    # The mouse.

    @property
    def allow_select(self) -> bool:
        """The mouse marks text unless the program wants to have it."""
        return not self._gives_mouse

    @property
    def _gives_mouse(self) -> bool:
        return self.is_typing and bool(self.terminal.wants_mouse)

    def _tell_mouse(
        self, event: events.MouseEvent, button: int, *, released: bool = False, moved: bool = False
    ) -> bool:
        """Tell the program of the mouse. False where it does not want to know."""
        if not self._gives_mouse:
            return False
        event.stop()
        offset = event.get_content_offset_capture(self)
        line = offset.y + self.scroll_offset.y - self.terminal.first_row
        screen = self.terminal
        data = mouse_bytes(
            button,
            max(0, min(offset.x, screen.columns - 1)),
            max(0, min(line, screen.lines - 1)),
            screen.private,
            released=released,
            moved=moved,
        )
        if data:
            self.post_message(self.Typed(data))
        return True

    def on_mouse_down(self, event: events.MouseDown) -> None:
        button = _BUTTONS.get(event.button, 3)
        if self._tell_mouse(event, button):
            self._held_button = button
            self.capture_mouse()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        if self._tell_mouse(event, _BUTTONS.get(event.button, 3), released=True) or self._held_button != 3:
            self._held_button = 3
            self.release_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._tell_mouse(event, self._held_button, moved=True)

    def _on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        if not self._wheel(event, 65, "down"):
            super()._on_mouse_scroll_down(event)

    def _on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        if not self._wheel(event, 64, "up"):
            super()._on_mouse_scroll_up(event)

    def _wheel(self, event: events.MouseEvent, button: int, key: str) -> bool:
        if self._tell_mouse(event, button):
            return True
        if not (self.is_typing and self.terminal.is_alternate):
            return False
        # A full-screen program has no history to scroll in; most of them scroll by the cursor keys.
        event.stop()
        self.post_message(self.Typed(key_bytes(key, None, self.terminal.private) * _WHEEL_ROWS))
        return True

    def on_click(self, event: events.Click) -> None:
        if self._gives_mouse:
            event.stop()
            return
        super().on_click(event)
        offset: Offset | None = self.screen.get_widget_and_offset_at(event.screen_x, event.screen_y)[1]
        if offset is None or event.chain > 1:
            return
        place = next((one for one in self._places(offset.y) if one.start <= offset.x < one.end), None)
        if place is not None:
            self.post_message(self.OpenWanted(place))
