"""Earlier sessions of this workspace: search, go on, copy, rename, export, delete."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, TypeVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from app.agent.session.history import to_markdown
from app.agent.session.index import SessionSummary, sessions
from app.agent.session.session import delete_session, fork_session, read_session, rename_session
from app.errors import TidegateError
from app.paths import expanded
from app.ui.background import begin_again
from app.ui.dialogs.confirm import Confirm
from app.ui.dialogs.dialog import Dialog
from app.ui.drawing.palette import Palette
from app.ui.drawing.text import age, visible
from app.ui.keys.actions import bindings
from app.ui.keys.keymap import keys_of
from app.ui.keys.labels import key_label
from app.ui.widgets.line_input import LineInput

_MOST_SHOWN = 200  # sessions
T = TypeVar("T")


def export_session(root: Path, session: str, name: str = "") -> Path:
    """Write a session to the file `name` below `root`, or to one named after it; returns where. Blocks on the
    disk. Raises TidegateError when there is such a file, or when it cannot be written."""
    target = root / (expanded(name) if name else f"session-{session}.md")
    try:
        with target.open("x", encoding="utf-8") as file:
            file.write(to_markdown(read_session(root, session)))
    except FileExistsError as error:
        raise TidegateError(f"{target} exists already", "give another name") from error
    except OSError as error:
        raise TidegateError(f"{target} cannot be written ({error.strerror})", "give another name") from error
    except ValueError as error:
        raise TidegateError(f"{name!r} is no name of a file ({error})", "give another name") from error
    return target


class SessionsScreen(Dialog[str | None]):
    """Dismissed with the id of the session to go on with, or None."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("sessions"))

    def __init__(self, root: Path, current: str | None, query: str) -> None:
        super().__init__()
        self._root = root
        self._current = current
        self._query = query
        self._found: list[SessionSummary] = []
        self._renaming: str | None = None

    def compose(self) -> ComposeResult:
        with Vertical(id="sessions-box", classes="dialog") as box:
            box.border_title = "Sessions"
            keymap = getattr(self.app, "user_keymap", {})
            keys = {
                name: key_label(keys_of(f"sessions.{name}", keymap)[0])
                for name in ("rename", "fork", "export", "delete", "leave")
            }
            box.border_subtitle = (
                f"Enter goes on · {keys['rename']} renames · {keys['fork']} copies · "
                f"{keys['export']} exports · {keys['delete']} deletes · {keys['leave']} goes back"
            )
            yield LineInput(self._query, placeholder="Search in what was said", id="sessions-query")
            yield OptionList(id="sessions-list", compact=True, markup=False)
            yield Static("", id="sessions-message", markup=False)

    def on_mount(self) -> None:
        self.query_one("#sessions-message").display = False
        self.query_one(OptionList).can_focus = False
        self.query_one(Input).focus()
        self._search()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._renaming is None:
            self._search()

    def _search(self) -> None:
        begin_again(self, "search", self._fill, self.query_one(Input).value)

    async def _fill(self, query: str) -> None:
        def find() -> list[SessionSummary]:
            found = []
            for summary in sessions(self._root, query):
                if summary.id != self._current:
                    found.append(summary)
                if len(found) == _MOST_SHOWN:
                    break
            return found

        self._found = await asyncio.to_thread(find)
        if self.is_left:
            return
        listed = self.query_one(OptionList)
        listed.clear_options()
        listed.add_options(Option(self._line(summary), id=summary.id) for summary in self._found)
        if self._found:
            listed.highlighted = 0
        nothing = "No earlier session has these words." if query else "There is no earlier session here."
        self._say("" if self._found else nothing)

    def _line(self, summary: SessionSummary) -> Text:
        palette = Palette.of(self.app)
        turns = f"{summary.turns} turn{'s' if summary.turns != 1 else ''}"
        when = f"{age(time.time() - summary.used):>10}"
        return Text.assemble(
            (when, palette.muted),
            (f"  {turns:>9}  ", palette.faint),
            (visible(summary.title), palette.strong),
            no_wrap=True,
            overflow="ellipsis",
        )

    @property
    def _chosen(self) -> SessionSummary | None:
        place = self.query_one(OptionList).highlighted
        return self._found[place] if place is not None and place < len(self._found) else None

    def _say(self, text: str) -> None:
        if self.is_left:
            return
        field = self.query_one("#sessions-message", Static)
        field.display = bool(text)
        field.update(visible(text))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(event.option_id)

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if self._renaming is not None:
            await self._rename(self._renaming, event.value.strip())
        elif self._chosen is not None:
            self.dismiss(self._chosen.id)

    def action_down(self) -> None:
        self.query_one(OptionList).action_cursor_down()

    def action_up(self) -> None:
        self.query_one(OptionList).action_cursor_up()

    def action_rename(self) -> None:
        if self._chosen is not None and self._renaming is None:
            self._renaming = self._chosen.id
            field = self.query_one(Input)
            self._query = field.value
            field.value = self._chosen.title
            field.select_all()
            self._say("A new title; Enter gives it, Esc leaves the old one.")

    async def _rename(self, session: str, title: str) -> None:
        if title:
            try:
                await asyncio.to_thread(rename_session, self._root, session, title)
            except TidegateError as error:
                self._say(str(error))
                return
        self._end_renaming()

    def _end_renaming(self) -> None:
        self._renaming = None
        self._say("")
        field = self.query_one(Input)
        with self.prevent(Input.Changed):
            field.value = self._query
        self._search()

    async def action_fork(self) -> None:
        if (chosen := self._chosen) is not None and self._renaming is None:
            copy = await self._try(lambda: fork_session(self._root, chosen.id))
            if copy is not None:
                self.dismiss(copy)

    async def action_export(self) -> None:
        if (chosen := self._chosen) is not None and self._renaming is None:
            target = await self._try(lambda: export_session(self._root, chosen.id))
            if target is not None:
                self._say(f"Written to {target}")

    def action_delete(self) -> None:
        if (chosen := self._chosen) is None or self._renaming is not None:
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._delete(chosen.id), group="delete")

        question = f"“{visible(chosen.title)}” goes to the trash. What was changed in files stays."
        self.app.push_screen(Confirm("Delete a session", question, "Delete it", "Keep it"), answered)

    async def _delete(self, session: str) -> None:
        def delete() -> bool:
            delete_session(self._root, session)
            return True

        if await self._try(delete) and not self.is_left:
            self._search()

    async def _try(self, work: Callable[[], T]) -> T | None:
        try:
            return await asyncio.to_thread(work)
        except TidegateError as error:
            self._say(str(error))
            return None

    def action_leave(self) -> None:
        if self._renaming is not None:
            self._end_renaming()
        else:
            self.dismiss(None)
