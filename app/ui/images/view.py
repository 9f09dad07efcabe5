"""An image in a pane, drawn by the terminal."""

import asyncio
import itertools
import os
from pathlib import Path

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from app.ui.base import ActionApp
from app.ui.images.protocols import (
    cells_for,
    draws,
    iterm_drawn,
    kitty_removed,
    kitty_row,
    kitty_sent,
    protocol_of,
)
from app.workspace.files.images import ImageFacts
from app.workspace.model import Document

_LARGEST = 16_000_000  # bytes of a file that a terminal is sent
_numbers = itertools.count(1 + os.getpid() % 60_000 * 250)
"""Of images, in kitty's count, which all programs in its window share: few begin at the same number."""


class ImageView(Widget):
    """One image, as large as there is room for and as it is; hidden while there is none."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.display = False
        self._protocol = protocol_of(os.environ)
        self._facts: ImageFacts | None = None
        self._data = b""
        self._number = 0
        self._sent_for = (0, 0)
        """The cells for which kitty has the image; (0, 0) while it has none."""
        self._is_due = False

    async def show(self, document: Document, path: Path) -> bool:
        """Draw the image that `document` describes, which lies at `path`. False where it is none, or none that
        the terminal draws."""
        self._forget()
        self._facts, self._data = None, b""
        self.display = False
        facts = document.image
        if facts is None or self._protocol is None or not draws(self._protocol, facts.kind):
            return False
        if document.size > _LARGEST:
            return False
        try:
            self._data = await asyncio.to_thread(path.read_bytes)
        except OSError:
            return False  # gone since it was described; what is said of it stays
        self._facts, self._number = facts, next(_numbers) & 0xFFFFFF
        self.display = True
        self.refresh()
        return True

    def on_unmount(self) -> None:
        self._forget()

    def _forget(self) -> None:
        if self._sent_for != (0, 0):
            self._write(kitty_removed(self._number))
            self._sent_for = (0, 0)

    def _write(self, sequence: str) -> None:
        app = self.app
        assert isinstance(app, ActionApp)
        app.write_to_terminal(sequence)

    @property
    def _cells(self) -> tuple[int, int]:
        if self._facts is None or not self.size:
            return 0, 0
        return cells_for(self._facts.width, self._facts.height, self.size.width, self.size.height)

    def render_line(self, y: int) -> Strip:
        columns, rows = self._cells
        base = self.rich_style
        if y >= rows:
            return Strip.blank(self.size.width, base)
        if self._protocol == "kitty":
            self._send(columns, rows)
            number = f"#{self._number:06x}"
            row = Segment(kitty_row(y, columns), base + Style(color=number))
            return Strip([row], columns).extend_cell_length(self.size.width, base)
        if not self._is_due:
            # What the terminal drew is gone with the cells that are written now: it is drawn again over them.
            self._is_due = True
            self.call_after_refresh(self._draw)
        return Strip.blank(self.size.width, base)

    def _send(self, columns: int, rows: int) -> None:
        if self._sent_for != (columns, rows):
            self._forget()
            self._sent_for = (columns, rows)
            for sequence in kitty_sent(self._number, self._data, columns, rows):
                self._write(sequence)

    def _draw(self) -> None:
        self._is_due = False
        columns, rows = self._cells
        if not columns or self.app.screen is not self.screen or not self.is_on_screen:
            return  # a dialog is over it: when that goes, the cells are written again
        at = self.content_region
        self._write(iterm_drawn(self._data, at.x, at.y, columns, rows))
