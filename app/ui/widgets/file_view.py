"""A file, drawn by line: numbers, syntax colour for what is in view, search and wrapping."""

from bisect import bisect_right
from itertools import accumulate
from typing import ClassVar

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from rich.style import Style
from textual import events

from app.ui.syntax import LazySyntax, lexer_for_path
from app.ui.text import Span, visible, window
from app.ui.widgets.line_view import LineView

_LONG_LINE = 4_000  # characters; beyond, only a window of a line is drawn, without colour
_MOST_WRAPPED = 200_000  # lines; counting the rows of more would be felt


def measure(lines: list[str]) -> int:
    """The widest line's cells, exactly for ordinary lines and nearly for very long ones."""
    widest = 0
    for line in lines:
        length = len(line)
        if "\t" in line and length < _LONG_LINE:
            length = len(line.expandtabs(4))
        if not line.isascii():
            length = cell_len(line) if length < _LONG_LINE else 2 * length
        widest = max(widest, length)
    return widest


class FileView(LineView):
    """The lines of one file."""

    has_cursor: ClassVar[bool] = True

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: list[str] = []
        self.wrap = False
        self.query_text = ""
        self._widest = 0
        self._syntax = LazySyntax(None, 0, self._line)
        self._row_starts: list[int] = []  # with wrapping: the first row of each line, and the end

    def show(self, path: str, lines: list[str], widest: int, line: int = 1) -> None:
        """Show `lines` of `path` with the cursor on `line`, counted from 1."""
        self.lines = lines
        self._widest = widest
        self._syntax = LazySyntax(lexer_for_path(path), len(lines), self._line)
        self.query_text = ""
        self.cursor_row = 0
        self._measure()
        self.scroll_to(x=0, y=0, animate=False, force=True)
        self.go_to_line(line)

    def replace(self, path: str, lines: list[str], widest: int) -> None:
        """The same file with other content: the place stays."""
        row, top = self.cursor_row, self.scroll_offset.y
        self.lines, self._widest = lines, widest
        self._syntax = LazySyntax(lexer_for_path(path), len(lines), self._line)
        self.cursor_row = row
        self._measure()
        self.scroll_to(y=top, animate=False, force=True)

    @property
    def line_number(self) -> int:
        """The cursor's line, counted from 1."""
        return self._line_of(self.cursor_row)[0] + 1

    def go_to_line(self, line: int) -> None:
        """Put the cursor on `line`, counted from 1, or the nearest there is."""
        index = max(0, min(line - 1, len(self.lines) - 1))
        self.move_to(self._row_starts[index] if self.wrap and self._row_starts else index, centre=True)

    # Wrapping.

    def can_wrap(self) -> bool:
        """Whether the file is short enough for wrapping."""
        return len(self.lines) <= _MOST_WRAPPED

    def set_wrap(self, wrap: bool) -> None:
        """Wrap long lines at the view's width, or let them run off to the right."""
        line = self.line_number
        self.wrap = wrap
        self.scroll_to(x=0, animate=False, force=True)
        self._measure()
        self.go_to_line(line)

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002
        if self.wrap:
            self._measure()

    def _measure(self) -> None:
        self.gutter_width = max(3, len(str(len(self.lines)))) + 3
        if not self.wrap:
            self.set_extent(len(self.lines), self._widest + 1)
            return
        width = self._wrap_width
        rows = (self._rows(line, width) for line in self.lines)
        self._row_starts = list(accumulate(rows, initial=0))
        self.set_extent(self._row_starts[-1], width)

    @property
    def _wrap_width(self) -> int:
        return max(8, self.room_width - self.gutter_width)

    @staticmethod
    def _rows(line: str, width: int) -> int:
        if line.isascii() and "\t" not in line:
            return max(1, -(-len(line) // width))
        return max(1, len(chop_cells(visible(line), width)))

    def _line_of(self, row: int) -> tuple[int, int]:
        """The line that `row` shows, and which of its wrapped parts."""
        if not self.wrap or not self._row_starts:
            return row, 0
        line = bisect_right(self._row_starts, row) - 1
        return line, row - self._row_starts[line]

    # Searching.

    def find(self, text: str, *, backwards: bool = False, from_cursor: bool = False) -> bool:
        """Move to the next line that holds `text` (small letters match both), around the end. False if none."""
        self.query_text = text
        self.refresh()
        count = len(self.lines)
        if not text or not count:
            return False
        fold = text == text.lower()
        start = self.line_number - 1
        step = -1 if backwards else 1
        first = 0 if from_cursor else 1
        for distance in range(first, count + 1):
            line = (start + step * distance) % count
            if text in (self.lines[line].lower() if fold else self.lines[line]):
                self.go_to_line(line + 1)
                return True
        return False

    # Drawing.

    def _line(self, number: int) -> str:
        line = self.lines[number]
        return visible(line) if len(line) <= _LONG_LINE else ""

    def row_gutter(self, row: int, current: bool) -> list[Segment]:
        line, part = self._line_of(row)
        digits = self.gutter_width - 3
        label = f" {line + 1:>{digits}}  " if part == 0 else " " * self.gutter_width
        if not current:
            return [Segment(label, self.palette.text + self.palette.faint)]
        style = self.base_style(row)
        mark = self.palette.primary if self.has_focus else self.palette.faint
        return [Segment("▎", style + mark), Segment(label[1:], style + self.palette.muted)]

    def body(self, row: int, left: int, width: int) -> tuple[str, Style, list[Span], int]:
        number, part = self._line_of(row)
        line = self.lines[number]
        base = self.base_style(row)
        if len(line) > _LONG_LINE:
            left = part * self._wrap_width if self.wrap else left
            seen = window(line, left, width)
            text, start = visible(line[seen.start : seen.end]), 0 if self.wrap else left
            return text, base, self._matches(text), start
        text = visible(line)
        syntax = self.palette.syntax
        spans = [(start, end, syntax[name]) for start, end, name in self._syntax.spans(number)]
        spans += self._matches(text)
        if self.wrap:
            pieces = chop_cells(text, self._wrap_width) if text else [""]
            piece = pieces[part] if part < len(pieces) else ""
            skipped = sum(map(len, pieces[:part]))
            return piece, base, [(start - skipped, end - skipped, style) for start, end, style in spans], 0
        return text, base, spans, 0

    def _matches(self, text: str) -> list[Span]:
        query = self.query_text
        if not query:
            return []
        hay = text.lower() if query == query.lower() else text
        spans: list[Span] = []
        at = hay.find(query)
        while at >= 0:
            spans.append((at, at + len(query), self.palette.match))
            at = hay.find(query, at + len(query))
        return spans

    def row_text(self, row: int) -> str:
        number, _ = self._line_of(row)
        return visible(self.lines[number])
