"""Copies of what is not saved, so that a crash costs no more than the last seconds, and giving them back."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from textual.widget import Widget

from app.editing.recovery import Recovery, Unsaved
from app.errors import TidegateError
from app.ui.background import begin
from app.ui.panes.editor.buffer import Buffer

_PAUSE = 1.0
"""Seconds from the first key that is not kept yet to the copy."""


class Keeping:
    """Keeps copies of dirty buffers, and knows what an earlier process has left."""

    def __init__(self, widget: Widget, root: Path, buffers: Mapping[str, Buffer]) -> None:
        self._widget = widget
        self._buffers = buffers
        self._recovery = Recovery(root)
        self._turnstile = asyncio.Lock()
        self._is_waiting = False
        self._has_failed = False
        self._kept: dict[str, str] = {}
        self.left: dict[str, Unsaved] = {}
        """What was left unsaved by a process that ended, by path, until it is decided what becomes of it."""

    def soon(self) -> None:
        """Something was written: keep it in a moment."""
        if not self._is_waiting:
            self._is_waiting = True
            self._widget.set_timer(_PAUSE, self._keep)

    def _keep(self) -> None:
        self._is_waiting = False
        self._widget.run_worker(self.keep(), group="keep")

    async def keep(self) -> None:
        """Keep what is not kept yet."""
        async with self._turnstile:
            for path, buffer in list(self._buffers.items()):
                text = buffer.area.text
                if buffer.is_dirty and self._kept.get(path) != text:
                    try:
                        await asyncio.to_thread(self._recovery.keep, path, text, buffer.base_digest)
                    except TidegateError as error:
                        if not self._has_failed:
                            self._widget.app.notify(str(error), severity="warning", timeout=8)
                        self._has_failed = True
                        return
                    self._kept[path] = text

    def drop(self, path: str) -> None:
        """What was written in `path` is saved, or not wanted."""
        begin(self._widget, "keep", self._drop, path)

    async def _drop(self, path: str) -> None:
        async with self._turnstile:
            buffer = self._buffers.get(path)
            if buffer is None or not buffer.is_dirty:
                self._kept.pop(path, None)
                await asyncio.to_thread(self._recovery.drop, path)

    async def look(self) -> None:
        """Find what was left."""
        self.left = {one.path: one for one in await asyncio.to_thread(self._recovery.left)}

    async def decided(self, path: str) -> None:
        """What was left of `path` was taken over, or is not wanted."""
        await self.keep()
        await asyncio.to_thread(self._recovery.forget, path)

    def drop_all(self) -> None:
        """Nothing of what is unsaved is wanted. Blocks on the disk."""
        for path in self._buffers:
            self._recovery.drop(path)

    def _drop_saved(self) -> None:
        """What was saved right before the end, whose `drop` may not have begun."""
        for path in {*self._kept, *self._buffers}:
            buffer = self._buffers.get(path)
            if buffer is None or not buffer.is_dirty:
                self._recovery.drop(path)

    async def aclose(self, *, keeps: bool) -> None:
        """Keep what is unsaved one last time, or drop it, and end."""
        if keeps:
            await self.keep()
            await asyncio.to_thread(self._drop_saved)
        else:
            await asyncio.to_thread(self.drop_all)
        await asyncio.to_thread(self._recovery.close)
