"""What the user said and the agent has not taken yet."""

from collections.abc import Sequence

from rich.text import Text
from textual.widgets import Static

from app.ui.drawing.palette import Palette
from app.ui.drawing.text import visible

_MOST = 4  # rows


class QueuedMessages(Static):
    """Not shown while nothing waits."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id, markup=False)

    def on_mount(self) -> None:
        self.display = False

    def show(self, told: Sequence[str], queued: Sequence[str], *, is_working: bool) -> None:
        """Show the messages that the running turn will be `told`, and those `queued` until it ends."""
        self.display = bool(told or queued)
        palette = Palette.of(self.app)
        waiting = [("next ", text) for text in told] + [("queued ", text) for text in queued]
        lines = [
            Text.assemble((word, palette.accent), (visible(text), palette.muted))
            for word, text in waiting[:_MOST]
        ]
        if queued and is_working:
            lines = [*lines[: _MOST - 1], Text("Enter again tells it now", palette.faint)]
        self.update(Text("\n").join(lines))
