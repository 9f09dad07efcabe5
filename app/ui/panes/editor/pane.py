"""Writing in files: the texts that are open, and what the keys do with them."""

import asyncio
from collections.abc import Callable, Collection
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static, TextArea

from app.editing.indentation import leading
from app.editing.open_file import OpenFile
from app.errors import TidegateError
from app.review.port import ReviewPort
from app.ui.keys.actions import bindings
from app.ui.panes.editor.area import EditorArea
from app.ui.panes.editor.buffer import Buffer
from app.ui.panes.editor.keeping import Keeping
from app.ui.panes.editor.saving import Saving
from app.ui.panes.editor.search_bar import SearchBar
from app.workspace.workspace import Workspace

SOMEBODY = "Somebody"
"""Who has written a file where that is not known."""


class EditorPane(Vertical):
    """One text area for each file that was written in; at most one of them is shown."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("editor"))

    class Changed(Message):
        """The text of `path`, or whether it is saved, is another."""

        def __init__(self, path: str) -> None:
            super().__init__()
            self.path = path

    class LineWanted(Message):
        """The user wants to go to a line by its number."""

    def __init__(self, workspace: Workspace, review: ReviewPort, read: Callable[[str, int], None]) -> None:
        """`read` shows a file for reading, from a line on, counted from 1."""
        super().__init__(id="editor")
        self._read = read
        self._workspace = workspace
        self._warning = Static("", id="editor-warning", markup=False)
        self._areas = Vertical(id="editor-areas")
        self._bar = SearchBar()
        self.buffers: dict[str, Buffer] = {}
        """The files that were written in, by path."""
        self.current: Buffer | None = None
        """The one that is written in now."""
        self.keeping = Keeping(self, workspace.root, self.buffers)
        self._saving = Saving(self, workspace, review, self._settled)
        self._was_dirty: set[str] = set()
        self.wrap = False
        self.is_dropped = False
        """Whether what is not saved is not wanted either."""
        self.is_expected = False
        """Whether a text is about to be shown."""

    def compose(self) -> ComposeResult:
        yield self._warning
        yield self._areas
        yield self._bar

    def on_mount(self) -> None:
        self._warning.display = False

    async def on_unmount(self) -> None:
        await self.keeping.aclose(keeps=not self.is_dropped)

    # Which files.

    @property
    def unsaved(self) -> list[str]:
        """The files with text that is not saved."""
        return [path for path, buffer in self.buffers.items() if buffer.is_dirty]

    def text_of(self, path: str | None) -> str | None:
        """What was written in `path` and is not saved; None where nothing was."""
        buffer = self.buffers.get(path or "")
        return buffer.area.text if buffer is not None and buffer.is_dirty else None

    async def open(self, path: str) -> Buffer:
        """The buffer of `path`, made where there is none. Raises NotEditable and NotReadable."""
        buffer = self.buffers.get(path)
        if buffer is None:
            file = await asyncio.to_thread(OpenFile, self._workspace.root / path, path)
            buffer = self.buffers.setdefault(path, Buffer(path, file))
            if not buffer.area.is_attached:
                buffer.area.display = False
                await self._areas.mount(buffer.area)
        return buffer

    async def begin(self, path: str, line: int) -> None:
        """Write in `path`, at `line`, counted from 1. Raises NotEditable and NotReadable."""
        buffer = await self.open(path)
        if not buffer.is_dirty:
            await self._follow(buffer, "")
        self.show(buffer)
        area = buffer.area
        if area.cursor_location[0] != line - 1:
            row = max(0, min(line, area.document.line_count) - 1)
            area.move_cursor((row, len(leading(area.document.get_line(row)))))
        self.screen.set_focus(area)

    def show(self, buffer: Buffer | None) -> None:
        """Show this one's text, or none."""
        if self.current is not buffer:
            self._bar.close()
        self.current = buffer
        for one in self.buffers.values():
            one.area.display = one is buffer
        if buffer is not None:
            buffer.area.soft_wrap = self.wrap
        self._warn()

    def set_wrap(self, wrap: bool) -> None:
        """Wrap long lines, or scroll sideways."""
        self.wrap = wrap
        if self.current is not None:
            self.current.area.soft_wrap = wrap

    async def drop(self, path: str) -> None:
        """Close the buffer of `path`, with what was not saved."""
        buffer = self.buffers.pop(path, None)
        if buffer is None:
            return
        if self.current is buffer:
            self.current = None
        await buffer.area.remove()
        self.keeping.drop(path)
        self._was_dirty.discard(path)
        self.post_message(self.Changed(path))

    # What is written.

    def on_editor_area_written(self, event: EditorArea.Written) -> None:
        event.stop()
        buffer = next((one for one in self.buffers.values() if one.area is event.area), None)
        if buffer is not None:
            self._settled(buffer)
            self.keeping.soon()

    def on_text_area_selection_changed(self, event: TextArea.SelectionChanged) -> None:
        event.stop()
        if self.current is not None:
            self.post_message(self.Changed(self.current.path))

    def _settled(self, buffer: Buffer) -> None:
        """Its text, or what is known of the disk, is another."""
        if buffer.is_dirty:
            self._was_dirty.add(buffer.path)
        elif buffer.path in self._was_dirty:
            self._was_dirty.discard(buffer.path)
            buffer.changed_by = ""
            self.keeping.drop(buffer.path)
        self._warn()
        self.post_message(self.Changed(buffer.path))

    def _warn(self) -> None:
        buffer = self.current
        by = buffer.changed_by if buffer is not None else ""
        self._warning.display = bool(by)
        if by:
            self._warning.update(
                f"{by} changed this file on the disk while you write. Saving shows both versions first."
            )

    # What others write.

    async def disk_changed(self, paths: Collection[str] | None, by: str = SOMEBODY) -> None:
        """Somebody else may have written `paths`, or any file where that is None."""
        for path, buffer in list(self.buffers.items()):
            if paths is None or path in paths:
                await self._follow(buffer, by)

    async def _follow(self, buffer: Buffer, by: str) -> None:
        try:
            data = await asyncio.to_thread(buffer.file.read)
            if data == buffer.file.data:
                if buffer.changed_by:
                    buffer.changed_by = ""
                    self._settled(buffer)
                return
            if not buffer.is_dirty and data is not None:
                buffer.file.adopt(data)
                buffer.area.take(buffer.file.normal)
            else:
                self._changed_by(buffer, by)
        except TidegateError:
            self._changed_by(buffer, by)  # what it is now is said when it is saved
        self._settled(buffer)

    @staticmethod
    def _changed_by(buffer: Buffer, by: str) -> None:
        # The system's word that a file has changed comes after the agent's, and knows less.
        if not buffer.changed_by or by not in ("", SOMEBODY):
            buffer.changed_by = by or SOMEBODY

    # Saving.

    async def save(self, path: str) -> bool:
        """Write the text of `path`, asking where somebody else has written too. False if it was not."""
        buffer = self.buffers.get(path)
        return buffer is None or not buffer.is_dirty or await self._saving.save(buffer)

    async def save_all(self) -> bool:
        """Write every text; False at the first that was not."""
        for path in self.unsaved:
            if not await self.save(path):
                return False
        return True

    def action_save(self) -> None:
        if self.current is not None:
            self.run_worker(self.save(self.current.path), group="save")

    def action_leave(self) -> None:
        if self._bar.close():
            return
        buffer = self.current
        if buffer is not None:
            self.show(None)
            self._read(buffer.path, buffer.area.cursor_location[0] + 1)

    # Searching.

    def action_find(self) -> None:
        if self.current is not None:
            self._bar.open(self.current.area, replaces=False)

    def action_replace(self) -> None:
        if self.current is not None:
            self._bar.open(self.current.area, replaces=True)

    def on_search_bar_left(self, event: SearchBar.Left) -> None:
        event.stop()
        if self.current is not None:
            self.current.area.focus()

    def action_goto(self) -> None:
        self.post_message(self.LineWanted())

    # What the text does by itself.

    async def on_editor_area_wanted(self, event: EditorArea.Wanted) -> None:
        event.stop()
        await self.run_action(event.handler)

    async def _do(self, action: str) -> None:
        if self.current is not None:
            await self.current.area.run_action(action)

    async def action_undo(self) -> None:
        await self._do("undo")

    async def action_redo(self) -> None:
        await self._do("redo")

    async def action_indent(self) -> None:
        await self._do("indent")

    async def action_outdent(self) -> None:
        await self._do("outdent")

    async def action_comment(self) -> None:
        await self._do("comment")

    async def action_select_lines(self) -> None:
        await self._do("select_lines")

    async def action_cut(self) -> None:
        await self._do("cut")

    async def action_copy(self) -> None:
        await self._do("copy")

    async def action_paste(self) -> None:
        await self._do("paste")

    async def action_delete_to_end_of_line_or_delete_line(self) -> None:
        await self._do("delete_to_end_of_line_or_delete_line")
