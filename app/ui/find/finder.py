"""A field to write in, and below it what is found with every key."""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Static

from app.errors import TidegateError
from app.ui.dialogs.dialog import Dialog
from app.ui.dialogs.listing import ListLines, ListRow
from app.ui.drawing.text import sentence, visible
from app.ui.keys.actions import bindings
from app.ui.keys.keymap import keys_of
from app.ui.keys.labels import key_label
from app.ui.keys.typed_ahead import opening
from app.workspace.search.ripgrep import Match


@dataclass(frozen=True, slots=True)
class Found:
    """What was chosen: a place to open, `results` that can be walked from there, or, `for_agent`, results to be
    handed to the agent."""

    path: str
    line: int = 1
    results: tuple[Match, ...] = ()
    for_agent: bool = False


class Finder(Dialog[Found | None]):
    """Dismissed with what was found, or None. A subclass looks things up, and says what its rows stand for."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("find"))
    heading: ClassVar[str]
    placeholder: ClassVar[str]
    nothing: ClassVar[str]
    """What is said where nothing is found."""

    def __init__(self, query: str = "") -> None:
        super().__init__()
        self.field = Input(query, placeholder=self.placeholder, id="find-query", select_on_focus=False)
        self._lines = ListLines((), "")
        self._nothing = Static("", id="find-nothing", markup=False)
        self._box = Vertical(id="find-box", classes="dialog")
        self._wanted: str | None = None
        self._is_looking = False
        self._is_choosing = False
        self._ahead = ExitStack()  # what is typed behind Enter waits for what Enter opens
        self._shown: str | None = None  # the query whose rows are shown

    @abstractmethod
    async def look(self, query: str) -> Sequence[ListRow]:
        """What is found by `query`. Raises TidegateError for one that cannot be looked for."""

    @abstractmethod
    def found(self, key: str) -> Found:
        """What the row with this key stands for."""

    def keys(self) -> Sequence[str]:
        """The actions, by name, that the border tells of."""
        return ()

    def fields(self) -> Sequence[Input]:
        """Further fields, below the first."""
        return ()

    def compose(self) -> ComposeResult:
        with self._box:
            yield self.field
            yield from self.fields()
            yield self._nothing
            yield self._lines

    def on_mount(self) -> None:
        self._lines.can_focus = False
        self._nothing.display = False
        self.field.focus()
        self.say("")
        self.search()

    def say(self, words: str) -> None:
        """Say something about what is shown, in the border. Also when it has been left meanwhile."""
        self._box.border_title = Content(self.heading + (f" · {visible(words)}" if words else ""))
        keymap = getattr(self.app, "user_keymap", {})
        told = [f"{key_label(keys_of(f'find.{name}', keymap)[0])} {words}" for name, words in self._told()]
        self._box.border_subtitle = Content(" · ".join(["Enter opens", *told, "Esc back"]))

    def _told(self) -> list[tuple[str, str]]:
        words = {"regex": "regex", "case": "case", "glob": "files", "hand_over": "agent"}
        return [(name, words[name]) for name in self.keys()]

    @property
    def is_settled(self) -> bool:
        """Whether what is shown is what is found by what is written."""
        return not self._is_looking and self._shown == self.field.value

    def search(self) -> None:
        """Look for what is written; while that is under way, for the newest afterwards."""
        self._wanted = self.field.value
        if not self._is_looking:
            self._is_looking = True
            self.run_worker(self._look(), group="find")

    async def _look(self) -> None:
        try:
            while self._wanted is not None:
                query, self._wanted = self._wanted, None
                words = self.nothing if query else ""
                try:
                    rows = await self.look(query)
                except TidegateError as error:
                    rows, words = (), sentence(str(error))
                    self.say("")
                if not self.is_left and self._wanted is None:
                    self._nothing.display = not rows and bool(words)
                    self._nothing.update(visible(words))
                    self._lines.show(rows)
                    self._lines.scroll_to(x=0, y=0, animate=False)
                    self._shown = query
        finally:
            self._is_looking = False
        self._choose()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._is_choosing = False
        self._ahead.close()
        self.search()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        # Enter is for what is written, which may have been written quicker than it is found.
        if not self._is_choosing:
            self._is_choosing = True
            self._ahead.enter_context(opening(self))
        self._choose()

    def on_unmount(self) -> None:
        self._ahead.close()

    def _choose(self) -> None:
        if self._is_choosing and self.is_settled and not self.is_left:
            self._is_choosing = False
            if self._lines.entries:
                self.dismiss(self.found(self._lines.entries[self._lines.cursor_row].key))
            self._ahead.close()

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self._lines) if event.widget is self._lines else None
        row = self._lines.scroll_offset.y + offset.y if offset is not None else self._lines.row_count
        if row < self._lines.row_count:
            self.dismiss(self.found(self._lines.entries[row].key))

    def action_down(self) -> None:
        self._lines.move_to(self._lines.cursor_row + 1)

    def action_up(self) -> None:
        self._lines.move_to(self._lines.cursor_row - 1)

    def action_page_down(self) -> None:
        self._lines.move_to(self._lines.cursor_row + max(1, self._lines.size.height - 1))

    def action_page_up(self) -> None:
        self._lines.move_to(self._lines.cursor_row - max(1, self._lines.size.height - 1))

    def action_leave(self) -> None:
        self.dismiss()
