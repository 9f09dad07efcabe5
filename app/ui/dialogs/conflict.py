"""Two versions of a file side by side, and which of them is to be."""

from collections.abc import Mapping
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from app.review.diff.compare import file_change
from app.review.model import FileImage
from app.ui.dialogs.dialog import Dialog
from app.ui.diff.view import DiffView
from app.ui.drawing.text import visible
from app.ui.keys.labels import key_label


class Conflict(Dialog[str | None]):
    """Shows what saving `mine` would change of `theirs` (None: there is no such file on the disk). Dismissed
    with the key of an answer, or None to decide later."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back"),
        Binding("s", "layout", "Layout"),
    ]

    def __init__(
        self, path: str, words: str, mine: bytes, theirs: bytes | None, answers: Mapping[str, str]
    ) -> None:
        """`words` say what has happened; `answers` what each key does."""
        super().__init__()
        self._path = path
        self._words = words
        self._mine, self._theirs = mine, theirs
        self._answers = answers
        self._view = DiffView(id="conflict-diff")

    def compose(self) -> ComposeResult:
        with Vertical(id="conflict-box", classes="dialog") as box:
            box.border_title = Content(visible(self._path))
            box.border_subtitle = "s side by side, or not · Esc goes back, and nothing is written"
            yield Static(self._words, id="conflict-words", markup=False)
            keys = "   ".join(
                f"[b $primary]{key_label(key)}[/] {words}" for key, words in self._answers.items()
            )
            yield Static(keys, id="conflict-answers")
            yield self._view

    def on_mount(self) -> None:
        before = FileImage(self._theirs) if self._theirs is not None else None
        change = file_change(self._path, before, FileImage(self._mine))
        self._view.set_changes((change,) if change is not None else ())
        self._view.focus()

    def on_diff_view_file_wanted(self, event: DiffView.FileWanted) -> None:
        self._view.know_file(event.change, self._mine.decode("utf-8", "replace").split("\n"))

    def on_key(self, event: events.Key) -> None:
        if event.key in self._answers:
            event.stop()
            self.dismiss(event.key)

    def action_layout(self) -> None:
        self._view.switch_arrangement()

    def action_leave(self) -> None:
        self.dismiss()
