"""One line that is asked for over the review."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content

from app.ui.dialogs.dialog import Dialog
from app.ui.drawing.text import visible
from app.ui.widgets.line_input import LineInput

_REMOVE = "\0"


class QuestionLine(Dialog[str | None]):
    """Dismissed with what was written, or None to leave things as they are; with REMOVED where what is there
    shall go. What it is about stays in view: the box stands in the other half of the screen."""

    REMOVED = _REMOVE
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", priority=True),
        Binding("ctrl+r", "remove", "Remove", priority=True),
    ]

    def __init__(self, title: str, placeholder: str, row: int, *, removes: str = "") -> None:
        """`row` is where on the screen that is; `removes` names what Ctrl+R removes, "" for nothing."""
        super().__init__()
        self._title = title
        self._row = row
        self._removes = removes
        self._input = LineInput(placeholder=placeholder, id="question-text")

    def compose(self) -> ComposeResult:
        with Vertical(id="question-box", classes="dialog") as box:
            box.border_title = Content(visible(self._title))
            removes = f"Ctrl+R removes {self._removes} · " if self._removes else ""
            box.border_subtitle = f"Enter asks · {removes}Esc goes back"
            yield self._input

    def on_mount(self) -> None:
        self.set_class(self._row >= self.app.size.height / 2, "above")
        self._input.cursor_blink = False
        self._input.focus()

    def on_input_submitted(self, event: LineInput.Submitted) -> None:
        event.stop()
        self.dismiss(event.value.strip())

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_remove(self) -> None:
        if self._removes:
            self.dismiss(self.REMOVED)
