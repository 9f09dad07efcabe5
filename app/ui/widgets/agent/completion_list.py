"""The completions of the typed word, above the message field."""

from rich.style import Style
from rich.text import Text
from textual import events
from textual.message import Message
from textual.widgets import Static

from app.ui.completion import Candidate, Token
from app.ui.drawing.palette import Palette
from app.ui.drawing.text import visible

MOST_SHOWN = 8
"""Rows: a third of the lowest screen (24)."""


class CompletionList(Static):
    """Shown while there is something to choose. The message field keeps the focus and moves the choice."""

    class Chosen(Message):
        """The user clicked on a completion."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)
        self.token: Token | None = None
        self.candidates: list[Candidate] = []
        self.place = 0

    def on_mount(self) -> None:
        self.display = False

    @property
    def is_open(self) -> bool:
        """Whether there is something to choose."""
        return bool(self.candidates)

    @property
    def chosen(self) -> Candidate | None:
        """The one that would be taken."""
        return self.candidates[self.place] if self.candidates else None

    def show(self, token: Token, candidates: list[Candidate]) -> None:
        """Offer `candidates` for `token`; none closes the list."""
        self.token, self.candidates, self.place = token, candidates[:MOST_SHOWN], 0
        self._draw()

    def close(self) -> None:
        """Offer nothing."""
        if self.candidates:
            self.token, self.candidates = None, []
            self._draw()

    def move(self, step: int) -> None:
        """Choose the next or the previous one."""
        self.place = (self.place + step) % max(1, len(self.candidates))
        self._draw()

    def on_click(self, event: events.Click) -> None:
        if 0 <= event.y < len(self.candidates):
            self.place = event.y
            self.post_message(self.Chosen())

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002
        if self.candidates:
            self._draw()

    def _draw(self) -> None:
        self.display = bool(self.candidates)
        palette = Palette.of(self.app)
        width = max(10, self.size.width - 2)
        lines = []
        column = max((len(one.label) for one in self.candidates if one.description), default=0) + 2
        for number, one in enumerate(self.candidates):
            is_chosen = number == self.place
            label = visible(one.label)
            if len(label) > width - 2:
                label = f"…{label[-(width - 3) :]}"
            line = Text.assemble(
                ("▸ " if is_chosen else "  ", palette.primary),
                (label, palette.strong if is_chosen else Style()),
            )
            if one.description:
                line.append(" " * max(1, column - len(label)))
                line.append(visible(one.description), palette.muted)
            line.truncate(width, overflow="ellipsis")
            lines.append(line)
        self.update(Text("\n").join(lines))
