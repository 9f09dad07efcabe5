"""One line that is asked for below a view: what to look for, or which line."""

from textual import events

from app.ui.widgets.line_input import LineInput

_ON_THE_WAY = 0.3  # seconds that keys may take from the terminal to here


class AskLine(LineInput):
    """Hidden until it is opened. What is typed ahead, before it has the focus, is meant for it."""

    def __init__(self, *, id: str | None = None) -> None:
        # Selected with the focus, what was typed ahead would be replaced by what comes next.
        super().__init__(id=id, compact=True, select_on_focus=False)
        self.display = False
        self._is_opening = False

    def open(self, placeholder: str) -> None:
        """Ask, with nothing written yet."""
        self.placeholder = placeholder
        self.value = ""
        self.display = self._is_opening = True
        self.focus()

    def on_focus(self) -> None:
        self.set_timer(_ON_THE_WAY, self._opened)

    def _opened(self) -> None:
        self._is_opening = False

    def close(self) -> bool:
        """Hide the line. False if it was hidden."""
        was_open, self.display, self._is_opening = self.display, False, False
        return was_open

    def take(self, event: events.Key) -> bool:
        """Write a key that was on its way to something else when the line was opened. False if it is none."""
        if not self._is_opening or event.character is None or not event.is_printable:
            return False
        self.insert_text_at_cursor(event.character)
        return True
