"""A list to choose from, of any length: the files of a review, its comments, its turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content

from app.ui.dialogs.dialog import Dialog
from app.ui.drawing.text import Span, visible
from app.ui.keys.labels import key_label
from app.ui.widgets.ask_line import AskLine
from app.ui.widgets.line_view import LineView

_MANY = 9  # entries, from which on one rather searches


@dataclass(frozen=True, slots=True)
class ListRow:
    """One row of a list. `head` and `tail` are drawn before and after the name; `tone` colours the head."""

    key: str
    name: str
    head: str = ""
    tail: str = ""
    tone: str = "muted"


class ListLines(LineView):
    """The entries as lines."""

    def __init__(self, entries: Sequence[ListRow], current: str) -> None:
        super().__init__(id="listing-lines")
        self.entries = entries
        self._current = current

    def on_mount(self) -> None:
        self.show(self.entries)
        keys = [entry.key for entry in self.entries]
        if self._current in keys:
            self.cursor_row = keys.index(self._current)
            # Where it stands by then: a key may have moved it before the list has its size.
            self.call_after_refresh(lambda: self.move_to(self.cursor_row, centre=True))

    def show(self, entries: Sequence[ListRow]) -> None:
        """Show these, with the cursor on the first."""
        self.entries = entries
        self.cursor_row = 0
        widths = (len(self._parts(row)[0]) for row in range(len(entries)))
        self.set_extent(len(entries), max(widths, default=0))

    def _parts(self, row: int) -> tuple[str, int, int]:
        entry = self.entries[row]
        head = f" {visible(entry.head)} " if entry.head else " "
        name = visible(entry.name)
        return f"{head}{name}  {visible(entry.tail)}", len(head), len(head) + len(name)

    def base_style(self, row: int) -> Style:
        # The choice is seen also while the words are written that narrow the list down.
        return self.palette.text + (self.palette.cursor_line if row == self.cursor_row else Style())

    def row_gutter(self, row: int, current: bool) -> list[Segment]:  # noqa: ARG002
        return []

    def body(self, row: int, left: int, width: int) -> tuple[str, Style, list[Span], int]:
        text, start, end = self._parts(row)
        if cell_len(text) > left + width:
            text = set_cell_size(text, left + width - 1).rstrip() + "…"
            start, end = min(start, len(text)), min(end, len(text))
        palette = self.palette
        tones = {"success": palette.success, "error": palette.error, "accent": palette.accent}
        tone = tones.get(self.entries[row].tone, palette.muted)
        return text, self.base_style(row), [(0, start, tone), (end, len(text), palette.muted)], 0

    def row_text(self, row: int) -> str:
        return self._parts(row)[0]


class Listing(Dialog[tuple[str, str] | None]):
    """Dismissed with a verb and the key of the entry it is for, or None. `verbs` says what keys do;
    the verb is the key. A slash narrows the list down."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Back"),
        Binding("slash", "search", "Search"),
    ]

    def __init__(
        self, title: str, entries: Sequence[ListRow], verbs: Mapping[str, str], current: str = ""
    ) -> None:
        super().__init__()
        self._title = title
        self._verbs = verbs
        self._entries = entries
        self._lines = ListLines(entries, current)
        self._field = AskLine(id="listing-input")

    def compose(self) -> ComposeResult:
        with Vertical(id="listing-box", classes="dialog") as box:
            box.border_title = Content(visible(self._title))
            keys = [f"{key_label(key)} {words}" for key, words in self._verbs.items()]
            keys += ["/ searches"] if len(self._entries) > _MANY else []
            box.border_subtitle = " · ".join([*keys, "Esc goes back"])
            yield self._lines
            yield self._field

    def on_mount(self) -> None:
        self._lines.styles.height = max(1, len(self._lines.entries))
        self._lines.focus()

    def on_key(self, event: events.Key) -> None:
        if self._field.has_focus:
            if event.key in ("up", "down"):
                event.stop()
                self._lines.move_to(self._lines.cursor_row + (1 if event.key == "down" else -1))
        elif event.key in self._verbs:
            event.stop()
            self._choose(event.key, self._lines.cursor_row)

    def _choose(self, verb: str, row: int) -> None:
        if row < len(self._lines.entries):
            self.dismiss((verb, self._lines.entries[row].key))

    def action_search(self) -> None:
        self._field.open("Words of what you look for")

    def on_input_changed(self, event: AskLine.Changed) -> None:
        event.stop()
        words = event.value.lower().split()
        texts = ((one, f"{one.head} {one.name} {one.tail}".lower()) for one in self._entries)
        self._lines.show([one for one, text in texts if all(word in text for word in words)])

    def on_input_submitted(self, event: AskLine.Submitted) -> None:
        """Where there is but one thing to do with an entry, it is done; else the list takes keys again."""
        event.stop()
        if list(self._verbs) == ["enter"]:
            self._choose("enter", self._lines.cursor_row)
        else:
            self._lines.focus()

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self._lines) if event.widget is self._lines else None
        if offset is not None and "enter" in self._verbs:
            self._choose("enter", self._lines.scroll_offset.y + offset.y)

    def action_leave(self) -> None:
        if self._field.close():
            self._lines.show(self._entries)
            self._lines.focus()
        else:
            self.dismiss()
