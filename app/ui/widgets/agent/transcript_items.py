"""What a conversation is made of on the screen, each item as strips of a given width."""

from dataclasses import dataclass, field
from typing import Literal

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from app.ui.drawing.palette import Palette
from app.ui.drawing.text import wrap

_MOST_SAID = 40  # lines shown of what the user said: a pasted log is not read again here
LONGEST_LINE = 1_000  # characters of a line that are shown


def row_of(*parts: tuple[str, Style]) -> Strip:
    """One row of these texts, each in its style."""
    return Strip([Segment(text, style) for text, style in parts if text])


@dataclass
class Item:
    """One entry. `render` is called again after `touch`, another width, or another theme."""

    leads_with_blank: bool = field(default=False, init=False)
    # The palette itself, not its id, which after a change of theme may be the next one's.
    _drawn: tuple[int, Palette, list[Strip]] | None = field(default=None, init=False, repr=False)
    _guessed: tuple[int, int] | None = field(default=None, init=False, repr=False)

    def touch(self) -> None:
        """Forget what was drawn."""
        self._drawn = self._guessed = None

    @property
    def source(self) -> str:
        """The text that a search looks at."""
        return ""

    def open(self) -> None:
        """Show what is folded, for what was found in it."""

    def height(self, width: int) -> int:
        """How many rows this item has, as it was last drawn; a guess if it never was or has changed since."""
        if self._drawn is not None:
            return len(self._drawn[2])
        if self._guessed is None or self._guessed[0] != width:
            self._guessed = (width, self.guess(width))
        return self._guessed[1]

    def is_drawn_for(self, width: int, palette: Palette) -> bool:
        """Whether it was drawn at this width in these colours."""
        return self._drawn is not None and self._drawn[0] == width and self._drawn[1] is palette

    def strips(self, width: int, palette: Palette) -> list[Strip]:
        """The rows of this item, the blank one after it included."""
        if self._drawn is None or not self.is_drawn_for(width, palette):
            lead = [Strip.blank(width, palette.text)] if self.leads_with_blank else []
            self._drawn = (width, palette, [*lead, *self.render(width, palette)])
        return self._drawn[2]

    def render(self, width: int, palette: Palette) -> list[Strip]:
        raise NotImplementedError

    def guess(self, width: int) -> int:
        """About how many rows it will have, without drawing it."""
        raise NotImplementedError


def guessed_rows(text: str, width: int) -> int:
    """About how many rows `text` takes, wrapped to `width`."""
    return sum(1 + len(line) // max(8, width) for line in text.split("\n")) + 1


@dataclass
class UserItem(Item):
    """What the user said."""

    text: str

    @property
    def source(self) -> str:
        return self.text

    def render(self, width: int, palette: Palette) -> list[Strip]:
        base = palette.text + palette.user
        lines = self.text.split("\n")
        shown = "\n".join(line[:LONGEST_LINE] for line in lines[:_MOST_SAID])
        parts = [(line, base) for line in wrap(shown, max(8, width - 4))]
        if len(lines) > _MOST_SAID:
            parts.append((f"and {len(lines) - _MOST_SAID:,} more lines", base + palette.muted))
        rows = [row_of(("▌ ", base + palette.primary), part).extend_cell_length(width, base) for part in parts]
        return [*rows, Strip.blank(width, palette.text)]

    def guess(self, width: int) -> int:
        lines = self.text.split("\n")[:_MOST_SAID]
        return guessed_rows("\n".join(line[:LONGEST_LINE] for line in lines), width - 4)


@dataclass
class ReplyItem(Item):
    """What the model says, as Markdown; growing while it streams."""

    text: str = ""
    _settled: list[str] = field(default_factory=list, init=False, repr=False)
    _blocks: list[list[Strip]] = field(default_factory=list, init=False, repr=False)
    _look: tuple[int, Palette | None] = field(default=(0, None), init=False, repr=False)
    _tail: str = field(default="", init=False, repr=False)

    def append(self, text: str) -> None:
        """More of it arrived."""
        self.text += text
        self._tail += text
        from app.ui.drawing.markdown import stable_blocks  # noqa: PLC0415  the first frame has none

        *settled, self._tail = stable_blocks(self._tail) if self._tail else [""]
        self._settled += settled
        self.touch()

    @property
    def source(self) -> str:
        return self.text

    def render(self, width: int, palette: Palette) -> list[Strip]:
        from app.ui.drawing.markdown import render_markdown  # noqa: PLC0415

        if self._look[0] != width or self._look[1] is not palette:
            self._look, self._blocks = (width, palette), []
        for block in self._settled[len(self._blocks) :]:
            self._blocks.append(render_markdown(block, width - 1, palette))
        blocks = self._blocks
        if self._tail.strip():
            blocks = [*blocks, render_markdown(self._tail, width - 1, palette)]
        blank = Strip.blank(width, palette.text)
        rows = [strip for block in blocks if block for strip in (*block, blank)]
        return rows or [blank]

    def guess(self, width: int) -> int:
        return guessed_rows(self.text.rstrip("\n"), width)


@dataclass
class NoticeItem(Item):
    """A sentence from the workspace itself."""

    text: str
    severity: Literal["quiet", "note", "warning", "error"] = "note"

    @property
    def source(self) -> str:
        return self.text

    def render(self, width: int, palette: Palette) -> list[Strip]:
        tone = {
            "quiet": palette.faint,
            "note": palette.muted,
            "warning": palette.warning,
            "error": palette.error,
        }[self.severity]
        mark = {"quiet": "", "note": "· ", "warning": "! ", "error": "✗ "}[self.severity]
        style = palette.text + tone
        rows = [
            row_of((mark if number == 0 else " " * len(mark), style), (line, style))
            for number, line in enumerate(wrap(self.text, max(8, width - 3)))
        ]
        return [*rows, Strip.blank(width, palette.text)]

    def guess(self, width: int) -> int:
        return guessed_rows(self.text, width - 3)


@dataclass
class ProgressItem(Item):
    """How far the model has read the prompt."""

    processed: int = 0
    total: int = 0
    cached: int = 0

    def render(self, width: int, palette: Palette) -> list[Strip]:
        base = palette.text
        label = f"Reading {self.processed:,} of {self.total:,} tokens"
        if self.cached:
            label += f", {self.cached:,} known already"
        length = max(4, min(30, width - 2))
        filled = round(length * self.processed / self.total) if self.total else 0
        return [
            row_of((label[: width - 1], base + palette.muted)),
            row_of(("━" * filled, base + palette.primary), ("━" * (length - filled), base + palette.faint)),
            Strip.blank(width, base),
        ]

    def guess(self, width: int) -> int:  # noqa: ARG002
        return 3
