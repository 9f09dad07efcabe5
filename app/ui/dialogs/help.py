"""Every key and what it does, from the table of actions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from app.ui.dialogs.dialog import Dialog
from app.ui.drawing.text import Span, wrap
from app.ui.keys.actions import ACTIONS, SCOPE_TITLES, Scope, in_scope
from app.ui.keys.keymap import Keymap, keymap_path, keys_of
from app.ui.keys.labels import key_label
from app.ui.widgets.line_view import LineView

Here = tuple[str, list[tuple[str, str]]]
"""A title, and keys with what they do."""
Tone = Literal["title", "key", "name", "note"]

_LEAST_WORDS = 44  # cells for what the keys do that the names must leave


@dataclass(frozen=True, slots=True)
class _Row:
    text: str
    tones: tuple[tuple[int, int, Tone], ...] = ()


class HelpLines(LineView):
    """The table as lines, wrapped to the width; the names that the keymap file uses beside it, or below."""

    has_cursor: ClassVar[bool] = False

    def __init__(self, keymap: Keymap, here: Here | None, first: Scope | None) -> None:
        super().__init__(id="help-lines")
        self._keymap = keymap
        self._here = here
        self._first = first
        self._rows: list[_Row] = []

    def on_resize(self) -> None:
        self._rows = list(self._lay_out(self.size.width))
        self.set_extent(len(self._rows), 1)

    def _lay_out(self, width: int) -> Iterator[_Row]:
        labels = {
            action.id: "  ".join(key_label(key) for key in keys_of(action.id, self._keymap))
            for action in ACTIONS
        }
        at = min(max(map(len, labels.values())), max(8, width // 3)) + 2
        room = max(10, width - at)
        longest = max(map(len, labels))
        shows_names = room - 2 - longest >= _LEAST_WORDS
        if shows_names:
            room -= 2 + longest
        if self._here is not None:
            name, own_keys = self._here
            yield _Row(name, ((0, len(name), "title"),))
            for left, right in own_keys:
                yield _Row(f"{left:<{at}}{right}", ((0, at, "key"),))
            yield _Row("")
        # The keys of where the user is come first.
        for scope, title in sorted(SCOPE_TITLES.items(), key=lambda one: one[0] != self._first):
            yield _Row(title, ((0, len(title), "title"),))
            for action in in_scope(scope):
                keys = wrap(labels[action.id], at - 2)
                words = wrap(action.description, room)
                for number in range(max(len(keys), len(words))):
                    left = keys[number] if number < len(keys) else ""
                    right = words[number] if number < len(words) else ""
                    text = f"{left:<{at}}{right}"
                    tones: tuple[tuple[int, int, Tone], ...] = ((0, at, "key"),)
                    if shows_names and number == 0:
                        text = f"{text:<{at + room}}  {action.id}"
                        tones = (*tones, (at + room, len(text), "name"))
                    yield _Row(text, tones)
                if not shows_names:
                    for part in wrap(action.id, room):
                        yield _Row(f"{'':<{at}}{part}", ((at, at + len(part), "name"),))
            yield _Row("")
        own = "Keys of your own"
        yield _Row(own, ((0, len(own), "title"),))
        for line in wrap(f'In {keymap_path()}, under [keys]: "review.keep" = "y"', max(10, width)):
            yield _Row(line, ((0, len(line), "note"),))

    def row_gutter(self, row: int, current: bool) -> list[Segment]:  # noqa: ARG002
        return []

    def body(self, row: int, left: int, width: int) -> tuple[str, Style, list[Span], int]:  # noqa: ARG002
        palette = self.palette
        styles = {
            "title": palette.primary + Style(bold=True),
            "key": palette.accent,
            "name": palette.faint,
            "note": palette.muted,
        }
        shown = self._rows[row]
        spans = [(start, end, styles[tone]) for start, end, tone in shown.tones]
        return shown.text, palette.text, spans, 0

    def row_text(self, row: int) -> str:
        return self._rows[row].text


class HelpScreen(Dialog[None]):
    """Closed by Esc, q or the key that opened it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,f1,question_mark", "leave", "Back")]

    def __init__(self, keymap: Keymap, here: Here | None = None, first: Scope | None = None) -> None:
        """`here` are the keys of an open dialog, `first` is the scope that the user is in."""
        super().__init__()
        self._lines = HelpLines(keymap, here, first)

    def compose(self) -> ComposeResult:
        with Vertical(id="help-box", classes="dialog") as box:
            box.border_title = "Keys"
            box.border_subtitle = "j k to move · Esc goes back"
            yield self._lines

    def action_leave(self) -> None:
        self.dismiss()
