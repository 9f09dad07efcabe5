"""Panes are made wider and narrower by keys and by dragging a border, and keep that for the repository."""

import asyncio
from pathlib import Path

from textual import events
from textual.screen import Screen

from app.settings.layout import pane_widths, remember_pane_widths
from app.ui.background import begin_again
from app.ui.screens.folding import Folding


class Resizing:
    """Changes the widths of `folding` for a screen."""

    def __init__(self, screen: Screen[None], folding: Folding, root: Path) -> None:
        self._screen = screen
        self._folding = folding
        self._root = root
        self._dragged: str | None = None
        folding.take_widths(pane_widths(root))

    def by(self, pane: str, columns: int) -> None:
        """Make a pane wider by so many columns, or narrower."""
        self._folding.resize(pane, columns)
        self._keep()

    def press(self, event: events.MouseDown) -> None:
        """The mouse was pressed, perhaps on a border."""
        self._dragged = self._folding.border_at(event.screen_x) if event.button == 1 else None
        if self._dragged is not None:
            event.stop()
            self._screen.capture_mouse()

    def move(self, event: events.MouseMove) -> None:
        """The mouse moves, perhaps with a border."""
        if self._dragged is not None:
            self._folding.drag(self._dragged, event.screen_x)

    def release(self) -> None:
        """The mouse lets go."""
        if self._dragged is not None:
            self._dragged = None
            self._screen.release_mouse()
            self._keep()

    def _keep(self) -> None:
        widths = dict(self._folding.widths)

        async def keep() -> None:
            try:
                await asyncio.to_thread(remember_pane_widths, self._root, widths)
            except OSError as error:
                self._screen.app.notify(f"The widths are not kept: {error.strerror}.", severity="warning")

        begin_again(self._screen, "widths", keep)
