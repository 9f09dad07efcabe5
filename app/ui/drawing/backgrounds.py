"""The colours of a widget's inner and outer background, cached by the colours alone."""

from functools import lru_cache

from textual._styles_cache import StylesCache
from textual.color import Color
from textual.style import Style

_CACHED = 1024  # pairs of colours, as Textual has it


@lru_cache(_CACHED)
def inner_outer(base_background: Color, background: Color) -> tuple[Style, Style]:
    """The styles inside and outside of a border."""
    return Style(background=base_background + background), Style(background=base_background)


def cache_by_colours() -> None:
    """Have Textual use it. Its own cache has a widget's drawn lines in its key too, and so holds the lines of
    hundreds of dialogs that were closed long ago."""
    StylesCache.get_inner_outer = staticmethod(inner_outer)  # type: ignore[method-assign,assignment]
