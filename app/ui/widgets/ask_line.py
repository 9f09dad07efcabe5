"""One line that is asked for below a view: what to look for, or which line."""

from app.ui.widgets.line_input import LineInput


class AskLine(LineInput):
    """Hidden until it is opened."""

    def __init__(self, *, id: str | None = None) -> None:
        # Selected with the focus, what was written at once would be replaced by what comes next.
        super().__init__(id=id, compact=True, select_on_focus=False)
        self.display = False

    def open(self, words: str, value: str = "") -> None:
        """Ask with these words, which stand in the line while it is empty; it begins with `value`."""
        self.placeholder = words
        self.value = value
        self.cursor_position = len(value)
        self.display = True
        self.focus()

    def close(self) -> bool:
        """Hide the line. False if it was hidden."""
        was_open, self.display = self.display, False
        return was_open
