"""Where one line of text is written."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Input


class LineInput(Input):
    """An input in which Option moves and deletes by words, as on a Mac everywhere: terminals that send it in
    xterm's form reach no binding of Textual's, or one that deletes to the right."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+left", "cursor_left_word", show=False),
        Binding("alt+right", "cursor_right_word", show=False),
        Binding("alt+backspace", "delete_left_word", show=False),
    ]
