"""The engine's status while it is not ready."""

from rich.text import Text
from textual.widget import Widget
from textual.widgets import Static

from app.model.events import EngineStatus
from app.ui.drawing.palette import Palette
from app.ui.drawing.text import sentence, visible

_LONGEST_BAR = 36  # cells


class EngineBanner(Static):
    """Not shown while there is an engine that works, or none that should."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("", id=id)

    def on_mount(self) -> None:
        self.display = False

    @property
    def _room(self) -> int:
        """Cells of the pane's width: the banner itself is perhaps not shown yet."""
        return self.parent.size.width if isinstance(self.parent, Widget) else 0

    def show(self, status: EngineStatus, restart_key: str, model_key: str) -> None:
        """Show `status`, and which keys help."""
        self.set_class(status.phase == "failed", "failed")
        self.display = status.phase not in ("ready", "stopped")
        palette = Palette.of(self.app)
        message = visible(status.message)
        match status.phase:
            case "failed":
                # What helps goes first: a small terminal has no room for all of the reason.
                text = Text(f"No model answers: {restart_key} tries again, and nothing was lost.\n")
                text.append(sentence(message), palette.error)
            case "absent":
                text = Text.assemble(
                    ("There is no model yet.", palette.warning), f"\n{model_key} shows how to get one."
                )
            case _:
                text = Text(message or f"The engine is {status.phase}…", style=palette.accent)
                if status.progress is not None:
                    length = max(8, min(_LONGEST_BAR, self._room - 12))
                    filled = round(length * status.progress)
                    text.append("\n" + "━" * filled, palette.primary)
                    text.append("━" * (length - filled), palette.faint)
                    text.append(f" {round(100 * status.progress)}%", palette.muted)
        self.update(text)
