"""A hunk's new side, to be written differently."""

from collections.abc import Callable
from typing import ClassVar

from textual.binding import Binding, BindingType

from app.errors import TidegateError
from app.ui.dialogs.text_dialog import TextDialog
from app.ui.widgets.edited_text import EditedText


class EditHunkDialog(TextDialog):
    """Dismissed with the text, or None to leave the hunk unchanged."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+g", "edit_outside", "In $EDITOR")]
    kind = "hunk"

    def __init__(self, place: str, text: str, edit_outside: Callable[[str], str]) -> None:
        """`place` is the hunk's file and line; `edit_outside` lets the user's editor change a text."""
        area = EditedText(text, soft_wrap=False, tab_behavior="indent")
        super().__init__(f"Edit {place}", area, "Ctrl+G opens $EDITOR · ")
        self._edit_outside = edit_outside

    def action_edit_outside(self) -> None:
        try:
            self.area.load_text(self._edit_outside(self.area.text))
        except TidegateError as error:
            self.app.notify(str(error), severity="error", timeout=8)
        self.app.refresh(layout=True)
