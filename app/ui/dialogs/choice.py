"""A question with several answers, each on a key."""

from collections.abc import Mapping
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from app.ui.dialogs.dialog import Dialog
from app.ui.keys.labels import key_label


class Choice(Dialog[str | None]):
    """Dismissed with the key of an answer, or None for none of them. `answers` has the words of each key."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Back")]

    def __init__(self, title: str, question: str, answers: Mapping[str, str], otherwise: str) -> None:
        """`otherwise` says what Esc does."""
        super().__init__()
        self._title = title
        self._question = question
        self._answers = answers
        self._otherwise = otherwise

    def compose(self) -> ComposeResult:
        with Vertical(id="confirm-box", classes="dialog") as box:
            box.border_title = self._title
            yield Static(self._question, id="confirm-question", markup=False)
            rows = [*self._answers.items(), ("escape", self._otherwise)]
            for key, words in rows:
                yield Static(f"[b $primary]{key_label(key):>4}[/]  {words}", classes="choice-answer")

    def on_key(self, event: events.Key) -> None:
        if event.key in self._answers:
            event.stop()
            self.dismiss(event.key)

    def action_leave(self) -> None:
        self.dismiss()
