"""The user's own messages, newest first, found by words in them."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from app.ui.dialogs.dialog import Dialog
from app.ui.dialogs.listing import ListLines, ListRow


class HistoryScreen(Dialog[str | None]):
    """Dismissed with a message, or None. `history` has the newest last; `query` is looked for at once."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back"),
        Binding("down,ctrl+r", "step(1)", "Older"),
        Binding("up", "step(-1)", "Newer"),
        Binding("pagedown", "step(10)", "Older by ten"),
        Binding("pageup", "step(-10)", "Newer by ten"),
    ]

    def __init__(self, history: Sequence[str], query: str) -> None:
        super().__init__()
        self._messages = list(dict.fromkeys(reversed(history)))
        self._field = Input(query, placeholder="Words of a message", id="find-query", select_on_focus=True)
        self._lines = ListLines((), "")

    def compose(self) -> ComposeResult:
        with Vertical(id="find-box", classes="dialog") as box:
            box.border_title = "Your messages"
            box.border_subtitle = "Enter takes it · Ctrl+R older · Esc back"
            yield self._field
            yield self._lines

    def on_mount(self) -> None:
        self._lines.can_focus = False
        self._field.focus()
        self._show(self._field.value)

    def _show(self, query: str) -> None:
        words = query.lower().split()
        found = [
            (number, text)
            for number, text in enumerate(self._messages)
            if all(word in text.lower() for word in words)
        ]
        self._lines.show([ListRow(str(number), " ".join(text.split())) for number, text in found])
        self._lines.scroll_to(x=0, y=0, animate=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._show(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._take(self._lines.cursor_row)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self._lines) if event.widget is self._lines else None
        if offset is not None:
            self._take(self._lines.scroll_offset.y + offset.y)

    def _take(self, row: int) -> None:
        if row < len(self._lines.entries):
            self.dismiss(self._messages[int(self._lines.entries[row].key)])

    def action_step(self, rows: int) -> None:
        self._lines.move_to(self._lines.cursor_row + rows)

    def action_leave(self) -> None:
        self.dismiss()
