"""The keys that matter where the focus is, read from the table of actions."""

from collections.abc import Mapping

from rich.style import Style
from rich.text import Text

from app.ui.drawing.palette import Palette
from app.ui.keys.actions import Scope, in_scope
from app.ui.keys.keymap import Keymap, keys_of
from app.ui.keys.labels import key_label
from app.ui.widgets.one_line import OneLine


class HintLine(OneLine):
    """One line of keys; each can be clicked."""

    auto_links = False  # the keys have their own colours

    def __init__(self, keymap: Keymap, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._keymap = keymap
        self.scopes: tuple[Scope, ...] = ()
        """Whose hints are shown, innermost first."""
        self._names: Mapping[str, str] = {}
        self._words = ""

    def show(self, scopes: tuple[Scope, ...], words: str = "") -> None:
        """Show the hints of `scopes`, innermost first; where something is asked for, these words and only the
        hints of the outermost, since letters are written there."""
        if (scopes, words) != (self.scopes, self._words):
            self.scopes, self._words = scopes, words
            self.redraw()

    def rename(self, names: Mapping[str, str]) -> None:
        """Call actions, by their ids, something else than the table does; "" leaves one out."""
        if names != self._names:
            self._names = names
            self.redraw()

    def line(self, width: int, palette: Palette) -> Text:
        parts: list[Text] = []
        scopes = self.scopes[-1:] if self._words else self.scopes
        actions = [action for scope in scopes for action in in_scope(scope)]
        for action in actions:
            hint = self._names.get(action.id, action.hint)
            if hint:
                click = Style(meta={"@click": f"app.perform('{action.id}')"})
                key = key_label(keys_of(action.id, self._keymap)[0])
                parts.append(Text.assemble((key, palette.primary + click), (f" {hint}", palette.muted + click)))
        # What tells of all the others has its place, however narrow the line is.
        line, room = Text(f" {self._words}   " if self._words else " "), width - 2
        is_help = [action.id == "app.help" for action in actions if self._names.get(action.id, action.hint)]
        room -= sum(part.cell_len + 3 for part, keeps in zip(parts, is_help, strict=True) if keeps)
        for part, keeps in zip(parts, is_help, strict=True):
            if keeps:
                room += part.cell_len + 3
            elif line.cell_len + part.cell_len > room:
                continue
            line.append(part)
            line.append("   ")
        line.truncate(width)
        return line
