"""The file that is looked at."""

import asyncio
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from app.ui.actions import BY_ID, bindings, key_label
from app.ui.drawing.text import visible
from app.ui.keymap import Keymap, keys_of
from app.ui.widgets.ask_line import AskLine
from app.ui.widgets.file_view import FileView, measure
from app.workspace.model import Document
from app.workspace.workspace import Workspace

_PATIENCE = 0.15  # seconds; an ordinary file is there before
_LARGEST = 256 * 1024 * 1024  # bytes
_WELCOME_ACTIONS = ("workspace.files", "workspace.review", "workspace.agent", "app.palette", "app.help")


def welcome(keymap: Keymap) -> str:
    """What an empty viewer says."""
    keys = [
        f"[$accent]{key_label(keys_of(name, keymap)[0]):<8}[/][$foreground 75%]{BY_ID[name].description}[/]"
        for name in _WELCOME_ACTIONS
    ]
    return "\n".join(
        (
            "[b $primary]Tidegate[/]\n",
            "Choose a file, or ask the agent for a change.",
            "What it changes appears here, to be kept or rejected hunk by hunk.\n",
            *keys,
        )
    )


def split_lines(text: str, portion: int = 1_000_000) -> list[str]:
    """The lines of `text`, split in portions: one call for all of a huge file would stop every other thread."""
    text = text.removesuffix("\n")
    lines: list[str] = []
    start = 0
    while start <= len(text):
        end = text.find("\n", start + portion)
        end = len(text) if end < 0 else end
        lines += text[start:end].split("\n")
        start = end + 1
    return lines


class ViewerPane(Vertical):
    """A file view with search and go-to-line, or a sentence where there is no text to show."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("viewer"))

    class ResultWanted(Message):
        """The user wants the next result of a search in all files (`step` 1), or the one before (-1)."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    class SymbolsWanted(Message):
        """The user wants to go to a symbol of the file."""

    class Opened(Message):
        """Another file is shown, or the same with other content."""

        def __init__(self, document: Document) -> None:
            super().__init__()
            self.document = document

    def __init__(self, workspace: Workspace, keymap: Keymap, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._workspace = workspace
        # Kept here because a thread may end when the pane is already empty.
        self._view = FileView(id="file-view")
        self._input = AskLine(id="viewer-input")
        self._notice = Static(welcome(keymap), id="viewer-notice")
        self.document: Document | None = None
        self._asks_line = False
        self._walks_results = False
        self._opening: str | None = None  # the file that is being read, to be shown for the first time

    def compose(self) -> ComposeResult:
        yield self._notice
        yield self._view
        yield self._input

    def on_mount(self) -> None:
        self._view.display = False

    @property
    def path(self) -> str | None:
        """The file that is shown, relative to the root."""
        return self.document.path if self.document is not None else None

    def open(self, path: str, line: int = 1, *, walks_results: bool = False) -> None:
        """Show the file at `path` with the cursor on `line`, counted from 1. `walks_results`: it is a result of
        a search in all files, and the keys for the next match go to the next of these."""
        self._opening = path
        self._walks_results = walks_results
        self.run_worker(self._open(path, line), group="open", exclusive=True)

    def reload(self) -> None:
        """Show what the file holds now. What is being opened is new anyway, and is not to be lost for it."""
        if self.document is not None and self._opening is None:
            self.run_worker(self._open(self.document.path, None), group="open", exclusive=True)

    def _load(self, path: str) -> tuple[Document, list[str], int]:
        document = self._workspace.read_document(path, limit=_LARGEST)
        if document.text is None:
            return document, [], 0
        lines = split_lines(document.text)
        return document, lines, measure(lines)

    async def _open(self, path: str, line: int | None) -> None:
        loading = asyncio.create_task(asyncio.to_thread(self._load, path))
        if line is not None and not (await asyncio.wait({loading}, timeout=_PATIENCE))[0]:
            self._view.display = False
            self._notice.display = True
            self._notice.update(Text.assemble((visible(path), "bold"), "\n\nIt is large, and being read…"))
        document, lines, widest = await loading
        self._opening = None
        if line is None and self.document is not None and document.text == self.document.text:
            return
        self.document = document
        has_text = document.text is not None
        self._view.display = has_text
        self._notice.display = not has_text
        if not has_text:
            self._notice.update(Text.assemble((visible(path), "bold"), "\n\n", visible(document.notice)))
        elif line is None:
            self._view.replace(path, lines, widest)
        else:
            self._view.show(path, lines, widest, line)
        self.post_message(self.Opened(document))

    # Search and go to line share one input.

    def action_search(self) -> None:
        self._ask(False, "Search; Enter finds, Esc leaves")

    def action_goto(self) -> None:
        self._ask(True, "Line number")

    def _ask(self, for_line: bool, placeholder: str) -> None:
        if not self._view.display:
            return
        self._asks_line = for_line
        self._input.open(placeholder)

    def leave_input(self) -> bool:
        """Close the search field. False if it was not open."""
        if not self._input.close():
            return False
        self._view.focus()
        return True

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if not self._asks_line and self._input.display:
            self._view.find(event.value, from_cursor=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        value = event.value.strip()
        self.leave_input()
        if self._asks_line:
            if value.isdecimal():
                self._view.go_to_line(int(value))
            elif value:
                self.app.notify(f"{value!r} is not a line number.", severity="warning")
        elif event.value and not self._view.find(event.value, from_cursor=True):
            self.app.notify(f"{event.value!r} is not in this file.", severity="warning")

    def action_next_match(self) -> None:
        self._step(1)

    def action_previous_match(self) -> None:
        self._step(-1)

    def _step(self, step: int) -> None:
        if self._view.query_text or not self._walks_results:
            self._view.find(self._view.query_text, backwards=step < 0)
        else:
            self.post_message(self.ResultWanted(step))

    def action_list_symbols(self) -> None:
        self.post_message(self.SymbolsWanted())

    def action_toggle_wrap(self) -> None:
        if not self._view.wrap and not self._view.can_wrap():
            self.app.notify("This file has too many lines to be wrapped.", severity="warning")
            return
        self._view.set_wrap(not self._view.wrap)
