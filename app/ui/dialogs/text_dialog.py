"""A text to be written, in a box."""

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widget import Widget
from textual.widgets import TextArea

from app.ui.dialogs.dialog import Dialog
from app.ui.drawing.text import visible


class TextDialog(Dialog[str | None]):
    """Dismissed with the text, or None to leave things as they are. `kind` names the box and its text."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,ctrl+enter", "save", "Save"),
        # Where Tab indents, the text would keep Escape for itself.
        Binding("escape", "leave", "Back", priority=True),
    ]
    kind: ClassVar[str]

    def __init__(self, title: str, area: TextArea, keys: str = "") -> None:
        """`keys` says what keys do besides saving and going back."""
        super().__init__()
        self.area = area
        area.id = f"{self.kind}-text"
        area.cursor_blink = False
        self._before = area.text
        self._title = title
        self._keys = f"Ctrl+S saves · {keys}"
        self._is_leaving = False

    def above(self) -> Iterable[Widget]:
        """The widgets above the text."""
        return ()

    def compose(self) -> ComposeResult:
        with Vertical(id=f"{self.kind}-box", classes="dialog") as box:
            box.border_title = Content(visible(self._title))
            yield from self.above()
            yield self.area

    def on_mount(self) -> None:
        self._stay()
        self.area.focus()

    def on_text_area_changed(self) -> None:
        self._stay()

    def _stay(self) -> None:
        self._is_leaving = False
        self.query_one(".dialog").border_subtitle = f"{self._keys}Esc goes back"

    def action_save(self) -> None:
        self.dismiss(self.area.text)

    def action_leave(self) -> None:
        if self._is_leaving or self.area.text == self._before:
            self.dismiss()
            return
        # One key more between a long text and nothing.
        self._is_leaving = True
        self.query_one(".dialog").border_subtitle = f"{self._keys}[b $warning]Esc again drops what you wrote[/]"
