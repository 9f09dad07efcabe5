"""The terminal, which may be closed at any time."""

import contextlib
import select
import signal
import sys
import threading
from io import TextIOWrapper
from typing import Any, Protocol, cast, runtime_checkable

from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver

from app.first_frame.held import ENTER_ALTERNATE_SCREEN, take_over


class LastingFile:
    """`file`, to which is written as long as it exists. Textual's thread that writes would end with the first
    error, and everybody who has something to show would wait for it for ever."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Write `text`, or nothing when the terminal is gone."""
        with contextlib.suppress(OSError):
            self._file.write(text)

    def flush(self) -> None:
        """Likewise."""
        with contextlib.suppress(OSError):
            self._file.flush()

    def fileno(self) -> int:
        """The terminal's."""
        return int(self._file.fileno())


@runtime_checkable
class UsesTerminal(Protocol):
    """An application that sets something of the terminal besides what it draws."""

    def enter_terminal(self) -> None:
        """The terminal is ours, from the start or again."""

    def leave_terminal(self) -> None:
        """The terminal is about to be somebody else's, at the end or for a while."""


class TerminalDriver(LinuxDriver):
    """Textual's, which can be left even when the terminal has gone, and goes on from a first frame that is
    shown and keys that were typed before it was there."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Textual draws on standard error, which may have been sent to a file.
        here = next((file for file in (self._file, sys.__stdout__) if file and file.isatty()), self._file)
        self._file = cast(TextIOWrapper, LastingFile(here))
        self._typed = ""
        self._stands_in_alternate_screen = False
        self._is_watched = False

    def start_application_mode(self) -> None:
        held = take_over()
        if held is not None:
            self._typed = held.take()
            self._stands_in_alternate_screen = held.shows_picture
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if held is not None:
            # What to restore at the end is what was found at the start.
            self.attrs_before = held.attributes
        if not self._is_watched:
            self._is_watched = True
            threading.Thread(target=self._leave_when_gone, name="terminal", daemon=True).start()
        if isinstance(self._app, UsesTerminal):
            self._app.enter_terminal()

    def _leave_when_gone(self) -> None:
        """End the application when its terminal is gone and no signal says so, as where su stands between.
        Textual would read the end of the input again and again, for ever."""
        gone = select.poll()
        gone.register(self.fileno, select.POLLHUP)
        if any(what & select.POLLHUP for _, what in gone.poll()):
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._app.exit, None, 128 + signal.SIGHUP)

    def stop_application_mode(self) -> None:
        if isinstance(self._app, UsesTerminal):
            self._app.leave_terminal()
        super().stop_application_mode()

    def write(self, data: str) -> None:
        if data == ENTER_ALTERNATE_SCREEN and self._stands_in_alternate_screen:
            # Most terminals would clear it for that, and blink.
            self._stands_in_alternate_screen = False
            return
        super().write(data)

    def run_input_thread(self) -> None:
        if self._typed:
            parser = XTermParser()
            # The end of the input is what tells Escape from the beginning of a longer sequence.
            for event in (*parser.feed(self._typed), *parser.feed("")):
                self.process_message(event)
            self._typed = ""
        super().run_input_thread()
