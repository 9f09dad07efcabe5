"""How the rows of a review look: headings, lines of either layout, lines around a hunk, comments."""

from collections.abc import Mapping, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.cache import LRUCache
from textual.strip import Strip

from app.review.desk import Words
from app.review.model import DiffLine, FileChange, Hunk
from app.ui.syntax import LazySyntax, lexer_for_path
from app.ui.text import Span, paint, visible, window
from app.ui.widgets.diff_layout import DiffLayout, Row, Shapes
from app.ui.widgets.hunk_painting import LONG_LINE, HunkPainting
from app.ui.widgets.line_view import LineView

KIND_LETTERS = {
    "modified": "M",
    "created": "A",
    "deleted": "D",
    "renamed": "R",
    "copied": "C",
    "combined": "U",
    "mode": "M",
    "binary": "B",
    "symlink": "L",
}
_NOTES = {
    "binary": "Binary file: nothing to show, but it can be decided as a whole.",
    "mode": "Only the file's mode changed.",
    "symlink": "A symbolic link changed.",
    "renamed": "Renamed without a change of content.",
    "copied": "Copied without a change of content.",
    "combined": "A merge; there is nothing to show.",
    "created": "A new, empty file.",
    "deleted": "An empty file was deleted.",
    "modified": "Nothing to show.",
}


