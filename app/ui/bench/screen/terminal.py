"""A program on a pseudo-terminal, seen as a person would see it, with the time at which it was seen."""

import contextlib
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from fcntl import ioctl
from pathlib import Path
from types import TracebackType

import pyte

from app.ui.bench.screen.usage import Usage, usage_of

_ALTERNATE_SCREEN = b"\x1b[?1049h"
_LEAVE_TIME = 5.0
"""Seconds that a program has to end when it is told to."""


class BenchTerminal:
    """`command` in `directory`, started at once, on so many columns and rows. Times are seconds since its
    start."""

    def __init__(
        self, command: Sequence[str], directory: Path, environment: Mapping[str, str], size: tuple[int, int]
    ) -> None:
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)
        self.ended = False
        self.read_at = 0.0
        """When it last wrote something."""

        start, go = os.pipe()
        self._began = time.perf_counter()
        self.process, self._terminal = pty.fork()
        if not self.process:
            os.read(start, 1)
            os.chdir(directory)
            os.execvpe(command[0], list(command), dict(environment))
        self._set_size(size)
        attributes = termios.tcgetattr(self._terminal)
        attributes[3] &= ~termios.ECHO  # what is typed shows where the program draws it
        termios.tcsetattr(self._terminal, termios.TCSANOW, attributes)
        self._began = time.perf_counter()
        os.write(go, b"x")
        os.close(start)
        os.close(go)

    def __enter__(self) -> "BenchTerminal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def now(self) -> float:
        """How long it has been running."""
        return time.perf_counter() - self._began

    @property
    def text(self) -> str:
        """What its screen shows."""
        return "\n".join(self._screen.display)

    def usage(self) -> Usage:
        """What it has used."""
        return usage_of(self.process)

    def send(self, keys: str) -> None:
        """Type `keys`."""
        os.write(self._terminal, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self._screen.resize(rows, columns)
        self._set_size((columns, rows))

    def until(self, seen: Callable[[str], bool], patience: float) -> float | None:
        """When what it showed was first `seen`; None if it did not come in so many seconds."""
        deadline = time.perf_counter() + patience
        while time.perf_counter() < deadline:
            if self._read(deadline) and seen(self.text):
                return self.read_at
            if self.ended:
                break
        return None

    def watch(self, seconds: float) -> None:
        """Let it run for so long, reading what it writes."""
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline and not self.ended:
            self._read(deadline)

    def settle(self, quiet: float, patience: float) -> float:
        """Read until nothing came for `quiet` seconds; when the last came."""
        deadline = time.perf_counter() + patience
        while time.perf_counter() < deadline and self._read(time.perf_counter() + quiet):
            pass
        return self.read_at

    def close(self) -> None:
        """End it."""
        if self.ended and self._terminal < 0:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process, number)
            deadline = time.perf_counter() + _LEAVE_TIME
            while time.perf_counter() < deadline:
                self._read(min(deadline, time.perf_counter() + 0.05))
                if os.waitpid(self.process, os.WNOHANG)[0]:
                    os.close(self._terminal)
                    self._terminal, self.ended = -1, True
                    return

    def _read(self, deadline: float) -> bool:
        """Read once, at the latest at `deadline`; False where nothing came."""
        wait = max(0.0, deadline - time.perf_counter())
        if not select.select([self._terminal], [], [], wait)[0]:
            return False
        self.read_at = self.now
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # Linux says so that the other side is closed
            data = b""
        if not data:
            self.ended = True
            return False
        _, entered, after = data.partition(_ALTERNATE_SCREEN)
        if entered:
            self._screen.reset()
            data = after
        self._stream.feed(data)
        return True

    def _set_size(self, size: tuple[int, int]) -> None:
        ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
