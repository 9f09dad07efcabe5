"""The message of a commit."""

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static, TextArea

from app.review.errors import ReviewError
from app.ui.text import visible_block


class CommitDialog(ModalScreen[None]):
    """Asks for a message and commits. What a hook or git says against it is shown, and the message kept."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,ctrl+enter", "commit", "Commit"),
        Binding("escape", "leave", "Back"),
    ]

    def __init__(self, commit: Callable[[str], Awaitable[str]], *, kept: int, files: int, pending: int) -> None:
        super().__init__()
        self._commit = commit
        hunks = f"{kept} hunk{'' if kept == 1 else 's'} in {files} file{'' if files == 1 else 's'}"
        rest = f"[$accent]{pending} not decided yet stay as they are[/]" if pending else "everything is decided"
        self._facts = f"{hunks}, {rest}"

    def compose(self) -> ComposeResult:
        with Vertical(id="commit-box", classes="dialog") as box:
            box.border_title = "Commit what is kept"
            box.border_subtitle = "Ctrl+S commits · Esc goes back"
            yield Static(self._facts, id="commit-facts")
            area = TextArea(
                id="commit-message", highlight_cursor_line=False, placeholder="What changes, and why"
            )
            area.cursor_blink = False
            yield area
            with VerticalScroll(id="commit-output", can_focus=False):
                yield Static("", id="commit-error", markup=False)

    def on_mount(self) -> None:
        self.query_one("#commit-output").display = False
        self.query_one(TextArea).focus()

    def action_commit(self) -> None:
        message = self.query_one(TextArea).text.strip()
        if not message:
            self._say("Write a message first.")
            return
        self.run_worker(self._run(message), exclusive=True)

    async def _run(self, message: str) -> None:
        try:
            said = await self._commit(message)
        except ReviewError as error:
            if self.is_current:
                self._say(str(error))
            else:
                self.app.notify(str(error), severity="error", timeout=8)
            return
        self.app.notify(said, timeout=6)
        if self.is_current:
            self.dismiss()

    def _say(self, text: str) -> None:
        self.query_one("#commit-output").display = True
        self.query_one("#commit-error", Static).update(visible_block(text))

    def action_leave(self) -> None:
        self.dismiss()
