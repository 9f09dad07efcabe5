"""One line that is asked for below a view: what to look for, or which line."""

from textual import events
from textual.widgets import Input


class AskLine(Input):
    """Hidden until it is opened. What is typed before it has the focus is meant for it."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, compact=True)
        self.display = False

    def open(self, placeholder: str) -> None:
        """Ask, with nothing written yet."""
        self.placeholder = placeholder
        self.value = ""
        self.display = True
        self.focus()

    def close(self) -> bool:
        """Hide the line. False if it was hidden."""
        was_open, self.display = self.display, False
        return was_open

    def take(self, event: events.Key) -> None:
        """A key that reached what is around the line: it is taken if the line is open."""
        if self.display and event.character is not None and event.is_printable:
            event.stop()
            self.insert_text_at_cursor(event.character)
