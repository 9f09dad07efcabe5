"""A shell in a pane."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message

from app.errors import TidegateError
from app.terminal.flood import thinned
from app.terminal.screen import TerminalScreen
from app.terminal.shell import Shell, user_shell
from app.terminal.stream import TerminalStream
from app.ui.drawing.text import visible
from app.ui.keys.actions import bindings
from app.ui.keys.keymap import Keymap, keys_of
from app.ui.keys.labels import key_label
from app.ui.keys.typed_ahead import opening
from app.ui.panes.lower.terminal_view import TerminalView
from app.workspace.places import file_named
from app.workspace.workspace import Workspace

_FRAME = 1 / 60  # seconds between two looks at what the program wrote
_WORK = 0.008  # seconds of such a look that drawing may take: half of it is left to everything else
_PIECE = 4096  # bytes that are drawn between two looks at the clock
_ENOUGH = 65_536  # bytes that are to be drawn first, before more is read
_NEWEST = 40  # rows that the agent is given


class TerminalPane(Vertical):
    """The user's shell in the workspace's root, begun when the pane is first shown."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("shell"), *bindings("terminal")]

    class OpenWanted(Message):
        """The user wants to see a line of a file."""

        def __init__(self, path: str, line: int) -> None:
            super().__init__()
            self.path = path
            self.line = line

    class HandOverWanted(Message):
        """The user wants the agent to have these lines."""

        def __init__(self, lines: Sequence[str]) -> None:
            super().__init__()
            self.lines = lines

    class TitleChanged(Message):
        """Another title is to be shown."""

    def __init__(self, workspace: Workspace, keymap: Keymap) -> None:
        super().__init__(id="terminal")
        self._workspace = workspace
        self._keymap = keymap
        self.view = TerminalView(keymap)
        self._stream = TerminalStream(self.view.terminal)
        self._shell: Shell | None = None
        self._is_starting = False
        self._undrawn = b""
        self._looked = 0.0
        self._has_plan = False
        self._to_run: str | None = None
        self.title = ""
        """What the pane's border says of it."""

    def compose(self) -> ComposeResult:
        yield self.view

    async def on_unmount(self) -> None:
        if self._shell is not None:
            await self._shell.aclose()

    # The shell.

    def begin(self, line: str | None = None) -> None:
        """Start a shell where none runs, and have it run the command `line`, if there is one."""
        if line is not None:
            self._to_run = line
        if not self._is_starting:
            self._is_starting = True
            self.run_worker(self._begin(), group="terminal")

    async def _begin(self) -> None:
        try:
            with opening(self):
                if self._shell is None or self._shell.status is not None:
                    await self._start()
                self.view.type()
            if self._to_run is not None:
                self._run_when_free(self._to_run)
        except TidegateError as error:
            self.app.notify(str(error), severity="error", timeout=8)
        finally:
            self._is_starting = False
            self._to_run = None

    async def _start(self) -> None:
        if self._shell is not None:
            await self._shell.aclose()
        columns, lines = self._room
        screen = TerminalScreen(columns, lines)
        self._stream = TerminalStream(screen)
        background, foreground = self.app.theme_variables["background"], self.app.theme_variables["foreground"]
        self._stream.colours = {"background": background[1:7], "foreground": foreground[1:7]}
        self._undrawn = b""
        arguments = user_shell()
        self._shell = await Shell.start(arguments, self._workspace.root, columns, lines, self._plan)
        self.view.show(screen)
        self._say()

    def _run_when_free(self, line: str) -> None:
        """Type `line` where the shell waits for a command, or is about to."""
        shell = self._shell
        if shell is None:
            return
        if shell.is_busy:
            self.app.notify("A program runs in the terminal; end it first.", severity="warning")
            return
        shell.write(line.encode("utf-8", "surrogateescape") + b"\r")

    @property
    def _room(self) -> tuple[int, int]:
        return max(2, self.view.room_width), max(1, self.view.size.height)

    def on_terminal_view_resized(self) -> None:
        if self._shell is not None and self.view.size.height:
            columns, lines = self._room
            self.view.terminal.resize(lines, columns)
            self._shell.resize(columns, lines)
            self.view.repaint()

    def on_terminal_view_typed(self, event: TerminalView.Typed) -> None:
        event.stop()
        if self._shell is not None:
            self._shell.write(event.data)

    # What it writes.

    def _plan(self) -> None:
        """Look at once if nothing was looked at for a while, else with the next frame."""
        if not self._has_plan and self.is_mounted:
            self._has_plan = True
            wait = self._looked + _FRAME - time.monotonic()
            self.set_timer(max(0.001, wait), self._look)

    def _look(self) -> None:
        self._has_plan = False
        shell = self._shell
        if shell is None:
            return
        screen = self.view.terminal
        data = self._undrawn
        if len(data) < _ENOUGH:
            data = thinned(data + shell.take(), screen.lines)
        title, bells, at = screen.title, screen.bells, 0
        until = time.perf_counter() + _WORK
        while at < len(data) and time.perf_counter() < until:
            self._stream.feed(data[at : at + _PIECE])
            at += _PIECE
        self._undrawn = data[at:]
        if screen.replies:
            shell.write("".join(screen.replies).encode())
            screen.replies.clear()
        self.view.repaint()
        if screen.bells != bells:
            self.app.bell()
        self._looked = time.monotonic()
        if self._undrawn:
            self._plan()
        elif shell.status is not None:
            self._ended(shell.status)
        if screen.title != title:
            self._say()

    def _ended(self, status: int) -> None:
        how = f"signal {-status}" if status < 0 else f"status {status}"
        key = key_label(keys_of("terminal.restart", self._keymap)[0])
        self._stream.feed(f"\r\n\x1b[m[The shell has ended with {how}; {key} starts another.]".encode())
        self.view.repaint()
        self.view.read()

    # The border, and what keys do.

    def _say(self) -> None:
        name = visible(self.view.terminal.title) or Path(user_shell()[0]).name
        self.title = name[:40]
        self.post_message(self.TitleChanged())

    def on_terminal_view_mode_changed(self) -> None:
        self._say()

    async def action_leave(self) -> None:
        if self.view.is_typing:
            self.view.read()
        else:
            await self.run_action("screen.toggle_terminal")

    def action_type(self) -> None:
        self.view.type()

    def action_open(self) -> None:
        self.view.open()

    def action_next(self) -> None:
        self.view.step(1)

    def action_previous(self) -> None:
        self.view.step(-1)

    def action_restart(self) -> None:
        self.begin()

    def action_hand_over(self) -> None:
        self.post_message(self.HandOverWanted(self.view.newest(_NEWEST)))

    async def on_terminal_view_open_wanted(self, event: TerminalView.OpenWanted) -> None:
        event.stop()
        where = self._shell.directory if self._shell is not None else None
        if where is None and self._stream.directory:
            where = Path(self._stream.directory)
        path = await asyncio.to_thread(file_named, event.place.path, self._workspace.root, where)
        if path is not None:
            self.post_message(self.OpenWanted(path, event.place.line))
        else:
            self.app.notify(f"There is no file {event.place.path} in this workspace.", severity="warning")
