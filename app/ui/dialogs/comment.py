"""What the user has to say about a line."""

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Static

from app.ui.dialogs.text_dialog import TextDialog
from app.ui.drawing.text import visible
from app.ui.widgets.writing_area import WritingArea


class CommentDialog(TextDialog):
    """Dismissed with the words, "" to remove the comment, None to leave things as they are."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+r", "remove", "Remove")]
    kind = "comment"

    def __init__(self, place: str, quoted: str, text: str = "") -> None:
        placeholder = "The agent hears this with its next turn"
        area = WritingArea(text, placeholder=placeholder)
        super().__init__(f"Comment on {place}", area, "Ctrl+R removes · " if text else "")
        self._quoted = quoted
        self._text = text

    def above(self) -> Iterable[Static]:
        if self._quoted:
            yield Static(visible(self._quoted), id="comment-quoted", markup=False)

    def on_mount(self) -> None:
        self.area.move_cursor(self.area.document.end)

    def action_save(self) -> None:
        text = self.area.text.strip()
        self.dismiss(text if text or self._text else None)

    def action_remove(self) -> None:
        self.dismiss("" if self._text else None)
