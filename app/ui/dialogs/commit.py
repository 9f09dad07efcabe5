"""The message of a commit."""

from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from app.errors import TidegateError
from app.ui.background import begin_again
from app.ui.dialogs.dialog import Dialog
from app.ui.drawing.text import visible_block
from app.ui.widgets.writing_area import WritingArea


class CommitDialog(Dialog[str]):
    """Asks for a message and commits. What a hook or git says against it is shown, and the message kept.
    Dismissed with what was written and not committed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,ctrl+enter", "commit", "Commit"),
        Binding("ctrl+g", "suggest", "Suggest a message"),
        # Not with Alt: there a text takes the letter, and a Mac's keyboard writes another one.
        Binding("ctrl+o", "toggle_option('sign_off')", "Sign off"),
        Binding("ctrl+l", "toggle_option('amend')", "Amend"),
        Binding("escape", "leave", "Back"),
    ]

    def __init__(
        self,
        commit: Callable[[str, bool, bool], Awaitable[str]],
        *,
        hunks: int,
        files: int,
        pending: int,
        last_message: Callable[[], Awaitable[str]],
        message: str = "",
        suggest: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        """`commit` takes the message, whether to sign off and whether to amend; `last_message` is the one that
        amending begins with; `message` was written before; `suggest` makes a message."""
        super().__init__()
        self._message = message
        self._last_message = last_message
        self._commit = commit
        self._suggest = suggest
        self._options: set[str] = set()
        self._is_committing = False
        self._has_warned = False
        """Whether the user was told that leaving does not stop the commit."""
        counts = f"{hunks} hunk{'' if hunks == 1 else 's'} in {files} file{'' if files == 1 else 's'}"
        stay = f"{pending} undecided {'one is' if pending == 1 else 'ones are'} left out"
        rest = f"[$accent]{stay}[/]" if pending else "everything is decided"
        self._facts = f"{counts}, {rest}"

    def compose(self) -> ComposeResult:
        with Vertical(id="commit-box", classes="dialog") as box:
            box.border_title = "Commit"
            suggestion = "Ctrl+G suggests · " if self._suggest is not None else ""
            box.border_subtitle = f"Ctrl+S commits · {suggestion}Esc goes back"
            yield Static(self._facts, id="commit-facts")
            yield WritingArea(self._message, id="commit-message", placeholder="What changes, and why")
            yield Static(id="commit-options")
            with VerticalScroll(id="commit-output", can_focus=False):
                yield Static("", id="commit-error", markup=False)

    def on_mount(self) -> None:
        self.query_one("#commit-output").display = False
        self._show_options()
        area = self.query_one(WritingArea)
        area.focus()
        area.move_cursor(area.document.end)

    def _show_options(self) -> None:
        names = {"sign_off": "Sign off (Ctrl+O)", "amend": "Amend the last commit (Ctrl+L)"}
        self.query_one("#commit-options", Static).update(
            "    ".join(
                f"[@click=screen.toggle_option('{name}')]{'☑' if name in self._options else '☐'} {words}[/]"
                for name, words in names.items()
            )
        )

    def action_toggle_option(self, name: str) -> None:
        self._options ^= {name}
        self._show_options()
        if "amend" in self._options and not self.query_one(WritingArea).text.strip():
            begin_again(self, "amend", self._take_last_message)

    async def _take_last_message(self) -> None:
        message = await self._last_message()
        if self.is_left:
            return
        area = self.query_one(WritingArea)
        if not area.text.strip():
            area.load_text(message)
            area.move_cursor(area.document.end)

    def action_commit(self) -> None:
        message = self.query_one(WritingArea).text.strip()
        if not message:
            self._say("Write a message first.")
            return
        if self._is_committing:
            return
        self._is_committing = True
        self._say("Committing… The repository's hooks may take a while.", is_error=False)
        # Of the application, since git and its hooks are not interrupted when this dialog is left.
        self.app.run_worker(self._run(message), group="commit")

    async def _run(self, message: str) -> None:
        try:
            said = await self._commit(message, "sign_off" in self._options, "amend" in self._options)
        except TidegateError as error:
            if self.is_left:
                self.app.notify(str(error), severity="error", timeout=12)
            else:
                self._say(str(error))
            return
        finally:
            self._is_committing = False
        self.app.notify(said, timeout=6)
        if not self.is_left:
            self.dismiss("")

    def action_suggest(self) -> None:
        if self._suggest is not None:
            self._say("The model is reading the changes; you can go on writing.", is_error=False)
            begin_again(self, "suggest", self._fill, self._suggest)

    async def _fill(self, suggest: Callable[[], Awaitable[str]]) -> None:
        """Put the suggestion in where nothing was written meanwhile, else below."""
        try:
            text = await suggest()
        except TidegateError as error:
            self._say(str(error))
            return
        if self.is_left:
            return
        area = self.query_one(WritingArea)
        written = area.text.strip()
        area.load_text(f"{written}\n\n{text}" if written else text)
        self.query_one("#commit-output").display = False

    def _say(self, text: str, *, is_error: bool = True) -> None:
        if self.is_left:
            return
        self.query_one("#commit-output").display = True
        words = self.query_one("#commit-error", Static)
        words.set_class(not is_error, "quiet")
        words.update(visible_block(text))

    def action_leave(self) -> None:
        if self._is_committing and not self._has_warned:
            self._has_warned = True
            self._say(
                "git is committing and is not interrupted. Esc again leaves it to finish.", is_error=False
            )
            return
        self.dismiss(self.query_one(WritingArea).text)
