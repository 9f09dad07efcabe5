"""What a new agent beside the user's workspace is to do."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from app.ui.dialogs.dialog import Dialog
from app.ui.widgets.line_input import LineInput


class NewAgent(Dialog[str | None]):
    """Dismissed with the task, which may be empty, or None; `task` is what stands there at first."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back")]

    def __init__(self, task: str = "") -> None:
        super().__init__()
        self._begins_with = task

    def compose(self) -> ComposeResult:
        with Vertical(id="new-agent-box", classes="dialog") as box:
            box.border_title = "New agent"
            box.border_subtitle = "Enter begins · Esc goes back"
            yield Static(
                "It works beside you, in a git worktree that begins at your last commit; "
                "what is not committed is not in it. Its changes come over hunk by hunk, when you say so.",
                id="new-agent-words",
                markup=False,
            )
            yield LineInput(self._begins_with, placeholder="What shall it do?", id="new-agent-task")

    def on_mount(self) -> None:
        self.query_one(LineInput).focus()

    def on_input_submitted(self, event: LineInput.Submitted) -> None:
        event.stop()
        self.dismiss(event.value.strip())

    def action_leave(self) -> None:
        self.dismiss(None)
