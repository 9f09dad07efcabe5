"""Every key and what it does, from the table of actions."""

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from app.ui.actions import SCOPE_TITLES, in_scope, key_label
from app.ui.keymap import Keymap, keymap_path, keys_of
from app.ui.text import Span
from app.ui.widgets.line_view import LineView

_KEYS = 24  # cells for the keys
_WORDS = 56  # and for what they do


class HelpLines(LineView):
    """The table as lines."""

    has_cursor: ClassVar[bool] = False

    def __init__(self, keymap: Keymap) -> None:
        super().__init__(id="help-lines")
        self.rows: list[tuple[str, str, str]] = []  # keys, description, id; a title has no keys
        for scope, title in SCOPE_TITLES.items():
            self.rows.append(("", title, ""))
            for action in in_scope(scope):
                keys = "  ".join(key_label(key) for key in keys_of(action.id, keymap))
                self.rows.append((keys, action.description, action.id))
            self.rows.append(("", "", ""))
        self.rows.append(("", "Keys of your own", ""))
        self.rows.append(("", f'In {keymap_path()}, under [keys]: "review.keep" = "y"', " "))

    def on_mount(self) -> None:
        self.set_extent(len(self.rows), max(len(self._text(row)) for row in range(len(self.rows))))

    def _text(self, row: int) -> str:
        keys, words, name = self.rows[row]
        if not name:
            return words
        return f"{keys:>{_KEYS}}  {words:<{_WORDS}}  {name}" if keys else words

    def row_gutter(self, row: int, current: bool) -> list[Segment]:  # noqa: ARG002
        return []

    def body(self, row: int, left: int, width: int) -> tuple[str, Style, list[Span], int]:  # noqa: ARG002
        palette = self.palette
        keys, words, name = self.rows[row]
        text = self._text(row)
        if not name:
            return text, palette.text, [(0, len(text), palette.primary + Style(bold=True))], 0
        if not keys:
            return text, palette.text, [(0, len(text), palette.muted)], 0
        at = _KEYS + 2
        spans = [
            (0, _KEYS, palette.accent),
            (at + max(_WORDS, len(words)), len(text), palette.faint),
        ]
        return text, palette.text, spans, 0

    def row_text(self, row: int) -> str:
        return self._text(row)


class HelpScreen(ModalScreen[None]):
    """Closed by Esc, q or the key that opened it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,f1,question_mark", "leave", "Back")]

    def __init__(self, keymap: Keymap) -> None:
        super().__init__()
        self._keymap = keymap

    def compose(self) -> ComposeResult:
        with Vertical(id="help-box", classes="dialog") as box:
            box.border_title = "Keys"
            box.border_subtitle = "j k to move · Esc goes back"
            yield HelpLines(self._keymap)

    def action_leave(self) -> None:
        self.dismiss()
