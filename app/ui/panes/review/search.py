"""The search in a diff: a line to write in, which is made when it is first opened."""

from typing import TYPE_CHECKING

from textual.widget import Widget

from app.ui.diff.view import DiffView

if TYPE_CHECKING:
    from app.ui.widgets.ask_line import AskLine


class Search:
    """Searches `view`. The line to write in is mounted in `pane`, which passes its events on."""

    def __init__(self, pane: Widget, view: DiffView) -> None:
        self._pane = pane
        self._view = view
        self._field: AskLine | None = None

    def open(self) -> None:
        """Ask for what to search for, unless there is nothing to search in."""
        if not self._view.display:
            return
        if self._field is None:
            from app.ui.widgets.ask_line import AskLine  # noqa: PLC0415  the first frame does without

            self._field = AskLine(id="review-input")
            self._pane.mount(self._field)
        self._field.open("Search; Enter finds, Esc leaves")

    def close(self) -> bool:
        """Hide the line. False if it was not open."""
        if self._field is None or not self._field.close():
            return False
        self._view.focus()
        return True

    def typed(self, text: str) -> None:
        """The text in the line changed: go to the first match."""
        if self._field is not None and self._field.display:
            self._view.find(text, from_cursor=True)

    def submitted(self, text: str) -> None:
        """Enter was pressed."""
        self.close()
        if text and not self._view.find(text, from_cursor=True):
            self._pane.app.notify(f"{text!r} is in no hunk.", severity="warning")
