"""Markdown as lines of cells, in the theme's colours."""

import io
from collections.abc import Iterator
from functools import lru_cache
from typing import ClassVar

from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import Heading, Markdown, MarkdownElement, TextElement
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from rich.theme import Theme
from textual.strip import Strip

from app.ui.drawing.palette import Palette
from app.ui.drawing.syntax import highlight_lines, lexer_for_language
from app.ui.drawing.text import visible, visible_block

_FENCES = ("```", "~~~")


class _Heading(Heading):
    """A heading at the left margin, without a box."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        yield self.text


class _Code(TextElement):
    """A fenced block, coloured by our own palette."""

    style_name = "none"

    @classmethod
    def create(cls, markdown: Markdown, token: Token) -> "_Code":
        assert isinstance(markdown, _Themed)
        return cls(markdown.palette, (token.info or "").split(" ")[0])

    def __init__(self, palette: Palette, language: str) -> None:
        self._palette = palette
        self._language = language

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        palette = self._palette
        lines = [visible(line) for line in str(self.text).rstrip("\n").split("\n")]
        lexer = lexer_for_language(self._language) if self._language else None
        coloured = highlight_lines(lines, lexer) if lexer is not None else [()] * len(lines)
        room = max(4, options.max_width - 4)
        for line, spans in zip(lines, coloured, strict=True):
            text = Text(line, style=palette.text + palette.code, no_wrap=False, end="")
            for start, end, name in spans:
                text.stylize(palette.syntax[name], start, end)
            for piece in text.wrap(console, room, tab_size=4):
                piece.pad_right(max(0, room - piece.cell_len))
                yield Text.assemble(
                    ("  ", palette.code), piece, ("  ", palette.code), style=palette.code, end="\n"
                )


class _Themed(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _Heading,
        "fence": _Code,
        "code_block": _Code,
    }

    def __init__(self, text: str, palette: Palette) -> None:
        self.palette = palette
        super().__init__(text, hyperlinks=False)


@lru_cache(maxsize=4)
def _console(key: tuple[Style, ...]) -> Console:
    text, muted, primary, accent, strong, code = key
    bold, none = Style(bold=True), Style()
    theme = Theme(
        {
            "markdown.paragraph": none,
            "markdown.text": none,
            "markdown.strong": strong,
            "markdown.em": Style(italic=True),
            "markdown.code": accent + code,
            "markdown.h1": primary + bold + Style(underline=True),
            "markdown.h2": primary + bold,
            "markdown.h3": strong,
            "markdown.h4": strong,
            "markdown.h5": muted + bold,
            "markdown.h6": muted,
            "markdown.link": primary,
            "markdown.link_url": primary + Style(underline=True),
            "markdown.block_quote": muted,
            "markdown.hr": muted,
            "markdown.item.bullet": primary,
            "markdown.item.number": primary,
            "markdown.list": none,
            "markdown.table.border": muted,
            "markdown.table.header": strong,
        },
        inherit=True,
    )
    return Console(
        file=io.StringIO(),
        theme=theme,
        color_system="truecolor",
        force_terminal=True,
        legacy_windows=False,
        style=text,
        width=80,
        highlight=False,
        emoji=False,
    )


def render_markdown(text: str, width: int, palette: Palette) -> list[Strip]:
    """`text` as strips of at most `width` cells."""
    console = _console(
        (palette.text, palette.muted, palette.primary, palette.accent, palette.strong, palette.code)
    )
    options = console.options.update(width=max(8, width), height=None, highlight=False)
    lines = console.render_lines(_Themed(visible_block(text), palette), options, style=palette.text, pad=True)
    strips = [Strip(Segment.simplify(line)) for line in lines]
    while strips and not strips[-1].text.strip():
        strips.pop()
    while strips and not strips[0].text.strip():
        strips.pop(0)
    return strips


def stable_blocks(text: str) -> Iterator[str]:
    """`text` cut at blank lines between top-level blocks: what comes later in a stream can change the last
    piece alone."""
    fence = ""
    block: list[str] = []
    blank = False
    for line in text.split("\n"):
        bare = line.strip()
        if blank and not fence and bare and not line[0].isspace():
            yield "\n".join(block)
            block = []
        if fence:
            if bare.startswith(fence) and not bare.strip(fence[0]):
                fence = ""
        elif bare.startswith(_FENCES):
            fence = bare[: len(bare) - len(bare.lstrip(bare[0]))]
        blank = not bare
        block.append(line)
    if block:
        yield "\n".join(block)
