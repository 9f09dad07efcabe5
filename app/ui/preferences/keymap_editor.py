"""Every action with its keys: another key at a press, what it clashes with, and presets."""

import asyncio
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from app.errors import TidegateError
from app.ui.dialogs.dialog import Dialog
from app.ui.dialogs.listing import ListLines, ListRow
from app.ui.keys.actions import ACTIONS, BY_ID, SCOPE_TITLES
from app.ui.keys.keymap import Keymap, clashing, keymap_path, keys_of, load_keymap, write_keys
from app.ui.keys.labels import key_label
from app.ui.preferences.presets import Preset, preset_keys
from app.ui.widgets.ask_line import AskLine

_HELP = "Enter another key · a one more · d default · / search · V P presets · Esc back"


class KeyCatcher(Static, can_focus=True):
    """Waits for one key, whatever it is."""

    class Caught(Message):
        """This key was pressed."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    async def _on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        self.post_message(self.Caught(event.key))


class KeymapEditor(Dialog[None]):
    """Writes keymap.toml, whose comments stay. What is changed holds at once."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "catch(False)", "Another key in place of these"),
        Binding("a", "catch(True)", "One more key"),
        Binding("d", "default", "The key that the table gives"),
        Binding("slash", "search", "Search"),
        Binding("V", "preset('vim')", "Vim's keys everywhere"),
        Binding("P", "preset('plain')", "No letters that move"),
        Binding("escape,q", "leave", "Back"),
    ]

    class Changed(Message):
        """The user's keys are now these."""

        def __init__(self, keymap: Keymap) -> None:
            super().__init__()
            self.keymap = keymap

    def __init__(self, keymap: Keymap) -> None:
        super().__init__()
        self.keymap = dict(keymap)
        self._lines = ListLines((), "")
        self._field = AskLine(id="keys-input")
        self._note = Static("", id="keys-note", markup=False)
        self._catcher = KeyCatcher("", id="keys-catcher")
        self._adds = False

    def compose(self) -> ComposeResult:
        with Vertical(id="keys-box", classes="dialog") as box:
            box.border_title = "Keys"
            box.border_subtitle = _HELP
            yield self._lines
            yield self._note
            yield self._catcher
            yield self._field

    def on_mount(self) -> None:
        self._catcher.display = False
        self._show("")
        self._lines.focus()
        self._say(str(keymap_path()))

    def _show(self, query: str) -> None:
        before = self._current
        rows = []
        for action in ACTIONS:
            keys = "  ".join(key_label(key) for key in keys_of(action.id, self.keymap))
            own = "yours" if action.id in self.keymap else ""
            where = f"{SCOPE_TITLES[action.scope]} · {action.description}"
            row = ListRow(action.id, f"{keys:<22} {where}", tail=f"{own} {action.id}".strip())
            if all(word in f"{row.name} {row.tail}".lower() for word in query.lower().split()):
                rows.append(row)
        self._lines.show(rows)
        names = [row.key for row in rows]
        if before in names:
            self._lines.move_to(names.index(before))

    @property
    def _current(self) -> str:
        rows = self._lines.entries
        return rows[self._lines.cursor_row].key if rows else ""

    def _say(self, words: str, *, is_error: bool = False) -> None:
        self._note.update(words)
        self._note.set_class(is_error, "error")

    # Keys.

    def action_catch(self, adds: bool) -> None:
        if not self._current:
            return
        self._adds = adds
        self._catcher.display = True
        self._catcher.update(f"Press the key for “{BY_ID[self._current].description}”; Esc leaves it as it is.")
        self._catcher.focus()

    def on_key_catcher_caught(self, event: KeyCatcher.Caught) -> None:
        self._catcher.display = False
        self._lines.focus()
        name = self._current
        if event.key == "escape" or not name:
            return
        before = keys_of(name, self.keymap) if self._adds else ()
        keys = tuple(dict.fromkeys((*before, event.key)))
        others = clashing(name, event.key, self.keymap)
        told = f"{key_label(event.key)} is set for {name}."
        if others:
            told = f"{told[:-1]}, and does {', '.join(others)} there too: change one of them."
        self._write({name: keys}, told, is_error=bool(others))

    def action_default(self) -> None:
        if self._current in self.keymap:
            self._write({self._current: ()}, f"{self._current} has the table's keys again.")

    def action_preset(self, preset: Preset) -> None:
        wanted = preset_keys(preset)
        others = {name: () for name in preset_keys("plain") if name not in wanted}
        self._write({**others, **wanted}, f"The keys are those of the preset “{preset}”, but for your own.")

    def _write(self, changes: Keymap, told: str, *, is_error: bool = False) -> None:
        async def write() -> None:
            try:
                await asyncio.to_thread(write_keys, changes)
                keymap = await asyncio.to_thread(load_keymap)
            except TidegateError as error:
                self._say(str(error), is_error=True)
                return
            self.keymap = dict(keymap)
            self.app.post_message(self.Changed(keymap))
            self._show(self._field.value if self._field.display else "")
            self._say(told, is_error=is_error)

        self.run_worker(write(), group="keys")

    # Searching.

    def action_search(self) -> None:
        self._field.open("Words of an action, or a key")

    def on_input_changed(self, event: AskLine.Changed) -> None:
        event.stop()
        self._show(event.value)

    def on_input_submitted(self, event: AskLine.Submitted) -> None:
        event.stop()
        self._lines.focus()

    def action_leave(self) -> None:
        if self._field.close():
            self._show("")
            self._lines.focus()
        else:
            self.dismiss()
