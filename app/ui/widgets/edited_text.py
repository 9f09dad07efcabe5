"""What every text that is written in has of Textual's text area, and one fault less."""

from textual.geometry import Offset
from textual.widgets import TextArea


class EditedText(TextArea):
    """A text area that can lose any number of lines."""

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:
        # Where its scroll bar goes with the lines, Textual asks for this before it moves the cursor off them,
        # and again afterwards.
        if self.cursor_location[0] >= self.document.line_count:
            return Offset(0, 0)
        return super().scroll_cursor_visible(center, animate)
