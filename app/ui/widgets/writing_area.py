"""Where several lines of text are written."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.strip import Strip

from app.ui.widgets.edited_text import EditedText


class WritingArea(EditedText):
    """A text area at rest, in a terminal of any size, in which Option moves by words (see LineInput)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+left", "cursor_word_left", show=False),
        Binding("alt+right", "cursor_word_right", show=False),
        Binding("alt+shift+left", "cursor_word_left(True)", show=False),
        Binding("alt+shift+right", "cursor_word_right(True)", show=False),
    ]

    def __init__(
        self, text: str = "", *, placeholder: str, id: str | None = None, compact: bool = False
    ) -> None:
        super().__init__(text, id=id, compact=compact, placeholder=placeholder, highlight_cursor_line=False)
        self.cursor_blink = False

    def render_line(self, y: int) -> Strip:
        # Textual cannot wrap the placeholder to no width at all.
        return super().render_line(y) if self.content_size.width else Strip.blank(0)
