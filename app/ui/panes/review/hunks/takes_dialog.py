"""Other takes of a hunk, a file or a turn, one after the other."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

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


class TakesDialog(Dialog[int | None]):
    """Dismissed with the index of the take that was chosen, or None. First is what is there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Back"),
        Binding("r,right,n,l", "turn(1)", "Next", priority=True),
        Binding("left,p,h", "turn(-1)", "Previous", priority=True),
        Binding("enter,a", "choose", "Choose", priority=True),
        *(Binding(str(number), f"show({number - 1})", show=False, priority=True) for number in range(1, 6)),
    ]

    def __init__(
        self,
        title: str,
        before: Mapping[str, FileImage | None],
        takes: Sequence[tuple[Mapping[str, FileImage | None], str]],
        note: str,
    ) -> None:
        """`takes` are what the files are in each, `before` without any, and what to say of it in one line; the
        first is what is there. `title` says of what they are, `note` what became of the rest."""
        super().__init__()
        self._title = title
        self._before = before
        self._takes = takes
        self._note = note
        self._shown = min(1, len(takes) - 1)
        self._view = DiffView(id="takes-diff")

    def compose(self) -> ComposeResult:
        with Vertical(id="takes-box", classes="dialog") as box:
            box.border_subtitle = "← → flip · Enter puts this one in · Esc goes back"
            yield Static(id="takes-words", markup=False)
            yield self._view

    def on_mount(self) -> None:
        self._view.focus()
        self._show()

    def _show(self) -> None:
        files, words = self._takes[self._shown]
        title = f"{visible(self._title)}: take {self._shown + 1} of {len(self._takes)}"
        self.query_one("#takes-box").border_title = Content(title)
        note = f"\n{self._note}" if self._note else ""
        self.query_one("#takes-words", Static).update(Content(f"{words}{note}"))
        changes = (file_change(path, self._before[path], image) for path, image in sorted(files.items()))
        self._view.set_changes([change for change in changes if change is not None])
        self._view.move_to(0)

    def action_turn(self, step: int) -> None:
        self._shown = (self._shown + step) % len(self._takes)
        self._show()

    def action_show(self, take: int) -> None:
        if take < len(self._takes):
            self._shown = take
            self._show()

    def action_choose(self) -> None:
        self.dismiss(self._shown - 1 if self._shown else None)

    def action_leave(self) -> None:
        self.dismiss(None)
