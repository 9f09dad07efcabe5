"""Rows of text as strips, cut to the visible columns, with the mouse's selection."""

from collections.abc import Sequence

from rich.style import Style
from textual.selection import Selection
from textual.strip import Strip

from app.ui.drawing.text import Span, paint


def text_strip(
    text: str, base: Style, spans: Sequence[Span], *, row: int, start: int, left: int, width: int
) -> Strip:
    """The cells [left, left + width) of `row`, whose `text` begins at cell `start`, filled up with `base`.

    The strip carries the offsets in the row by which the mouse marks text.
    """
    strip = Strip(paint(text, base, spans)).apply_offsets(start, row)
    return strip.crop_extend(left - start, left - start + width, base)


def marked_spans(marked: Selection | None, row: int, text: str, start: int, style: Style) -> list[Span]:
    """The part of `text`, which begins at cell `start` of `row`, that the mouse marked."""
    span = marked.get_span(row) if marked is not None else None
    if span is None:
        return []
    end = len(text) + start if span[1] == -1 else span[1]
    return [(span[0] - start, end - start, style)]
