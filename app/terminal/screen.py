"""The screen that a program draws: pyte's cells and cursor, with what pyte leaves out.

pyte (0.8.2) has no alternate screen, no scrollback that keeps apart from what is drawn, and takes every
character by itself. Its sequences are read in app.terminal.stream.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from copy import copy
from typing import Any

from pyte import charsets, modes
from pyte.screens import Char, Cursor, Margins, Screen, StaticDefaultDict
from typing_extensions import override
from wcwidth import wcwidth

Line = StaticDefaultDict[int, Char]
MOST_HISTORY = 10_000
"""Lines that scrolled off the top and can be read again."""

_ALTERNATE = (47, 1047, 1049)  # private modes of the alternate screen
_KEEPS_CURSOR = 1049
_COLUMNS_132 = 3  # would change the size, which is the pane's
_MOUSE = (1000, 1002, 1003)  # clicks; and movement with a button; and all movement


class TerminalScreen(Screen):
    """`lines` × `columns` cells, with a history of lines above them.

    `replies` are bytes that the terminal owes the program; `private` the private modes that are set.
    """

    def __init__(self, columns: int, lines: int) -> None:
        self.history: deque[Line] = deque(maxlen=MOST_HISTORY)
        self.replies: list[str] = []
        self.private: set[int] = set()
        self.bells = 0
        self._main: tuple[dict[int, Line], Cursor, int, int] | None = None
        self._made: dict[Char, dict[str, Char]] = {}
        super().__init__(columns, lines)

    # What programs ask for and pyte does not know.

    @property
    def is_alternate(self) -> bool:
        """Whether a full-screen program has a screen of its own, which leaves no history."""
        return self._main is not None

    @property
    def wants_mouse(self) -> int:
        """The mode in which the program wants to be told of the mouse; 0 where it does not."""
        return max((mode for mode in _MOUSE if mode in self.private), default=0)

    @override
    def reset(self) -> None:
        self._main = None
        self.private.clear()
        super().reset()

    @override
    def set_mode(self, *modes: int, **kwargs: Any) -> None:
        if not kwargs.get("private"):
            super().set_mode(*modes)
            return
        for mode in modes:
            self.private.add(mode)
            if mode in _ALTERNATE:
                self._enter_alternate()
            elif mode == 1048:
                self.save_cursor()
            elif mode != _COLUMNS_132:
                super().set_mode(mode, private=True)

    @override
    def reset_mode(self, *modes: int, **kwargs: Any) -> None:
        if not kwargs.get("private"):
            super().reset_mode(*modes)
            return
        for mode in modes:
            self.private.discard(mode)
            if mode in _ALTERNATE:
                self._leave_alternate(mode)
            elif mode == 1048:
                self.restore_cursor()
            elif mode != _COLUMNS_132:
                super().reset_mode(mode, private=True)

    def _enter_alternate(self) -> None:
        if self._main is not None:
            return
        self._main = (self.buffer, copy(self.cursor), self.lines, self.columns)
        self.buffer = defaultdict(lambda: StaticDefaultDict[int, Char](self.default_char))
        self.margins = None
        self.dirty.update(range(self.lines))

    def _leave_alternate(self, mode: int) -> None:
        if self._main is None:
            return
        lines, columns = self.lines, self.columns
        self.buffer, cursor, self.lines, self.columns = self._main
        self._main = None
        hidden = self.cursor.hidden
        if mode == _KEEPS_CURSOR:
            self.cursor = cursor
            self.cursor.hidden = hidden
        self.margins = None
        self.resize(lines, columns)
        self.ensure_hbounds()
        self.ensure_vbounds(use_margins=False)
        self.dirty.update(range(self.lines))

    @override
    def write_process_input(self, data: str) -> None:
        self.replies.append(data)

    @override
    def report_device_status(self, mode: int) -> None:
        if mode == 6 and modes.DECOM in self.mode and self.margins is None:
            # pyte takes it for granted that lines are counted from a margin only where there is one.
            self.write_process_input(f"\x1b[{self.cursor.y + 1};{self.cursor.x + 1}R")
        else:
            super().report_device_status(mode)

    @override
    def bell(self, *args: Any) -> None:
        self.bells += 1

    # Scrolling and size.

    @override
    def index(self) -> None:
        top, bottom = self.margins or Margins(0, self.lines - 1)
        if self.cursor.y == bottom and top == 0 and self._main is None:
            self.history.append(self.buffer[0])
        super().index()

    def next_line(self) -> None:
        """Go to the beginning of the next line."""
        self.carriage_return()
        self.linefeed()

    def scroll_up(self, count: int) -> None:
        """Move the lines between the margins up by `count`."""
        row, column = self.cursor.y, self.cursor.x
        self.cursor.y = (self.margins or Margins(0, self.lines - 1)).bottom
        for _ in range(min(count, self.lines)):
            self.index()
        self.cursor.y, self.cursor.x = row, column

    def scroll_down(self, count: int) -> None:
        """Move the lines between the margins down by `count`."""
        row, column = self.cursor.y, self.cursor.x
        self.cursor.y = (self.margins or Margins(0, self.lines - 1)).top
        for _ in range(min(count, self.lines)):
            self.reverse_index()
        self.cursor.y, self.cursor.x = row, column

    @override
    def resize(self, lines: int | None = None, columns: int | None = None) -> None:
        """The text stays where the cursor is: lines are taken from the top only if there are too many above it.
        What is cut at the right is there again in a wider screen; lines are not wrapped anew."""
        lines, columns = lines or self.lines, columns or self.columns
        if (lines, columns) == (self.lines, self.columns):
            return
        excess = max(0, self.cursor.y - lines + 1)
        if excess:
            kept = {row - excess: line for row, line in self.buffer.items() if row >= excess}
            if self._main is None:
                for row in range(excess):
                    self.history.append(self.buffer[row])
            self.buffer.clear()
            self.buffer.update(kept)
            self.cursor.y -= excess
        for row in [row for row in self.buffer if row >= lines]:
            del self.buffer[row]
        self.lines, self.columns = lines, columns
        self.margins = None
        self.cursor.x = min(self.cursor.x, columns)
        self.tabstops = set(range(8, columns, 8))
        self.dirty.update(range(lines))

    @override
    def delete_lines(self, count: int | None = None) -> None:
        # pyte leaves a line standing where nothing was ever written below.
        top, bottom = self.margins or Margins(0, self.lines - 1)
        if not top <= self.cursor.y <= bottom:
            return
        self.dirty.update(range(self.cursor.y, self.lines))
        for row in range(self.cursor.y, bottom + 1):
            below = row + (count or 1)
            line = self.buffer.pop(below, None) if below <= bottom else None
            if line is None:
                self.buffer.pop(row, None)
            else:
                self.buffer[row] = line
        self.carriage_return()

    @override
    def erase_in_display(self, how: int = 0, *args: Any, **kwargs: Any) -> None:
        if how == 3:
            self.history.clear()
        else:
            super().erase_in_display(how)

    # Drawing.

    @override
    def draw(self, data: str) -> None:
        is_plain = data.isascii() and modes.IRM not in self.mode and modes.DECAWM in self.mode
        if not is_plain or self.charset or self.g0_charset is not charsets.LAT1_MAP:
            for character in data:
                # Of a character without width that joins nothing, pyte would drop all that follows too.
                if wcwidth(character) >= 0 and (wcwidth(character) or self.cursor.x):
                    super().draw(character)
            return
        made = self._made_for(self.cursor.attrs)
        start = 0
        while start < len(data):
            if self.cursor.x >= self.columns:
                self.carriage_return()
                self.linefeed()
            column = self.cursor.x
            part = data[start : start + self.columns - column]
            self.buffer[self.cursor.y].update(
                zip(range(column, column + len(part)), map(made.__getitem__, part), strict=True)
            )
            self.cursor.x = column + len(part)
            self.dirty.add(self.cursor.y)
            start += len(part)

    def _made_for(self, style: Char) -> dict[str, Char]:
        """The cells of one style, by character: made once, because most of what is drawn is the same."""
        made = self._made.get(style)
        if made is None:
            if len(self._made) > 500:
                self._made.clear()
            made = self._made[style] = _Cells(style)
        return made

    # Reading.

    @property
    def row_count(self) -> int:
        """Rows of the history, unless a full-screen program hides it, and of the screen."""
        return self.lines + (0 if self.is_alternate else len(self.history))

    @property
    def first_row(self) -> int:
        """The row of the screen's first line."""
        return 0 if self.is_alternate else len(self.history)

    def cells(self, row: int) -> Sequence[Char]:
        """The cells of a row of history and screen, `columns` of them."""
        first = self.first_row
        line = self.history[row] if row < first else self.buffer[row - first]
        return [line[column] for column in range(self.columns)]

    def text(self, row: int) -> str:
        """The row as text, without the blanks at its end. A wide character is one character in it."""
        return "".join(cell.data for cell in self.cells(row)).rstrip()


class _Cells(dict[str, Char]):
    def __init__(self, style: Char) -> None:
        super().__init__()
        self._style = style

    def __missing__(self, character: str) -> Char:
        made = self[character] = self._style._replace(data=character)
        return made
