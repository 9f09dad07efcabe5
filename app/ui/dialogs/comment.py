"""What the user has to say about a line."""

from typing import ClassVar

from textual.binding import Binding, BindingType

from app.ui.dialogs.text_dialog import TextDialog
from app.ui.widgets.writing_area import WritingArea


class CommentDialog(TextDialog):
    """Dismissed with the words, "" to remove the comment, None to leave things as they are. The line that the
    comment is on stays in view: the box stands in the other half of the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+r", "remove", "Remove")]
    kind = "comment"

    def __init__(self, place: str, row: int, text: str = "") -> None:
        """`row` is where on the screen the line is that the comment is on."""
        placeholder = "The agent hears this with its next turn"
        area = WritingArea(text, placeholder=placeholder)
        super().__init__(f"Comment on {place}", area, "Ctrl+R removes · " if text else "")
        self._row = row
        self._text = text

    def on_mount(self) -> None:
        is_above = self._row >= self.app.size.height / 2
        self.set_class(is_above, "above")
        self.area.move_cursor(self.area.document.end)

    def action_save(self) -> None:
        text = self.area.text.strip()
        self.dismiss(text if text or self._text else None)

    def action_remove(self) -> None:
        self.dismiss("" if self._text else None)
