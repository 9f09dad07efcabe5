"""A hunk's new side, to be written differently."""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import TextArea

from app.errors import TidegateError
from app.ui.screens.dialog import Dialog


class EditHunkDialog(Dialog[str | None]):
    """Dismissed with the text, or None to leave the hunk as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,ctrl+enter", "save", "Save"),
        Binding("ctrl+g", "edit_outside", "In $EDITOR"),
        # Where Tab indents, the text would keep Escape for itself.
        Binding("escape", "leave", "Back", priority=True),
    ]

    def __init__(self, place: str, text: str, edit_outside: Callable[[str], str]) -> None:
        """`place` is where the hunk stands; `edit_outside` lets the user's editor change a text."""
        super().__init__()
        self._place = place
        self._text = text
        self._edit_outside = edit_outside

    def compose(self) -> ComposeResult:
        with Vertical(id="hunk-box", classes="dialog") as box:
            box.border_title = f"Edit {self._place}"
            box.border_subtitle = "Ctrl+S saves · Ctrl+G opens $EDITOR · Esc goes back"
            area = TextArea(self._text, id="hunk-text", soft_wrap=False, tab_behavior="indent")
            area.cursor_blink = False
            yield area

    def on_mount(self) -> None:
        area = self.query_one(TextArea)
        area.styles.height = min(max(6, self._text.count("\n") + 3), 30)
        area.focus()

    def action_save(self) -> None:
        self.dismiss(self.query_one(TextArea).text)

    def action_edit_outside(self) -> None:
        area = self.query_one(TextArea)
        try:
            area.load_text(self._edit_outside(area.text))
        except TidegateError as error:
            self.app.notify(str(error), severity="error", timeout=8)
        self.app.refresh(layout=True)

    def action_leave(self) -> None:
        self.dismiss()