class DiffDrawing(LineView):
    """Draws `rows`; who moves the cursor and makes the rows is the subclass."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.changes: Sequence[FileChange] = ()
        self.rows = DiffLayout((), Shapes(), split=False)
        self.split = False
        self.words = Words("keep", "kept", "reject", "rejected")
        self.misfits: Mapping[str, str] = {}
        self.folded: set[str] = set()
        self.query_text = ""
        self.ignores_space = False
        self.space_only: frozenset[str] = frozenset()
        self.whole: dict[str, Sequence[str]] = {}  # files by path, as far as they were read
        self.number_width = 3
        self.widest = 0  # cells of the longest line that was drawn: to look at all of them would take long
        self._paintings: LRUCache[tuple[int, int], HunkPainting] = LRUCache(48)
        self._whole_syntax: LRUCache[str, LazySyntax] = LRUCache(4)

    def widen(self) -> None:
        """Let the view scroll sideways as far as `widest` needs."""
        raise NotImplementedError

    def _seen(self, cells: int) -> None:
        if cells > self.widest:
            self.widest = cells
            # Not while a frame is being drawn.
            self.call_later(self.widen)

    @property
    def selected_rows(self) -> range:
        """The rows that are selected by line."""
        return range(0)

    def forget_drawings(self) -> None:
        """To be called when `changes` or `whole` have changed."""
        self._paintings.clear()
        self._whole_syntax.clear()

    @property
    def current_row(self) -> Row | None:
        """What the cursor is on."""
        return self.rows.row(self.cursor_row) if self.row_count else None

    def render_line(self, y: int) -> Strip:
        row = self.scroll_offset.y + y
        if y == 0 and 0 < row < self.row_count and self.rows.row(row).kind not in ("file", "gap"):
            return self._file_strip(self.rows.row(row), self.size.width, current=False)
        return super().render_line(y)

    def draw_row(self, row: int, width: int) -> Strip:
        place = self.rows.row(row)
        if place.kind == "gap":
            return Strip.blank(width, self.palette.text)
        if place.kind == "file":
            return self._file_strip(place, width, current=row == self.cursor_row)
        if place.kind == "hunk":
            return self._hunk_strip(place, width, row)
        if place.kind == "note":
            note = _NOTES[self.changes[place.file].kind]
            style = self.base_style(row)
            return Strip(
                [self._bar(place, style), Segment(f"   {note}", style + self.palette.muted)]
            ).crop_extend(0, width, style)
        if place.kind == "comment":
            return self._comment_strip(place, row, width)
        if self.split:
            return self._split_strip(place, row, width)
        return super().draw_row(row, width)

    # Headings and comments.

    def _file_strip(self, place: Row, width: int, *, current: bool) -> Strip:
        palette = self.palette
        change = self.changes[place.file]
        base = palette.header + (palette.cursor_line if current and self.has_focus else Style())
        tone = {"created": palette.success, "deleted": palette.error}.get(change.kind, palette.accent)
        name = visible(change.path)
        if change.previous_path is not None:
            name = f"{visible(change.previous_path)} → {name}"
        decided = sum(hunk.decision != "pending" for hunk in change.hunks)
        total = len(change.hunks)
        state = "✓ decided" if decided == total else f"{decided}/{total}"
        folded = "▸" if change.path in self.folded else "▾"
        tail = Strip(
            [
                Segment(f" +{change.added}", base + palette.success),
                Segment(f" −{change.removed}", base + palette.error),
                Segment(f"   {state} ", base + (palette.success if decided == total else palette.muted)),
            ]
        )
        head = Strip(
            [
                Segment("▌" if current else " ", base + palette.primary),
                Segment(f"{folded} ", base + palette.muted),
                Segment(f"{KIND_LETTERS[change.kind]} ", base + tone),
                Segment(name, base + palette.strong),
            ]
        )
        room = width - tail.cell_length
        if room < 12:
            return head.crop_extend(0, width, base)
        return Strip.join([head.crop_extend(0, room, base), tail])

    def _bar(self, place: Row, base: Style) -> Segment:
        """The left edge: it shows along all its rows which hunk a key would decide."""
        here = self.current_row
        chosen = here is not None and here.file == place.file and here.hunk == place.hunk
        tone = self.palette.primary if self.has_focus else self.palette.faint
        return Segment("▌" if chosen else " ", base + tone)

    def _hunk_strip(self, place: Row, width: int, row: int) -> Strip:
        palette = self.palette
        hunk = self.hunk_at(place)
        base = palette.text + palette.section
        if row == self.cursor_row and self.has_focus:
            base += palette.cursor_line
        mark, tone = {
            "pending": ("○ open", palette.accent),
            "kept": (f"✓ {self.words.taken}", palette.success),
            "rejected": (f"✗ {self.words.dropped}", palette.error),
        }[hunk.decision]
        extra: list[Segment] = []
        if misfit := self.misfits.get(hunk.id):
            mark, tone = "! does not fit", palette.error
            extra = [Segment(f"  {visible(misfit)}", base + palette.error)]
        elif hunk.id in self.space_only:
            extra = [Segment("  white space only", base + palette.muted)]
        where = f"  {hunk.before_start},{hunk.before_count} → {hunk.after_start},{hunk.after_count}"
        segments = [
            self._bar(place, base),
            Segment(f" {mark:<10}", base + tone),
            *extra,
            Segment(where, base + palette.faint),
            Segment(f"  {visible(hunk.section)}", base + palette.muted),
        ]
        return Strip(segments).crop_extend(0, width, base)

    def _comment_strip(self, place: Row, row: int, width: int) -> Strip:
        palette = self.palette
        remark = self.rows.shape(self.hunk_at(place)).comments[place.left or 0]
        base = palette.user
        if row == self.cursor_row and self.has_focus:
            base += palette.cursor_line
        lead = " " * (self.gutter_width - 3) + ("✎ " if remark.is_first else "  ")
        return Strip(
            [self._bar(place, base), Segment(lead, base + palette.primary), Segment(visible(remark.text), base)]
        ).crop_extend(0, width, base)

    # Lines.

    def _line_style(self, line: DiffLine, row: int, neutral: bool = False) -> Style:
        palette = self.palette
        base = self.base_style(row) if neutral or line.kind == "context" else palette.text
        if line.kind == "added" and not neutral:
            base += palette.added
        elif line.kind == "removed" and not neutral:
            base += palette.removed
        if row in self.selected_rows:
            base += palette.selection
        return base

    def _is_neutral(self, place: Row, index: int) -> bool:
        """Whether a changed line is drawn as if it were none."""
        return self.ignores_space and self._painting(place).is_space_only(index)

    def row_gutter(self, row: int, current: bool) -> list[Segment]:
        place = self.rows.row(row)
        palette = self.palette
        width = self.number_width
        if place.kind == "extra":
            base = self.base_style(row)
            numbers, sign, tone = (place.left, place.right), "┊", palette.faint
        else:
            line = self.hunk_at(place).lines[place.left or 0]
            base = self._line_style(line, row, self._is_neutral(place, place.left or 0))
            numbers, sign, tone = (line.before_number, line.after_number), self._sign(line), self._tone(line)
        before, after = (f"{number or '':>{width}}" for number in numbers)
        number = palette.strong if current and self.has_focus else palette.faint
        return [
            self._bar(place, base),
            Segment(f"{before} {after} ", base + number),
            Segment(f"{sign} ", base + tone),
        ]

    @staticmethod
    def _sign(line: DiffLine) -> str:
        return {"added": "+", "removed": "−", "context": " "}[line.kind]

    def _tone(self, line: DiffLine) -> Style:
        return {"added": self.palette.success, "removed": self.palette.error}.get(line.kind, self.palette.faint)

    def body(self, row: int, left: int, width: int) -> tuple[str, Style, list[Span], int]:
        place = self.rows.row(row)
        if place.kind == "extra":
            return self._extra_content(place, row, left, width)
        return self._content(place, place.left or 0, row, left, width)

    def _extra_content(self, place: Row, row: int, left: int, width: int) -> tuple[str, Style, list[Span], int]:
        """A line of the file that the diff does not hold."""
        path = self.changes[place.file].path
        lines = self.whole[path]
        number = (place.right or 1) - 1
        base = self.base_style(row)
        raw = lines[number] if number < len(lines) else ""
        if len(raw) > LONG_LINE:
            seen = window(raw, left, width)
            return visible(raw[seen.start : seen.end]), base, [], left
        syntax = self._whole_syntax.get(path)
        if syntax is None:
            syntax = self._whole_syntax[path] = LazySyntax(
                lexer_for_path(path),
                len(lines),
                lambda at: visible(lines[at]) if len(lines[at]) <= LONG_LINE else "",
            )
        text = visible(raw)
        self._seen(len(text))
        colours = self.palette.syntax
        spans: list[Span] = [(a, b, colours[name]) for a, b, name in syntax.spans(number)]
        return text, base, spans, 0

    def _content(
        self, place: Row, index: int, row: int, left: int, width: int
    ) -> tuple[str, Style, list[Span], int]:
        line = self.hunk_at(place).lines[index]
        neutral = self._is_neutral(place, index)
        base = self._line_style(line, row, neutral)
        if len(line.text) > LONG_LINE:
            seen = window(line.text, left, width)
            text = visible(line.text[seen.start : seen.end])
            self._seen(len(line.text))
            return text, base, self._matches(text), left
        text = visible(line.text)
        self._seen(len(text))
        painting = self._painting(place)
        syntax = self.palette.syntax
        spans: list[Span] = [(a, b, syntax[name]) for a, b, name in painting.syntax(index)]
        if line.kind != "context" and not neutral:
            mark = self.palette.added_word if line.kind == "added" else self.palette.removed_word
            spans += [(a, b, mark) for a, b in painting.words(index)]
        spans += self._matches(text)
        if not line.has_newline:
            spans.append((len(text), len(text) + 24, self.palette.faint))
            text += "  ∎ no newline at end"
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

    def _split_strip(self, place: Row, row: int, width: int) -> Strip:
        left_width = (width - 1) // 2
        halves = [
            self._half(place, row, left_width, is_left=True),
            self._half(place, row, width - 1 - left_width, is_left=False),
        ]
        rule = Strip([Segment("│", self.palette.text + self.palette.faint)])
        return Strip.join([halves[0], rule, halves[1]])

    def _half(self, place: Row, row: int, width: int, *, is_left: bool) -> Strip:
        index = place.left if is_left else place.right
        if index is None:
            bar = [self._bar(place, self.palette.filler)] if is_left else []
            return Strip(bar).crop_extend(0, width, self.palette.text + self.palette.filler)
        left = self.scroll_offset.x
        room = max(0, width - self.gutter_width)
        if place.kind == "extra":
            number: int | None = index
            sign, tone = "┊", self.palette.faint
            text, base, spans, start = self._extra_content(place, row, left, room)
        else:
            line = self.hunk_at(place).lines[index]
            number = line.before_number if is_left else line.after_number
            sign, tone = self._sign(line), self._tone(line)
            text, base, spans, start = self._content(place, index, row, left, room)
        current = row == self.cursor_row and self.has_focus
        gutter = [
            self._bar(place, base) if is_left else Segment(" ", base),
            Segment(
                f"{number or '':>{self.number_width}} ",
                base + (self.palette.strong if current else self.palette.faint),
            ),
            Segment(f"{sign} ", base + tone),
        ]
        body = Strip(paint(text, base, spans)).crop_extend(left - start, left - start + room, base)
        return Strip([*gutter, *body]).crop_extend(0, width, base)

    def hunk_at(self, place: Row) -> Hunk:
        """The hunk that a row belongs to."""
        return self.changes[place.file].hunks[place.hunk]

    def _painting(self, place: Row) -> HunkPainting:
        key = (place.file, place.hunk)
        found = self._paintings.get(key)
        if found is None:
            found = self._paintings[key] = HunkPainting(self.hunk_at(place), self.changes[place.file].path)
        return found

    def row_text(self, row: int) -> str:
        place = self.rows.row(row)
        if place.kind == "file":
            return self.changes[place.file].path
        if place.kind == "extra":
            lines = self.whole[self.changes[place.file].path]
            return visible(lines[(place.right or 1) - 1])
        if place.kind != "line":
            return ""
        index = place.right if place.right is not None else place.left
        return visible(self.hunk_at(place).lines[index or 0].text)
