"""The picture of the workspace as it begins, taken while the user has not done anything yet."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from textual import events
from textual._compositor import LayoutUpdate
from textual.app import App
from textual.strip import Strip
from textual.timer import Timer

from app.first_frame.picture import Field, Picture, read_picture, remove_pictures, write_picture
from app.ui.screens.workspace import WorkspaceScreen

_SETTLED = 1.0
"""Seconds after the first frame, or after another size, until files, branch and model are on the screen."""


class FirstLook:
    """Keeps the picture that the next start on the same directory shows first. `screen` gives the workspace's
    own screen while nothing is over it."""

    def __init__(self, app: App[Any], screen: Callable[[], WorkspaceScreen | None]) -> None:
        self._app = app
        self._screen = screen
        self._timer: Timer | None = None
        self._is_untouched = True
        self._look: object = None

    def heed(self, event: events.Event) -> None:
        """Take notice of what the application hears."""
        if isinstance(event, events.Key | events.Paste | events.MouseDown):
            self._is_untouched = False
            self._wait_no_more()
        elif isinstance(event, events.Ready | events.Resize) and self._is_untouched:
            self._wait_no_more()
            self._timer = self._app.set_timer(_SETTLED, self._take)

    def begin(self) -> None:
        """The screen is drawn for the first time. Where the user typed before that, it will not be seen
        untouched, and a picture without files is better than none."""
        screen = self._screen()
        if screen is not None and not self._is_untouched:
            self._take(only_first=True)

    def end(self, screen: WorkspaceScreen) -> None:
        """Remove the pictures of `screen`, which ends, if the next start will not look like them."""
        self._wait_no_more()
        if self._look is not None and self._look != self._look_of(screen):
            remove_pictures(screen.root)

    def _wait_no_more(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _look_of(self, screen: WorkspaceScreen) -> object:
        return dict(screen.folding.widths), self._app.theme

    def _take(self, *, only_first: bool = False) -> None:
        self._timer = None
        screen = self._screen()
        if screen is None or self._app.is_headless or screen.query("Toast"):
            return
        update = screen._compositor.render_update(full=True, simplify=True)
        if not isinstance(update, LayoutUpdate):
            return
        size = (screen.outer_size.width, screen.outer_size.height)
        if only_first and read_picture(screen.root, size) is not None:
            return
        self._look = self._look_of(screen)
        picture = Picture(update.render_segments(self._app.console), self._field(screen))
        self._app.run_worker(_keep(screen.root, size, picture), group="first-look")

    def _field(self, screen: WorkspaceScreen) -> Field | None:
        prompt = screen.agent.prompt
        is_writing = prompt.has_focus and prompt.vim is None and not prompt.text
        if not is_writing:
            return None
        place = prompt.content_region
        text = _sequence(self._app.console, prompt.rich_style)
        cursor = _sequence(self._app.console, prompt.get_component_rich_style("text-area--cursor"))
        return Field(place.x, place.y, place.width, text, cursor)


def _sequence(console: Console, style: Style) -> str:
    """What the terminal is sent for `style`."""
    colours = console._color_system or ColorSystem.TRUECOLOR
    return f"\x1b[{Strip.render_ansi(style, colours)}m"


async def _keep(root: Path, size: tuple[int, int], picture: Picture) -> None:
    with suppress(OSError):  # without it the next start only shows nothing for a moment
        await asyncio.to_thread(write_picture, root, size, picture)
