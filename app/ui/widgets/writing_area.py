"""Where several lines of text are written."""

from textual.strip import Strip
from textual.widgets import TextArea


class WritingArea(TextArea):
    """A text area at rest, in a terminal of any size."""

    def __init__(
        self, text: str = "", *, placeholder: str, id: str | None = None, compact: bool = False
    ) -> None:
        super().__init__(text, id=id, compact=compact, placeholder=placeholder, highlight_cursor_line=False)
        self.cursor_blink = False

    def render_line(self, y: int) -> Strip:
        # Textual cannot wrap the placeholder to no width at all.
        return super().render_line(y) if self.content_size.width else Strip.blank(0)
