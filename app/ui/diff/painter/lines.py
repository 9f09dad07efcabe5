"""How the lines of a diff look, unified or side by side: numbers, signs, colours, changed words and matches."""

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from app.review.model import DiffLine
from app.ui.diff.model.diff_model import DiffModel
from app.ui.diff.model.rows import Row
from app.ui.diff.model.texts import NO_NEWLINE
from app.ui.diff.painter.colours import DiffColours
from app.ui.diff.painter.file_colours import LONG_LINE
from app.ui.diff.painter.frame import Frame
from app.ui.diff.painter.headings import edge
from app.ui.drawing.palette import Palette
from app.ui.drawing.strips import marked_spans, text_strip
from app.ui.drawing.text import Span, columns, matches, visible, window

if TYPE_CHECKING:
    from app.review.diff.meaning.moves import MovedLine

# A text, its style, its spans, and the cell at which it begins.
_Content = tuple[str, Style, list[Span], int]


class LinePainter:
    """Draws "line" and "extra" rows of `model`."""

    def __init__(self, model: DiffModel, colours: DiffColours) -> None:
        self._model = model
        self._colours = colours
        self.widest = 0
        """Cells of the longest line drawn so far: to measure all lines would take too long."""

    def unified(self, place: Row, row: int, frame: Frame) -> Strip:
        """A row of the unified layout."""
        model, palette = self._model, frame.palette
        text, base, spans, start = self._content(place, row, frame, is_left=True, width=self._code_width(frame))
        spans = [*spans, *marked_spans(frame.marked, row, text, start, palette.selection)]
        body = text_strip(
            text, base, spans, row=row, start=start, left=frame.left, width=self._code_width(frame)
        )
        numbers: tuple[int | None, int | None]
        if place.kind == "extra":
            numbers, sign, tone = (place.left, place.right), "┊ ", palette.faint
        else:
            line = model.hunk_of(place).lines[place.left or 0]
            numbers, tone = (line.before_number, line.after_number), _tone(line, palette)
            sign = self._sign(place, place.left or 0, line)
        if place.part:
            numbers, sign = (None, None), "  "
        before, after = (f"{number or '':>{model.number_width}}" for number in numbers)
        gutter = [
            edge(model, frame, place, base),
            Segment(f"{before} {after} ", base + _number_style(row, frame)),
            Segment(sign, base + tone),
        ]
        return Strip([*gutter, *body]).crop_extend(0, frame.width, base)

    def side_by_side(self, place: Row, row: int, frame: Frame) -> Strip:
        """A row with what was before the change on the left and what is after it on the right."""
        left_width = (frame.width - 1) // 2
        rule = Strip([Segment("│", frame.palette.text + frame.palette.faint)])
        return Strip.join(
            [
                self._half(place, row, frame, left_width, is_left=True),
                rule,
                self._half(place, row, frame, frame.width - 1 - left_width, is_left=False),
            ]
        )

    def _code_width(self, frame: Frame) -> int:
        return max(0, frame.width - self._model.gutter_width)

    def _half(self, place: Row, row: int, frame: Frame, width: int, *, is_left: bool) -> Strip:
        model, palette = self._model, frame.palette
        index = model.texts.index(place, is_left=is_left)
        if index is None:
            first = [edge(model, frame, place, palette.filler)] if is_left else []
            return Strip(first).crop_extend(0, width, palette.text + palette.filler)
        room = max(0, width - model.gutter_width)
        if place.kind == "extra":
            number: int | None = index
            sign, tone = "┊ ", palette.faint
        else:
            line = model.hunk_of(place).lines[index]
            number = line.before_number if is_left else line.after_number
            sign, tone = self._sign(place, index, line), _tone(line, palette)
        if place.part:
            number, sign = None, "  "
        text, base, spans, start = self._content(place, row, frame, is_left=is_left, width=room)
        if is_left == frame.selection.marks_left:
            spans = [*spans, *marked_spans(frame.marked, row, text, start, palette.selection)]
        gutter = [
            edge(model, frame, place, base) if is_left else Segment(" ", base),
            Segment(f"{number or '':>{model.number_width}} ", base + _number_style(row, frame)),
            Segment(sign, base + tone),
        ]
        body = text_strip(text, base, spans, row=row, start=start, left=frame.left, width=room)
        return Strip([*gutter, *body]).crop_extend(0, width, base)

    def _content(self, place: Row, row: int, frame: Frame, *, is_left: bool, width: int) -> _Content:
        """What one side of a row shows (unified: the only one), at least what of it is in view."""
        model, palette = self._model, frame.palette
        index = model.texts.index(place, is_left=is_left) or 0
        if place.kind == "extra":
            raw, base = model.texts.file_line(place), frame.base_style(row)
        else:
            line = model.hunk_of(place).lines[index]
            raw, base = line.text, self._line_style(place, index, row, frame, is_left=is_left)
        if len(raw) > LONG_LINE:
            return self._long_content(place, raw, base, frame, is_left=is_left, width=width)
        if place.kind == "extra":
            text = visible(raw)
            spans = [(a, b, palette.syntax[name]) for a, b, name in self._colours.of_file_line(place)]
        else:
            text, spans = self._line_spans(place, index, palette)
        if not model.wrap:
            self.widest = max(self.widest, cell_len(text))
            return text, base, spans, 0
        start, end = model.texts.wrapped(place, is_left=is_left).part(place.part)
        return text[start:end], base, [(a - start, b - start, style) for a, b, style in spans], 0

    def _long_content(
        self, place: Row, raw: str, base: Style, frame: Frame, *, is_left: bool, width: int
    ) -> _Content:
        """Of a very long line, only the part in view is read."""
        model = self._model
        query, match = model.query_text, frame.palette.match
        if model.wrap:
            whole = model.texts.wrapped(place, is_left=is_left)
            start, end = whole.part(place.part)
            first = max(0, start - len(query))
            found = matches(whole.text[first : end + len(query)], query, match)
            shift = first - start
            return whole.text[start:end], base, [(a + shift, b + shift, style) for a, b, style in found], 0
        self.widest = max(self.widest, len(raw) if raw.isascii() else 2 * len(raw))
        seen = window(raw, frame.left, width)
        text = visible(raw[seen.start : seen.end])
        return text, base, matches(text, query, match), frame.left

    def _line_style(self, place: Row, index: int, row: int, frame: Frame, *, is_left: bool) -> Style:
        palette = frame.palette
        line = self._model.hunk_of(place).lines[index]
        if line.kind == "context" or self._is_neutral(place, index):
            base = frame.base_style(row)
        elif (moved := self._moved(place, index)) is not None and moved.is_block and not moved.is_edited:
            base = palette.text + palette.moved
        else:
            base = palette.text + (palette.added if line.kind == "added" else palette.removed)
            if self._is_doubtful(place, index):
                base += palette.doubtful
        return base + palette.selection if frame.selects(row, is_left=is_left) else base

    def _line_spans(self, place: Row, index: int, palette: Palette) -> tuple[str, list[Span]]:
        """A line of the diff, with its colours and marks."""
        line = self._model.hunk_of(place).lines[index]
        text = visible(line.text)
        colours = self._colours.of_hunk(place)
        spans: list[Span] = [(a, b, palette.syntax[name]) for a, b, name in colours.syntax(index)]
        if line.kind != "context" and not self._is_neutral(place, index):
            mark = palette.added_word if line.kind == "added" else palette.removed_word
            moved = self._moved(place, index)
            words = colours.words(index) if moved is None else columns(line.text, moved.marks)
            spans += [(a, b, mark) for a, b in words]
        spans += matches(text, self._model.query_text, palette.match)
        if not line.has_newline:
            spans.append((len(text), len(text) + len(NO_NEWLINE), palette.faint))
            text += NO_NEWLINE
        return text, spans

    def _moved(self, place: Row, index: int) -> "MovedLine | None":
        hunk = self._model.hunk_of(place)
        if hunk.lines[index].kind == "context":
            return None  # what is known may be of the hunk as it was before its file changed
        return self._model.meaning.line(hunk.id, index)

    def _sign(self, place: Row, index: int, line: DiffLine) -> str:
        moved = self._moved(place, index)
        if moved is not None and not moved.is_edited:
            return {"added": "› ", "removed": "‹ "}[line.kind]
        sign = {"added": "+", "removed": "−", "context": " "}[line.kind]
        return sign + ("?" if self._is_doubtful(place, index) else " ")

    def _is_doubtful(self, place: Row, index: int) -> bool:
        return index in self._model.doubtful.get(self._model.hunk_of(place).id, ())

    def _is_neutral(self, place: Row, index: int) -> bool:
        """Whether a changed line is drawn as context: only its white space changed, or it was seen."""
        if self._model.is_seen(self._model.hunk_of(place).id, index):
            return True
        return self._model.ignores_space and self._colours.of_hunk(place).is_space_only(index)


def _tone(line: DiffLine, palette: Palette) -> Style:
    return {"added": palette.success, "removed": palette.error}.get(line.kind, palette.faint)


def _number_style(row: int, frame: Frame) -> Style:
    return frame.palette.strong if frame.has_focus and row == frame.cursor else frame.palette.faint
