"""What the user has to say about a line."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static, TextArea

from app.ui.screens.dialog import Dialog
from app.ui.text import visible


class CommentDialog(Dialog[str | None]):
    """Dismissed with the words, "" to remove the comment, None to leave things as they are."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,ctrl+enter", "save", "Save"),
        Binding("ctrl+x", "remove", "Remove"),
        Binding("escape", "leave", "Back"),
    ]

    def __init__(self, place: str, quoted: str, text: str = "") -> None:
        super().__init__()
        self._place = place
        self._quoted = quoted
        self._text = text

    def compose(self) -> ComposeResult:
        with Vertical(id="comment-box", classes="dialog") as box:
            box.border_title = f"Comment on {visible(self._place)}"
            remove = "Ctrl+X removes · " if self._text else ""
            box.border_subtitle = f"Ctrl+S saves · {remove}Esc goes back"
            if self._quoted:
                yield Static(visible(self._quoted), id="comment-quoted", markup=False)
            area = TextArea(
                self._text,
                id="comment-text",
                highlight_cursor_line=False,
                placeholder="The agent hears this with its next turn",
            )
            area.cursor_blink = False
            yield area

    def on_mount(self) -> None:
        area = self.query_one(TextArea)
        area.focus()
        area.move_cursor(area.document.end)

    def action_save(self) -> None:
        text = self.query_one(TextArea).text.strip()
        self.dismiss(text if text or self._text else None)

    def action_remove(self) -> None:
        self.dismiss("" if self._text else None)

    def action_leave(self) -> None:
        self.dismiss()
