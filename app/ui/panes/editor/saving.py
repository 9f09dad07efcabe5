"""Saving a text, and asking where somebody else has written the file too."""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext

from textual.widget import Widget

from app.editing.errors import CannotEncode, DiskChanged, NotEditable
from app.editing.merge import merged
from app.errors import TidegateError
from app.review.port import ReviewPort
from app.ui.dialogs.choice import Choice
from app.ui.panes.editor.buffer import Buffer
from app.workspace.workspace import Workspace


class Saving:
    """Writes buffers; what it writes is the user's own in the review."""

    def __init__(
        self, widget: Widget, workspace: Workspace, review: ReviewPort, settled: Callable[[Buffer], None]
    ) -> None:
        """`settled` hears of every buffer whose state has changed."""
        self._widget = widget
        self._workspace = workspace
        self._review = review
        self._settled = settled
        self._turnstile = asyncio.Lock()

    async def save(self, buffer: Buffer) -> bool:
        """Write the text of `buffer`. False if it was not written. Called from a worker: it may ask."""
        app = self._widget.app
        async with self._turnstile:
            try:
                is_saved = await self._save(buffer)
            except TidegateError as error:
                app.notify(str(error), severity="error", timeout=8)
                return False
            if is_saved:
                app.notify(f"Saved {buffer.path}.", timeout=2)
            self._settled(buffer)
            return is_saved or not buffer.is_dirty

    async def _save(self, buffer: Buffer) -> bool:
        while True:
            try:
                if buffer.changed_by:
                    raise DiskChanged(f"{buffer.path} was changed on the disk")
                await asyncio.to_thread(self._write, buffer, buffer.area.text)
            except DiskChanged:
                if not await self._is_mine_wanted(buffer):
                    return False
            except CannotEncode as error:
                if not await self._is_utf8_wanted(buffer, error):
                    return False
            else:
                return True

    def _write(self, buffer: Buffer, written: str) -> None:
        location = self._workspace.locate(buffer.path)
        with self._review.users_own(location.path) if location.is_inside else nullcontext():
            buffer.file.save(written)

    async def _is_utf8_wanted(self, buffer: Buffer, error: CannotEncode) -> bool:
        question = Choice("Save", f"{error}.", {"u": "Save it in UTF-8"}, "Change the text instead")
        if await self._widget.app.push_screen_wait(question) is None:
            return False
        buffer.file.use_utf8()
        return True

    async def _is_mine_wanted(self, buffer: Buffer) -> bool:
        """Show both versions, and take the one that is chosen. True where the text here is to be written."""
        file = buffer.file
        theirs = await asyncio.to_thread(file.read)
        if theirs == file.data and not buffer.changed_by:
            return True
        mine, text, both = buffer.area.text, None, None
        by = buffer.changed_by or "Somebody"
        words = f"{by} removed this file while you wrote in it."
        answers = {"m": "save mine"}
        if theirs is not None:
            words = f"{by} changed this file while you wrote in it: − is on the disk, + is what you wrote."
            try:
                text = await asyncio.to_thread(file.decoded, theirs)
            except NotEditable as error:
                words = f"{by} changed this file: {error}."
            else:
                answers["t"] = "take theirs, drop mine"
                both = await asyncio.to_thread(merged, file.normal, mine, text.normal)
                if both is not None and both not in (mine, text.normal):
                    answers["b"] = "put both together, unsaved"
        from app.ui.dialogs.conflict import Conflict  # noqa: PLC0415  conflicts are rare

        shown = await asyncio.to_thread(_shown, buffer, mine)
        chosen = await self._widget.app.push_screen_wait(Conflict(buffer.path, words, shown, theirs, answers))
        if chosen is None:
            return False
        buffer.changed_by = ""
        if chosen == "m":
            file.data = theirs
            return True
        file.adopt(theirs)
        buffer.area.take(both if chosen == "b" and both is not None else file.normal)
        return False


def _shown(buffer: Buffer, written: str) -> bytes:
    """The text as the diff is to show it."""
    try:
        return buffer.file.in_bytes(written)
    except CannotEncode:
        return written.encode()
