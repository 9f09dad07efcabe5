"""The file that is looked at."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from app.editing.marks import LineMarks
from app.editing.open_file import LARGEST
from app.errors import TidegateError
from app.language.model import Severity
from app.review.port import ReviewPort
from app.ui.background import begin_again
from app.ui.base import ActionApp
from app.ui.dialogs.confirm import Confirm
from app.ui.drawing.text import visible
from app.ui.editor import edit_outside
from app.ui.keys.actions import BY_ID, bindings
from app.ui.keys.keymap import Keymap, keys_of
from app.ui.keys.labels import key_label
from app.ui.keys.typed_ahead import opening
from app.ui.panes.editor.git_marks import GitMarks
from app.ui.panes.editor.lost_text import LostText
from app.ui.panes.editor.open_files import OpenFiles
from app.ui.panes.editor.pane import EditorPane
from app.ui.panes.file_text import file_facts, lines_of
from app.ui.widgets.ask_line import AskLine
from app.ui.widgets.file_view import FileView
from app.workspace.model import Document
from app.workspace.workspace import Workspace

if TYPE_CHECKING:
    from app.ui.images.view import ImageView

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


class ViewerPane(Vertical):
    """A file that is read, or written in; or a sentence where there is no text to show."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("viewer"))

    class ResultWanted(Message):
        """The user wants the next result of a search in all files (`step` 1), or the one before (-1)."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    class SymbolsWanted(Message):
        """The user wants to go to a symbol of the file."""

    class Opened(Message):
        """Another file is shown, or the same with other content. `is_asked`: somebody wanted to see it; it was
        not just read again."""

        def __init__(self, document: Document, *, is_asked: bool) -> None:
            super().__init__()
            self.document = document
            self.is_asked = is_asked

    class StateChanged(Message):
        """It is read or written in, saved or not, or the cursor is elsewhere."""

    def __init__(
        self, workspace: Workspace, review: ReviewPort, keymap: Keymap, *, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self._workspace = workspace
        self._review = review
        # Kept here because a thread may end when the pane is already empty.
        self._view = FileView(id="file-view")
        self._input = AskLine(id="viewer-input")
        self._notice = Static(welcome(keymap), id="viewer-notice")
        self.editor = EditorPane(workspace, review, self._read_again)
        self._marks = GitMarks(self, workspace, self._show_marks)
        self._files = OpenFiles(self, self.open)
        self._lost = LostText(self, self.editor, self._read)
        self.document: Document | None = None
        self._image: ImageView | None = None  # once an image was opened
        self._asks_line = False
        self._walks_results = False
        self._opening: str | None = None  # the file that is being read, to be shown for the first time

    def compose(self) -> ComposeResult:
        yield self._notice
        yield self._view
        yield self.editor
        yield self._input

    def on_mount(self) -> None:
        self._view.display = self.editor.display = False
        self.run_worker(self._look_for_lost())

    async def _look_for_lost(self) -> None:
        await self._lost.look()
        await self._lost.offer(self.path)

    @property
    def path(self) -> str | None:
        """The file that is shown, relative to the root."""
        return self.document.path if self.document is not None else None

    def is_of_use(self, action_id: str) -> bool:
        """Whether an action of the viewer or the editor does anything as things stand."""
        scope, _, name = action_id.partition(".")
        is_dirty = self.editor.text_of(self.path) is not None
        if scope == "editor":
            return self.is_writing and (name != "save" or is_dirty)
        if name == "buffers":
            return len(self._files) > 0
        if name in ("save", "drop"):
            return is_dirty and not (self.is_writing and name == "save")
        return (
            self.document is not None
            and self.document.text is not None
            and not (self.is_writing and name in ("edit", "search", "next", "previous"))
        )

    @property
    def is_writing(self) -> bool:
        """Whether the file is written in, not only read."""
        return self.editor.current is not None

    @property
    def line_number(self) -> int:
        """The cursor's line, counted from 1."""
        buffer = self.editor.current
        return buffer.area.cursor_location[0] + 1 if buffer is not None else self._view.line_number

    @property
    def text(self) -> str | None:
        """What is in the file, as far as it was written."""
        if self.editor.current is not None:
            return self.editor.current.area.text
        return self.document.text if self.document is not None else None

    @property
    def cursor(self) -> tuple[int, int | None]:
        """The cursor's line and column, counted from 0; in a file that is read there is no column."""
        buffer = self.editor.current
        return buffer.area.cursor_location if buffer is not None else (self.line_number - 1, None)

    def show_problems(self, problems: Mapping[int, Severity]) -> None:
        """Mark the lines of the file that have one, counted from 0."""
        self._view.show_problems(problems)
        if self.editor.current is not None:
            self.editor.current.area.show_problems(problems)

    @property
    def title(self) -> str:
        """The file's name, with a mark where it is not saved."""
        path = self._opening or self.path
        if path is None:
            return "File"
        return f"{visible(path)} ●" if self.editor.text_of(path) is not None else visible(path)

    @property
    def facts(self) -> str:
        """Where the cursor is while the file is written in, and what is unusual about its encoding."""
        unusual = file_facts(self.document)
        buffer = self.editor.current
        if buffer is None:
            return " · ".join(filter(None, (self._view.count, unusual)))
        row, column = buffer.area.cursor_location
        return " · ".join(filter(None, ("[b $accent]writing[/]", f"{row + 1:,}:{column + 1}", unusual)))

    def open(self, path: str, line: int = 1, *, walks_results: bool = False) -> None:
        """Show the file at `path` with the cursor on `line`, counted from 1. `walks_results`: it is a result of
        a search in all files, and the keys for the next match go to the next of these."""
        self._leave_place()
        self._opening = path
        self._walks_results = walks_results
        begin_again(self, "open", self._open, path, line)

    def _leave_place(self) -> None:
        if self.path is not None and self.document is not None and self.document.text is not None:
            self._files.left(self.path, self.line_number)

    def reload(self) -> None:
        """Show what the file holds now. What is being opened is new anyway, and is not to be lost for it."""
        is_busy = self._opening is not None or self.is_writing or self.editor.is_expected
        if self.document is not None and not is_busy:
            begin_again(self, "open", self._open, self.document.path, None)

    def disk_changed(self, paths: Collection[str] | None, by: str = "Somebody") -> None:
        """Somebody may have written these files, or any where that is None."""
        self.run_worker(self._follow(paths, by), group="follow")

    async def _follow(self, paths: Collection[str] | None, by: str) -> None:
        await self.editor.disk_changed(paths, by)
        if paths is None or self.path in paths:
            self.reload()

    def git_changed(self) -> None:
        """git's index may be another."""
        self._marks.forget()
        self._look_at_marks()

    def _load(self, path: str) -> tuple[Document, list[str], int]:
        document = self._workspace.read_document(path, limit=_LARGEST)
        return (document, *lines_of(document))

    async def _open(self, path: str, line: int | None) -> None:
        loading = asyncio.create_task(asyncio.to_thread(self._load, path))
        if line is not None:
            with opening(self):
                is_there = bool((await asyncio.wait({loading}, timeout=_PATIENCE))[0])
            if not is_there:
                self.editor.show(None)
                self._view.display = self.editor.display = False
                self._notice.display = True
                self._notice.update(Text.assemble((visible(path), "bold"), "\n\nIt is large, and being read…"))
                self.post_message(self.StateChanged())
        document, lines, widest = await loading
        self._opening = None
        written = self.editor.text_of(path)
        if written is not None:
            document = replace(document, text=written, notice="")
            lines, widest = lines_of(document)
        if line is None and self.document is not None and document.text == self.document.text:
            return
        if line is not None or not self.is_writing:
            self._show(document, lines, widest, line)

    def _show(self, document: Document, lines: list[str], widest: int, line: int | None) -> None:
        self.document = document
        has_text = document.text is not None
        self._view.display = has_text
        self._notice.display = not has_text
        if has_text and self.editor.has_focus_within:
            # Before the text is hidden: what is hidden gives the focus to whatever comes next.
            self.screen.set_focus(self._view)
        self.editor.show(None)
        self.editor.display = False
        path = document.path
        if line is not None:
            self._files.opened(path, line)
        if document.image is not None or self._image is not None:
            begin_again(self, "image", self._show_image, document)
        if not has_text:
            self._notice.update(Text.assemble((visible(path), "bold"), "\n\n", visible(document.notice)))
        elif line is None:
            self._view.replace(path, lines, widest)
        else:
            self._view.show(path, lines, widest, line)
        self._look_at_marks()
        self.post_message(self.Opened(document, is_asked=line is not None))
        if path in self.editor.keeping.left:
            self.run_worker(self._lost.offer(path), group="lost")

    # Writing.

    def action_edit(self) -> None:
        if self.document is not None and not self.is_writing:
            self.editor.is_expected = True
            begin_again(self, "open", self._write, self.document.path, self._view.line_number)

    async def _write(self, path: str, line: int) -> None:
        """Begin to write in the file that is shown."""
        self.editor.display = True
        try:
            with opening(self):
                await self.editor.begin(path, line)
        except TidegateError as error:
            self.editor.display = False
            self.app.notify(f"{error}. {self._key('viewer.edit_outside')} opens $EDITOR.", severity="warning")
            return
        finally:
            self.editor.is_expected = False
        self._input.close()
        top = self._view.scroll_offset.y
        self._view.display = self._notice.display = False
        if (buffer := self.editor.current) is not None:
            buffer.area.call_after_refresh(buffer.area.show_from, top)
        self._look_at_marks()
        self.post_message(self.StateChanged())

    def _read_again(self, path: str, line: int) -> None:
        """The user has left the text."""
        top = self.editor.buffers[path].area.scroll_offset.y
        self._read(path, line)
        # At once: what is typed next is not for the text any more.
        self.screen.set_focus(self._view)
        if not self._view.wrap:
            self._view.scroll_to(y=top, animate=False, force=True)

    def _read(self, path: str, line: int) -> None:
        """Show for reading what was written."""
        document = self.editor.buffers[path].document
        self._show(document, *lines_of(document), line)

    async def _show_image(self, document: Document) -> None:
        """Draw an image below its description, where the terminal can; or put the last one away."""
        from app.ui.images.view import ImageView  # noqa: PLC0415  few files are images

        if self._image is None:
            self._image = ImageView(id="viewer-image")
            await self.mount(self._image, after=self._notice)
        is_drawn = await self._image.show(document, self._workspace.locate(document.path).absolute)
        self._notice.set_class(is_drawn, "above")

    def on_editor_pane_changed(self, event: EditorPane.Changed) -> None:
        event.stop()
        if self.is_writing:
            self._look_at_marks(is_typing=True)
        elif event.path == self.path:
            self.reload()
        self.post_message(self.StateChanged())

    def on_editor_pane_line_wanted(self, event: EditorPane.LineWanted) -> None:
        event.stop()
        self.action_goto()

    def action_save(self) -> None:
        if self.editor.text_of(self.path) is None:
            raise SkipAction  # the key means something else where all is saved
        self.run_worker(self.editor.save(str(self.path)), group="save")

    def action_drop(self) -> None:
        path = self.path
        if path is None or self.editor.text_of(path) is None:
            self.app.notify("All that was written in this file is saved.", timeout=3)
            return

        def drop(yes: bool | None) -> None:
            if yes:
                begin_again(self, "open", self._drop, path)

        question = f"What you wrote in {visible(path)} and did not save is lost."
        self.app.push_screen(Confirm("Drop", question, "Drop it", "Keep it"), drop)

    async def _drop(self, path: str) -> None:
        line = self.line_number
        await self.editor.drop(path)
        await self._open(path, line)

    def action_edit_outside(self) -> None:
        path = self.path
        if path is None:
            return
        if self.editor.text_of(path) is not None:
            self.app.notify(f"Save it first: {self._key('editor.save')}.", severity="warning")
            return
        edit_outside(self.app, self._workspace, self._review, path, self.line_number)
        self.disk_changed({path}, "You, in another editor,")

    def _key(self, name: str) -> str:
        app = self.app
        assert isinstance(app, ActionApp)
        return app.key_of(name)

    # The files that are open.

    def action_list_buffers(self) -> None:
        self._leave_place()
        self._files.list(self.path or "", self.editor.unsaved)

    def action_next_buffer(self) -> None:
        self._leave_place()
        self._files.step(self.path, 1)

    def action_prior_buffer(self) -> None:
        self._leave_place()
        self._files.step(self.path, -1)

    # What git sees as changed.

    def _look_at_marks(self, *, is_typing: bool = False) -> None:
        buffer = self.editor.current
        document = self.document
        text = buffer.area.text if buffer is not None else document.text if document is not None else None
        if document is not None and text is not None and len(text) <= LARGEST:
            self._marks.look(document.path, text, is_typing=is_typing)

    def _show_marks(self, path: str, marks: LineMarks) -> None:
        if path != self.path:
            return
        self._view.show_marks(marks)
        buffer = self.editor.buffers.get(path)
        if buffer is not None:
            buffer.area.show_marks(marks)

    def action_next_change(self) -> None:
        self._step_change(1)

    def action_previous_change(self) -> None:
        self._step_change(-1)

    def _step_change(self, step: int) -> None:
        line = self._view.marks.next_after(self.line_number - 1, step)
        if line is None:
            self.app.notify("Nothing here differs from what git's index has.", timeout=3)
        else:
            self.go_to_line(line + 1)

    def go_to_line(self, line: int) -> None:
        """Put the cursor on `line`, counted from 1."""
        buffer = self.editor.current
        if buffer is not None:
            buffer.area.move_cursor(buffer.area.clamp_visitable((line - 1, 0)), center=True)
        else:
            self._view.go_to_line(line)

    # Search and go to line share one input.

    def action_search(self) -> None:
        self._ask(False, "Search; Enter finds, Esc leaves")

    def action_goto(self) -> None:
        self._ask(True, "Line number")

    def _ask(self, for_line: bool, placeholder: str) -> None:
        if not (self._view.display or self.is_writing):
            return
        self._asks_line = for_line
        self._input.open(placeholder)

    def leave_input(self) -> bool:
        """Close the search field. False if it was not open."""
        if not self._input.close():
            return False
        buffer = self.editor.current
        (buffer.area if buffer is not None else self._view).focus()
        return True

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if not self._asks_line and self._input.display:
            self._view.find(event.value, from_cursor=True)
            self.post_message(self.StateChanged())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        value = event.value.strip()
        self.leave_input()
        if self._asks_line:
            if value.isdecimal():
                self.go_to_line(int(value))
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
            self.post_message(self.StateChanged())
        else:
            self.post_message(self.ResultWanted(step))

    def action_list_symbols(self) -> None:
        self.post_message(self.SymbolsWanted())

    def action_toggle_wrap(self) -> None:
        if not self._view.wrap and not self._view.can_wrap():
            self.app.notify("This file has too many lines to be wrapped.", severity="warning")
            return
        self._view.set_wrap(not self._view.wrap)
        self.editor.set_wrap(self._view.wrap)
