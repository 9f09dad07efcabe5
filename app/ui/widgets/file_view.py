"""A file, drawn by line: numbers, syntax colour for the visible lines, search and wrapping."""

from bisect import bisect_right
from itertools import accumulate
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.cache import LRUCache

from app.editing.indentation import Indentation, guides, indentation_of
from app.editing.marks import NO_MARKS
from app.ui.drawing.gutter import GUIDE, gutter, gutter_width, with_guides
from app.ui.drawing.syntax import LazySyntax, lexer_for_path
from app.ui.drawing.text import Span, Wrapped, matches, visible, window, wrapped
from app.ui.widgets.gutter_signs import NO_PROBLEMS, GutterSigns
from app.ui.widgets.line_view import LineView

_LONG_LINE = 4_000  # characters; beyond, only a window of a line is drawn, without colour
_LONGEST_CHOPPED = 1_000_000  # characters of a line that is more than one cell for each
_MOST_COUNTED = 20_000  # lines in which matches are counted at every key
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


class FileView(LineView, GutterSigns):
    """The lines of one file."""

    has_cursor: ClassVar[bool] = True

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: list[str] = []
        self.wrap = False
        self.query_text = ""
        self._widest = 0
        self._syntax = LazySyntax(None, 0, self._line)
        self._found = (-1, 0)  # the line and character of the last match
        self._indentation = Indentation()
        self._wrapped: LRUCache[int, Wrapped] = LRUCache(64)
        self._row_starts: list[int] = []  # with wrapping: the first row of each line, and the end

    def show(self, path: str, lines: list[str], widest: int, line: int = 1) -> None:
        """Show `lines` of `path` with the cursor on `line`, counted from 1."""
        self.lines = lines
        self.marks, self.problems = NO_MARKS, NO_PROBLEMS
        self._indentation = indentation_of(lines, path)
        self._widest = widest
        self._syntax = LazySyntax(lexer_for_path(path), len(lines), self._line)
        self.query_text = ""
        self._found = (-1, 0)
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
        """Whether the file is short enough for wrapping, and its lines are."""
        return len(self.lines) <= _MOST_WRAPPED and not any(
            len(line) > _LONGEST_CHOPPED and not _is_simple(line) for line in self.lines
        )

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
        self.gutter_width = gutter_width(len(self.lines))
        if not self.wrap:
            self.set_extent(len(self.lines), self._widest + 1)
            return
        width = self._wrap_width
        self._wrapped.clear()
        rows = (self._rows(number, line, width) for number, line in enumerate(self.lines))
        self._row_starts = list(accumulate(rows, initial=0))
        self.set_extent(self._row_starts[-1], width)

    @property
    def _wrap_width(self) -> int:
        return max(8, self.room_width - self.gutter_width)

    def _rows(self, number: int, line: str, width: int) -> int:
        return max(1, -(-len(line) // width)) if _is_simple(line) else len(self._parts(number).starts)

    def _parts(self, number: int) -> Wrapped:
        """A line's rows; not for very long lines of simple text, which is looked at in parts only."""
        found = self._wrapped.get(number)
        if found is None:
            found = self._wrapped[number] = wrapped(visible(self.lines[number]), self._wrap_width)
        return found

    def _line_of(self, row: int) -> tuple[int, int]:
        """The line that `row` shows, and which of its wrapped parts."""
        if not self.wrap or not self._row_starts:
            return row, 0
        line = bisect_right(self._row_starts, row) - 1
        return line, row - self._row_starts[line]

    # Searching.

    def find(self, text: str, *, backwards: bool = False, from_cursor: bool = False) -> bool:
        """Move to the next match of `text` (small letters match both), around the end. False if none."""
        self.query_text = text
        self.refresh()
        count = len(self.lines)
        if not text or not count:
            return False
        start = self.line_number - 1
        at = self._found[1] if self._found[0] == start and not from_cursor else None
        if at is not None and self._go_to_match(start, text, at, backwards=backwards):
            return True
        step = -1 if backwards else 1
        for distance in range(0 if from_cursor else 1, count + 1):
            if self._go_to_match((start + step * distance) % count, text, None, backwards=backwards):
                return True
        return False

    @property
    def count(self) -> str:
        """Which match of how many the cursor is at, in words; "" where nothing is searched, or the file is so
        long that counting would be felt."""
        text = self.query_text
        if not text or len(self.lines) > _MOST_COUNTED:
            return ""
        fold = str.lower if text == text.lower() else str
        number, at = self._found
        counts = [fold(line).count(text) for line in self.lines]
        if not (total := sum(counts)):
            return "not found"
        if number < 0:
            return f"{total:,} found"
        here = sum(counts[:number]) + fold(self.lines[number])[:at].count(text) + 1
        return f"{min(here, total):,} of {total:,}"

    def _go_to_match(self, number: int, text: str, after: int | None, *, backwards: bool) -> bool:
        """Show the first match in a line, or the last, or the next one to character `after`."""
        line = self.lines[number]
        hay = line.lower() if text == text.lower() else line
        if backwards:
            at = hay.rfind(text) if after is None else hay.rfind(text, 0, max(0, after + len(text) - 1))
        else:
            at = hay.find(text, 0 if after is None else after + 1)
        if at < 0:
            return False
        self._found = (number, at)
        self.go_to_line(number + 1)
        self._show_column(number, at, len(text))
        return True

    def _show_column(self, number: int, at: int, length: int) -> None:
        line = self.lines[number]
        if self.wrap and self._row_starts:
            simple = _is_simple(line)
            starts = range(0, max(1, len(line)), self._wrap_width) if simple else self._parts(number).starts
            character = at if simple else len(visible(line[:at]))
            self.move_to(self._row_starts[number] + bisect_right(starts, character) - 1, centre=True)
            return
        left = at if len(line) > _LONG_LINE and line.isascii() else cell_len(visible(line[:at]))
        self.show_columns(left, left + length, self.room_width - self.gutter_width)

    # Drawing.

    def _line(self, number: int) -> str:
        line = self.lines[number]
        return visible(line) if len(line) <= _LONG_LINE else ""

    def row_gutter(self, row: int, current: bool) -> list[Segment]:
        line, part = self._line_of(row)
        return gutter(
            self.palette,
            self.marks,
            self.problems,
            number=line,
            part=part,
            count=len(self.lines),
            is_current=current,
            has_focus=self.has_focus,
        )

    def body(self, row: int, left: int, width: int) -> tuple[str, Style, list[Span], int]:
        number, part = self._line_of(row)
        line = self.lines[number]
        base = self.base_style(row)
        if len(line) > _LONG_LINE:
            return self._long_body(number, part, base, left, width)
        text = visible(line)
        syntax = self.palette.syntax
        spans = [(start, end, syntax[name]) for start, end, name in self._syntax.spans(number)]
        spans += matches(text, self.query_text, self.palette.match)
        cells = guides(self.lines, number, self._indentation)
        text = with_guides(text, cells)
        spans += [(cell, cell + 1, self.palette.faint) for cell in cells if text[cell : cell + 1] == GUIDE]
        if self.wrap:
            start, end = self._parts(number).part(part)
            return text[start:end], base, [(a - start, b - start, style) for a, b, style in spans], 0
        return text, base, spans, 0

    def _long_body(
        self, number: int, part: int, base: Style, left: int, width: int
    ) -> tuple[str, Style, list[Span], int]:
        """Of a very long line, no more than is in view is looked at."""
        line = self.lines[number]
        text, at = self._long_part(number, part) if self.wrap else ("", left)
        if not self.wrap:
            seen = window(line, left, width)
            text = visible(line[seen.start : seen.end])
        return text, base, matches(text, self.query_text, self.palette.match), at

    def _long_part(self, number: int, part: int) -> tuple[str, int]:
        line = self.lines[number]
        if _is_simple(line):
            width = self._wrap_width
            return visible(line[part * width : (part + 1) * width]), 0
        rows = self._parts(number)
        start, end = rows.part(part)
        return rows.text[start:end], 0

    def row_text(self, row: int) -> str:
        number, part = self._line_of(row)
        if not self.wrap:
            return visible(self.lines[number])
        return self._long_part(number, part)[0]

    def goes_on(self, row: int) -> bool:
        return self._line_of(row)[1] > 0


def _is_simple(line: str) -> bool:
    """Whether each character is one cell."""
    return line.isascii() and "\t" not in line
