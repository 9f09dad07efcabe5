"""Every setting with its value, changed here or in the file, whose comments stay as they are."""

import asyncio
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from app.errors import TidegateError
from app.settings.settings import Settings, check, load_settings, remember, settings_file
from app.ui.dialogs.dialog import Dialog
from app.ui.dialogs.listing import ListLines, ListRow
from app.ui.editor import edit
from app.ui.preferences.settings_rows import AT_ONCE, next_value, read_value, setting_rows
from app.ui.widgets.ask_line import AskLine

_KEYS = "Enter changes · e edits the file · Esc back"


class SettingsScreen(Dialog[None]):
    """Shows the settings as the file and the environment have them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "change", "Change it"),
        Binding("e", "edit_file", "Edit the file in $EDITOR"),
        Binding("escape,q", "leave", "Back"),
    ]

    class Changed(Message):
        """The settings are now these."""

        def __init__(self, settings: Settings) -> None:
            super().__init__()
            self.settings = settings

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self._lines = ListLines((), "")
        self._field = AskLine(id="settings-input")
        self._note = Static("", id="settings-note", markup=False)
        self._asked = ""

    def compose(self) -> ComposeResult:
        with Vertical(id="settings-box", classes="dialog") as box:
            box.border_title = "Settings · * holds from the next start on"
            box.border_subtitle = _KEYS
            yield self._lines
            yield self._note
            yield self._field

    def on_mount(self) -> None:
        self._show()
        self._lines.focus()
        self._say(str(settings_file()))

    def _show(self) -> None:
        row = self._lines.cursor_row
        rows = setting_rows(self.settings)
        names = {one.name: one.name + ("" if one.name in AT_ONCE else " *") for one in rows}
        name_width = max(map(len, names.values()))
        value_width = min(24, max(len(one.value) for one in rows))
        self._lines.show(
            [
                ListRow(
                    one.name,
                    f"{names[one.name]:<{name_width}}  {one.value[:value_width]:<{value_width}}",
                    tail=one.words,
                )
                for one in rows
            ]
        )
        self._lines.move_to(row)

    def _say(self, words: str, *, is_error: bool = False) -> None:
        self._note.update(words)
        self._note.set_class(is_error, "error")

    def action_change(self) -> None:
        name = self._lines.entries[self._lines.cursor_row].key
        row = next(one for one in setting_rows(self.settings) if one.name == name)
        value = next_value(name, self.settings)
        if value is not None:
            self._set(name, value)
        elif row.is_simple:
            self._asked = name
            self._field.open(f"{name}: {row.words}")
            if name != "api_key":
                self._field.value = row.value.strip('"')
                self._field.cursor_position = len(self._field.value)
        else:
            self.action_edit_file()

    def on_input_submitted(self, event: AskLine.Submitted) -> None:
        event.stop()
        self._close_field()
        self._set(self._asked, read_value(self._asked, event.value.strip()))

    def _close_field(self) -> bool:
        was_open = self._field.close()
        self._lines.focus()
        return was_open

    def _set(self, name: str, value: str | bool | float) -> None:
        async def write() -> None:
            try:
                check(name, value)
                await asyncio.to_thread(remember, name, value)
                settings = await asyncio.to_thread(load_settings)
            except TidegateError as error:
                self._say(str(error), is_error=True)
                return
            self._take(settings)
            when = "it holds at once" if name in AT_ONCE else "it holds from the next start on"
            if getattr(settings, name) != value:
                when = "the environment goes before it"
            self._say(f"{name} is written; {when}.")

        self.run_worker(write(), group="settings")

    def _take(self, settings: Settings) -> None:
        self.settings = settings
        self._show()
        self.app.post_message(self.Changed(settings))

    def action_edit_file(self) -> None:
        file = settings_file()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            edit(self.app, file, 1)
            self._take(load_settings())
        except (TidegateError, OSError) as error:
            self._say(str(error), is_error=True)
        self.app.refresh(layout=True)

    def action_leave(self) -> None:
        if not self._close_field():
            self.dismiss()
