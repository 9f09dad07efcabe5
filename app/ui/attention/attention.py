"""Calls a user who looks at another window when the agent asks or is done; the window's title says so too."""

import asyncio
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from app.settings.settings import Settings
from app.ui.attention.notices import BELL, is_in_tmux, notification, protocol_of
from app.ui.attention.titles import POP, PUSH, set_title, set_window_name, title_of

_ASKING_TMUX = 2.0  # seconds that tmux may take to answer


@dataclass(frozen=True, slots=True)
class Tmux:
    """What tmux knew before: TERM of the terminal behind it; the window's name, "" where tmux chooses it."""

    outer_term: str = ""
    window: str = ""


class Attention:
    """Writes to the terminal by `write`. `root` is the name of the workspace."""

    def __init__(self, root: str, write: Callable[[str], None]) -> None:
        self._root = root
        self._write = write
        self._settings = Settings()
        self._tmux: Tmux | None = None
        self._title = ""
        self._is_there = self._is_asking = self._is_working = False

    def begin(self, settings: Settings) -> None:
        """Keep the titles that were there, and set ours as `settings` want it."""
        self._settings = settings
        if settings.terminal_title:
            self._is_there = True
            self._write(PUSH)
            self._show()

    async def learn(self) -> None:
        """Ask tmux, where there is one, what it knew before."""
        if is_in_tmux(os.environ):
            self._tmux = await asyncio.to_thread(ask_tmux)
            self._title = ""
            self._show()

    def end(self) -> None:
        """Put the titles back."""
        if self._is_there:
            self._is_there, self._title = False, ""
            self._write(POP)
            if self._tmux is not None:
                self._write(set_window_name(self._tmux.window))

    def asks(self, is_asking: bool, what: str, *, is_focused: bool) -> None:
        """The agent asks `what`, or was answered."""
        self._is_asking = is_asking
        self._show()
        if is_asking and not is_focused:
            self._call(what)

    def works(self, is_working: bool, *, is_focused: bool) -> None:
        """A turn began or ended."""
        self._is_working = is_working
        self._show()
        if not is_working and not is_focused:
            self._call("The agent is done")

    def _show(self) -> None:
        if not self._is_there:
            return
        title = title_of(self._root, is_asking=self._is_asking, is_working=self._is_working)
        if title != self._title:
            self._title = title
            self._write(set_title(title))
            if self._tmux is not None:
                self._write(set_window_name(f"{'● ' if self._is_asking else ''}tidegate"))

    def _call(self, words: str) -> None:
        if self._settings.bell:
            self._write(BELL)
        protocol = protocol_of(os.environ, self._tmux.outer_term if self._tmux is not None else "")
        if self._settings.notifications and protocol is not None:
            self._write(
                notification(protocol, f"tidegate – {self._root}", words, in_tmux=is_in_tmux(os.environ))
            )


def ask_tmux() -> Tmux:
    """What tmux says. Blocks on it."""
    pane = os.environ.get("TMUX_PANE", "")
    target = ["-t", pane] if pane else []
    wanted = "#{client_termname}\n#{automatic-rename}\n#{window_name}"
    try:
        said = subprocess.run(
            ["tmux", "display-message", "-p", *target, wanted],
            capture_output=True,
            text=True,
            timeout=_ASKING_TMUX,
            check=True,
        ).stdout.split("\n")
    except (OSError, subprocess.SubprocessError):
        return Tmux()
    term, is_automatic, window = (*said, "", "", "")[:3]
    return Tmux(term, "" if is_automatic == "1" else window)
