"""A list to choose from, of any length: the files of a review, its comments, its turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content

from app.ui.actions import key_label
from app.ui.screens.dialog import Dialog
from app.ui.text import Span, visible
from app.ui.widgets.line_view import LineView


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to choose. `head` and `tail` stand before and after its name; `tone` colours the head."""

    key: str
    name: str
    head: str = ""
    tail: str = ""
    tone: str = "muted"


class EntryLines(LineView):
    """The entries as lines."""

    def __init__(self, entries: Sequence[Entry], current: str) -> None:
        super().__init__(id="listing-lines")
        self.entries = entries
        self._current = current

    def on_mount(self) -> None:
        widths = (len(self._parts(row)[0]) for row in range(len(self.entries)))
        self.set_extent(len(self.entries), max(widths, default=0))
        keys = [entry.key for entry in self.entries]
        if self._current in keys:
            self.call_after_refresh(self.move_to, keys.index(self._current), centre=True)

    def _parts(self, row: int) -> tuple[str, int, int]:
        entry = self.entries[row]
        head = f" {visible(entry.head)} " if entry.head else " "
        name = visible(entry.name)
        return f"{head}{name}  {visible(entry.tail)}", len(head), len(head) + len(name)

    def row_gutter(self, row: int, current: bool) -> list[Segment]:  # noqa: ARG002
        return []

    def body(self, row: int, left: int, width: int) -> tuple[str, Style, list[Span], int]:  # noqa: ARG002
        text, start, end = self._parts(row)
        palette = self.palette
        tones = {"success": palette.success, "error": palette.error, "accent": palette.accent}
        tone = tones.get(self.entries[row].tone, palette.muted)
        return text, self.base_style(row), [(0, start, tone), (end, len(text), palette.muted)], 0

    def row_text(self, row: int) -> str:
        return self._parts(row)[0]


class Listing(Dialog[tuple[str, str] | None]):
    """Dismissed with a verb and the key of the entry it is for, or None. `verbs` says what keys do;
    the verb is the key."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "Back")]

    def __init__(
        self, title: str, entries: Sequence[Entry], verbs: Mapping[str, str], current: str = ""
    ) -> None:
        super().__init__()
        self._title = title
        self._verbs = verbs
        self._lines = EntryLines(entries, current)

    def compose(self) -> ComposeResult:
        with Vertical(id="listing-box", classes="dialog") as box:
            box.border_title = Content(visible(self._title))
            keys = [f"{key_label(key)} {words}" for key, words in self._verbs.items()]
            box.border_subtitle = " · ".join([*keys, "Esc goes back"])
            yield self._lines

    def on_mount(self) -> None:
        self._lines.styles.height = max(1, len(self._lines.entries))
        self._lines.focus()

    def on_key(self, event: events.Key) -> None:
        if event.key in self._verbs:
            event.stop()
            self.dismiss((event.key, self._lines.entries[self._lines.cursor_row].key))

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self._lines) if event.widget is self._lines else None
        if offset is not None and "enter" in self._verbs:
            row = self._lines.scroll_offset.y + offset.y
            if row < len(self._lines.entries):
                self.dismiss(("enter", self._lines.entries[row].key))

    def action_leave(self) -> None:
        self.dismiss()
