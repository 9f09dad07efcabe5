"""The lines of a text area, divided as files are, and measured no more often than needed."""

from collections.abc import Sequence

from rich.cells import cell_len
from textual.document._document import Document, EditResult, Location
from textual.document._wrapped_document import WrappedDocument
from textual.expand_tabs import get_tab_widths
from textual.geometry import Size
from typing_extensions import override

from app.ui.drawing.text import with_signs


class LineDocument(Document):
    """Lines end at "\\n" alone: Textual's own document divides at form feeds and several separators of Unicode
    too, and writes each as a newline. The text and the widest line are remembered between two edits."""

    def __init__(self, text: str) -> None:
        super().__init__("")
        self._newline = "\n"
        self._lines = text.split("\n")
        self._text: str | None = text
        self._tab_width = 0
        self._widths: list[int] = []

    @property
    @override
    def text(self) -> str:
        if self._text is None:
            self._text = "\n".join(self._lines)
        return self._text

    @override
    def get_size(self, tab_width: int) -> Size:
        if tab_width != self._tab_width:
            self._tab_width = tab_width
            self._widths = self._measured(self._lines)
        return Size(max(self._widths), len(self._lines))

    def _measured(self, lines: Sequence[str]) -> list[int]:
        tab = self._tab_width
        return [
            len(line) if line.isascii() and "\t" not in line else cell_len(with_signs(line.expandtabs(tab)))
            for line in lines
        ]

    @override
    def replace_range(self, start: Location, end: Location, text: str) -> EditResult:
        (top, left), (bottom, right) = sorted((start, end))
        lines = self._lines
        old = self.get_text_range((top, left), (bottom, right))
        before = lines[top][:left] if top < len(lines) else ""
        after = lines[bottom][right:] if bottom < len(lines) else ""
        new = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        new[0] = before + new[0]
        end_location = (top + len(new) - 1, len(new[-1]))
        new[-1] += after
        lines[top : bottom + 1] = new
        self._text = None
        if self._tab_width:
            self._widths[top : bottom + 1] = self._measured(new)
        return EditResult(end_location, old)

    @override
    def get_text_range(self, start: Location, end: Location) -> str:
        (top, left), (bottom, right) = sorted((start, end))
        lines = self._lines[top : bottom + 1]
        if not lines:
            return ""
        if bottom < len(self._lines):
            lines[-1] = lines[-1][:right]
        lines[0] = lines[0][left:]
        return "\n".join(lines)


class WrappedLines(WrappedDocument):
    """Textual's rows of a document, without the work that lines need only where they are wrapped: it is done
    for every line whenever the size changes, and the height is counted anew for every row that is drawn."""

    @property
    @override
    def height(self) -> int:
        return len(self._offset_to_line_info)

    @override
    def wrap(self, width: int, tab_width: int | None = None) -> None:
        if width:
            super().wrap(width, tab_width)
            return
        self._width = 0
        self._tab_width = tab_width or self._tab_width
        lines = self.document.lines
        self._wrap_offsets = [[] for _ in lines]
        self._offset_to_line_info = [(number, 0) for number in range(len(lines))]
        self._line_index_to_offsets = [[number] for number in range(len(lines))]
        self._tab_width_cache = [
            [size for _, size in get_tab_widths(line, self._tab_width)] if "\t" in line else [0]
            for line in lines
        ]
