"""How the lines of a review look, in either layout: code with its colours and marks, and the file around it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from pygments.lexer import Lexer
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.cache import LRUCache
from textual.message import Message
from textual.strip import Strip

from app.review.model import DiffLine, FileChange, Hunk
from app.ui.diff.headings import DiffHeadings
from app.ui.diff.layout import Row
from app.ui.diff.painting import LONG_LINE, HunkPainting
from app.ui.diff.surroundings import Surroundings
from app.ui.drawing.syntax import LazySyntax, is_prepared, lexer_for_path
from app.ui.drawing.text import Span, Wrapped, matches, paint, visible, window, wrapped

_LEAST_ROOM = 8  # cells that a row of a wrapped line has, however narrow the view is
_NO_NEWLINE = "  ∎ no newline at end"
_FARTHEST = 50_000  # lines; a longer file is not read for the colours of what is beyond


class DiffDrawing(DiffHeadings):
    """Draws `rows`; who moves the cursor and makes the rows is the subclass."""

    class FileWanted(Message, namespace="diff_view"):
        """A hunk is in view of a file that is not known: what stands above the hunk tells its colours."""

        def __init__(self, change: FileChange, hunk: Hunk) -> None:
            super().__init__()
            self.change = change
            self.hunk = hunk

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.split = False
        self.wrap = False
        self.query_text = ""
        self.ignores_space = False
        self.around = Surroundings()
        self.number_width = 3
        self.marks_left = False  # the side on which the mouse marks text
        self.widest = 0  # cells of the longest line that was drawn: to look at all of them would take long
        self._paintings: LRUCache[tuple[int, int], HunkPainting] = LRUCache(48)
        self._whole_syntax: LRUCache[str, LazySyntax] = LRUCache(4)
        self._preparing: set[str] = set()  # files whose language has no lexer yet
        self._wanted: set[str] = set()  # files that were asked for
        self._wrapped: LRUCache[tuple[Row, bool], Wrapped] = LRUCache(256)

    def widen(self) -> None:
        """Let the view scroll sideways as far as `widest` needs."""
        raise NotImplementedError

    def seen(self, cells: int) -> None:
        """A line of so many cells was drawn, or is about to be."""
        if cells > self.widest:
            self.widest = cells
            # Not while a frame is being drawn.
            self.call_later(self.widen)

    def selects(self, row: int, *, is_left: bool) -> bool:  # noqa: ARG002
        """Whether the line in `row` is selected, on that side of the layout."""
        return False

    def forget_drawings(self) -> None:
        """To be called when `changes` or the files around them have changed."""
        self._paintings.clear()
        self._whole_syntax.clear()
        self._wanted.clear()

    def forget_wrapping(self) -> None:
        """To be called when the width or what is shown has changed."""
        self._wrapped.clear()

    def draw_row(self, row: int, width: int) -> Strip:
        place = self.rows.row(row)
        if self.split and place.kind in ("line", "extra"):
            return self._split_strip(place, row, width)
        return super().draw_row(row, width)

    # Wrapping.

    @property
    def room(self) -> int:
        """Cells for a line's text; also bytes that surely need no more."""
        width = (self.room_width - 1) // 2 if self.split else self.room_width
        return max(_LEAST_ROOM, width - self.gutter_width)

    def height(self, row: Row) -> int:
        """The rows that a line, a line around a hunk or a comment takes, at least 1."""
        if not self.split or row.kind == "comment":
            return len(self.rows_of(row, is_left=False).starts)
        return max(len(self.rows_of(row, is_left=is_left).starts) for is_left in (True, False))

    def rows_of(self, place: Row, *, is_left: bool) -> Wrapped:
        """What a row shows, whatever its part, on one side of the layout (unified: on the only one)."""
        key = (replace(place, part=0) if place.part else place, is_left)
        found = self._wrapped.get(key)
        if found is None:
            # A comment has the whole width in either layout.
            width = self.room_width - self.gutter_width if place.kind == "comment" else self.room
            found = self._wrapped[key] = wrapped(self._shown(place, is_left), max(_LEAST_ROOM, width))
        return found

    def _shown(self, place: Row, is_left: bool) -> str:
        if place.kind == "comment":
            return visible(self.rows.shape(self.hunk_at(place)).comments[place.left or 0].text)
        if place.kind == "extra":
            return visible(self._whole_line(place))
        index = place.left if is_left or not self.split else place.right
        if index is None:
            return ""
        line = self.hunk_at(place).lines[index]
        return visible(line.text) + ("" if line.has_newline else _NO_NEWLINE)

    def _whole_line(self, place: Row) -> str:
        lines = self.around.files[self.changes[place.file].path]
        number = (place.right or 1) - 1
        return lines[number] if number < len(lines) else ""

    # Lines.

    def _line_style(self, line: DiffLine, row: int, *, neutral: bool, is_left: bool) -> Style:
        palette = self.palette
        base = self.base_style(row) if neutral or line.kind == "context" else palette.text
        if line.kind == "added" and not neutral:
            base += palette.added
        elif line.kind == "removed" and not neutral:
            base += palette.removed
        if self.selects(row, is_left=is_left):
            base += palette.selection
        return base

    def _is_neutral(self, place: Row, index: int) -> bool:
        """Whether a changed line is drawn as if it were none."""
        return self.ignores_space and self._painting(place).is_space_only(index)

    def row_gutter(self, row: int, current: bool) -> list[Segment]:
        place = self.rows.row(row)
        palette = self.palette
        width = self.number_width
        numbers: tuple[int | None, int | None]
        if place.kind == "extra":
            base = self.base_style(row)
            numbers, sign, tone = (place.left, place.right), "┊", palette.faint
        else:
            line = self.hunk_at(place).lines[place.left or 0]
            neutral = self._is_neutral(place, place.left or 0)
            base = self._line_style(line, row, neutral=neutral, is_left=True)
            numbers, sign, tone = (line.before_number, line.after_number), self._sign(line), self._tone(line)
        if place.part:
            numbers, sign = (None, None), " "
        before, after = (f"{number or '':>{width}}" for number in numbers)
        number = palette.strong if current and self.has_focus else palette.faint
        return [
            self.bar(place, base),
            Segment(f"{before} {after} ", base + number),
            Segment(f"{sign} ", base + tone),
        ]

    @staticmethod
    def _sign(line: DiffLine) -> str:
        return {"added": "+", "removed": "−", "context": " "}[line.kind]

    def _tone(self, line: DiffLine) -> Style:
        return {"added": self.palette.success, "removed": self.palette.error}.get(line.kind, self.palette.faint)

    def body(self, row: int, left: int, width: int) -> tuple[str, Style, list[Span], int]:
        return self._content(self.rows.row(row), row, left, width, is_left=True)

    def _content(
        self, place: Row, row: int, left: int, width: int, *, is_left: bool
    ) -> tuple[str, Style, list[Span], int]:
        """What `LineView.body` answers, for one side of the layout (unified: for the only one)."""
        if place.kind == "extra":
            raw, base = self._whole_line(place), self.base_style(row)
        else:
            line = self.hunk_at(place).lines[self._index(place, is_left) or 0]
            neutral = self._is_neutral(place, self._index(place, is_left) or 0)
            raw, base = line.text, self._line_style(line, row, neutral=neutral, is_left=is_left)
        if len(raw) > LONG_LINE:
            return self._long_content(place, raw, base, left, width, is_left=is_left)
        if place.kind == "extra":
            text, spans = visible(raw), self._extra_spans(place)
        else:
            text, spans = self._line_spans(place, self._index(place, is_left) or 0)
        if not self.wrap:
            self.seen(cell_len(text))
            return text, base, spans, 0
        start, end = self.rows_of(place, is_left=is_left).part(place.part)
        return text[start:end], base, [(a - start, b - start, style) for a, b, style in spans], 0

    def _long_content(
        self, place: Row, raw: str, base: Style, left: int, width: int, *, is_left: bool
    ) -> tuple[str, Style, list[Span], int]:
        """Of a very long line, no more than is in view is looked at."""
        if self.wrap:
            rows = self.rows_of(place, is_left=is_left)
            start, end = rows.part(place.part)
            first = max(0, start - len(self.query_text))
            found = matches(rows.text[first : end + len(self.query_text)], self.query_text, self.palette.match)
            shift = first - start
            return rows.text[start:end], base, [(a + shift, b + shift, style) for a, b, style in found], 0
        self.seen(len(raw) if raw.isascii() else 2 * len(raw))
        seen = window(raw, left, width)
        text = visible(raw[seen.start : seen.end])
        return text, base, matches(text, self.query_text, self.palette.match), left

    def _index(self, place: Row, is_left: bool) -> int | None:
        """The line of the hunk that a row shows on one side of the layout."""
        return place.left if is_left or not self.split else place.right

    def _extra_spans(self, place: Row) -> list[Span]:
        """The colours of a line of the file that the diff does not hold."""
        path = self.changes[place.file].path
        lines = self.around.files[path]
        syntax = self._whole_syntax.get(path)
        if syntax is None:
            syntax = self._whole_syntax[path] = LazySyntax(
                self._lexer(path),
                len(lines),
                lambda at: visible(lines[at]) if len(lines[at]) <= LONG_LINE else "",
            )
        colours = self.palette.syntax
        return [(a, b, colours[name]) for a, b, name in syntax.spans((place.right or 1) - 1)]

    def _line_spans(self, place: Row, index: int) -> tuple[str, list[Span]]:
        """A line of the diff, and its colours and marks."""
        line = self.hunk_at(place).lines[index]
        text = visible(line.text)
        painting = self._painting(place)
        syntax = self.palette.syntax
        spans: list[Span] = [(a, b, syntax[name]) for a, b, name in painting.syntax(index)]
        if line.kind != "context" and not self._is_neutral(place, index):
            mark = self.palette.added_word if line.kind == "added" else self.palette.removed_word
            spans += [(a, b, mark) for a, b in painting.words(index)]
        spans += matches(text, self.query_text, self.palette.match)
        if not line.has_newline:
            spans.append((len(text), len(text) + len(_NO_NEWLINE), self.palette.faint))
            text += _NO_NEWLINE
        return text, spans

    def _split_strip(self, place: Row, row: int, width: int) -> Strip:
        left_width = (width - 1) // 2
        halves = [
            self._half(place, row, left_width, is_left=True),
            self._half(place, row, width - 1 - left_width, is_left=False),
        ]
        rule = Strip([Segment("│", self.palette.text + self.palette.faint)])
        return Strip.join([halves[0], rule, halves[1]])

    def _half(self, place: Row, row: int, width: int, *, is_left: bool) -> Strip:
        index = self._index(place, is_left)
        if index is None:
            bar = [self.bar(place, self.palette.filler)] if is_left else []
            return Strip(bar).crop_extend(0, width, self.palette.text + self.palette.filler)
        left = self.scroll_offset.x
        room = max(0, width - self.gutter_width)
        if place.kind == "extra":
            number: int | None = index
            sign, tone = "┊", self.palette.faint
        else:
            line = self.hunk_at(place).lines[index]
            number = line.before_number if is_left else line.after_number
            sign, tone = self._sign(line), self._tone(line)
        if place.part:
            number, sign = None, " "
        text, base, spans, start = self._content(place, row, left, room, is_left=is_left)
        current = row == self.cursor_row and self.has_focus
        gutter = [
            self.bar(place, base) if is_left else Segment(" ", base),
            Segment(
                f"{number or '':>{self.number_width}} ",
                base + (self.palette.strong if current else self.palette.faint),
            ),
            Segment(f"{sign} ", base + tone),
        ]
        if is_left == self.marks_left:
            spans = [*spans, *self.marked(row, text, start)]
        body = Strip(paint(text, base, spans)).apply_offsets(start, row)
        body = body.crop_extend(left - start, left - start + room, base)
        return Strip([*gutter, *body]).crop_extend(0, width, base)

    def _painting(self, place: Row) -> HunkPainting:
        key = (place.file, place.hunk)
        found = self._paintings.get(key)
        if found is None:
            change, hunk = self.changes[place.file], self.hunk_at(place)
            lexer = self._lexer(change.path)
            if lexer is not None:
                self._want_file(change, hunk)
            above = self.around.above(change, hunk)
            found = self._paintings[key] = HunkPainting(hunk, lexer, above)
        return found

    def _want_file(self, change: FileChange, hunk: Hunk) -> None:
        is_known = change.path in self.around.files or change.path in self._wanted
        if not is_known and 1 < hunk.after_start <= _FARTHEST:
            self._wanted.add(change.path)
            self.post_message(self.FileWanted(change, hunk))

    def know_file(self, change: FileChange, hunk: Hunk, lines: Sequence[str]) -> None:
        """The answer to FileWanted: the file after the change. Nothing happens if it is another one by now."""
        if any(one is change for one in self.changes) and self.around.know(change, hunk, lines):
            self._paintings.clear()
            self.refresh()

    def _lexer(self, path: str) -> Lexer | None:
        """The lexer for a file, None where there is none yet: then colours come a moment after the text."""
        if is_prepared(path):
            return lexer_for_path(path)
        if path not in self._preparing:
            self._preparing.add(path)
            self.run_worker(self._prepare(path), group="prepare")
        return None

    async def _prepare(self, path: str) -> None:
        await asyncio.to_thread(lexer_for_path, path)
        self._preparing.discard(path)
        self._paintings.clear()
        self._whole_syntax.clear()
        self.refresh()

    def comment_text(self, place: Row, text: str) -> str:
        if not self.wrap:
            return text
        start, end = self.rows_of(place, is_left=True).part(place.part)
        return text[start:end]

    # Copying with the mouse.

    def row_text(self, row: int) -> str:
        place = self.rows.row(row)
        if place.kind == "file":
            return self.changes[place.file].path
        if place.kind not in ("line", "extra"):
            return ""
        return self.body_text(row, is_left=not self.split or self.marks_left)

    def body_text(self, row: int, *, is_left: bool) -> str:
        """The text of a line's row on one side of the layout, without what is drawn around it."""
        place = self.rows.row(row)
        if self.wrap:
            rows = self.rows_of(place, is_left=is_left)
            start, end = rows.part(place.part)
            return rows.text[start:end].removesuffix(_NO_NEWLINE)
        if place.kind == "extra":
            return visible(self._whole_line(place))
        index = self._index(place, is_left)
        return visible(self.hunk_at(place).lines[index].text) if index is not None else ""

    def goes_on(self, row: int) -> bool:
        return self.rows.row(row).part > 0
