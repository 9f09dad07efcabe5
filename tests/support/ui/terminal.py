"""A terminal for tests: a program on a pseudo-terminal, and the screen that a person would see.

with Terminal(["tidegate", "."], directory, columns=120, rows=40) as terminal:
    terminal.wait_for("Ask, or say what to change")
    terminal.type("hello").press("enter")
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pexpect
import pyte

from tests.support.patience import LONGEST

WORKING = "◉"
"""Stands before the model's name in the status line while the agent works."""
_KEYS = {
    "enter": "\r",
    "escape": "\x1b",
    "f1": "\x1bOP",
    "f2": "\x1bOQ",
    "f3": "\x1bOR",
    "f4": "\x1bOS",
    "f5": "\x1b[15~",
    "f10": "\x1b[21~",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "tab": "\t",
    "ctrl+c": "\x03",
    "ctrl+g": "\x07",
    "ctrl+j": "\n",
    "ctrl+o": "\x0f",
    "ctrl+p": "\x10",
    "ctrl+q": "\x11",
    "ctrl+s": "\x13",
    "ctrl+u": "\x15",
    "ctrl+]": "\x1d",
}


class Terminal:
    """A running program and its screen, `columns` × `rows` characters."""

    def __init__(
        self,
        command: Sequence[str | Path],
        directory: Path,
        *,
        columns: int = 120,
        rows: int = 40,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self.received = b""
        """All that the program has written."""
        self._process = pexpect.spawn(
            str(command[0]),
            [str(argument) for argument in command[1:]],
            cwd=str(directory),
            dimensions=(rows, columns),
            # The size is the pseudo-terminal's: variables that say another one would be believed first.
            env={name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
            | {"TERM": "xterm-256color", "COLORTERM": "truecolor", **(environment or {})},
            # As an interactive shell starts programs: tests that a shell began in the background ignore Ctrl+C,
            # and a program would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.close(force=True)

    @property
    def text(self) -> str:
        """What the screen shows now, line by line."""
        return "\n".join(self._screen.display)

    @property
    def is_running(self) -> bool:
        """Whether the program has not ended."""
        return bool(self._process.isalive())

    def wait_for(self, wanted: str | Callable[[str], bool], seconds: float = LONGEST) -> str:
        """Read until the screen shows `wanted`, and return it; AssertionError with the screen if not."""
        seen = wanted if callable(wanted) else (lambda text: wanted in text)
        deadline = time.monotonic() + seconds
        while not seen(self.text):
            assert time.monotonic() < deadline, f"the screen never showed {wanted!r}:\n{self.text}"
            try:
                self._read()
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                assert seen(self.text), f"the program ended before it showed {wanted!r}:\n{self.text}"
        return self.text

    def _read(self) -> None:
        data: Any = self._process.read_nonblocking(65536, timeout=0.2)
        self.received += data
        self._stream.feed(data)

    def signal(self, number: int) -> None:
        """Send the program a signal."""
        self._process.kill(number)

    def type(self, text: str) -> "Terminal":
        """Type characters."""
        self._process.send(text.encode())
        return self

    def press(self, *keys: str) -> "Terminal":
        """Press keys, by Textual's names or as single characters."""
        for key in keys:
            self._process.send(_KEYS.get(key, key).encode())
        return self

    def paste(self, text: str) -> "Terminal":
        """Paste text, as a terminal does it that was asked to mark pastes. Reads meanwhile: both sides talk."""
        data = b"\x1b[200~" + text.replace("\n", "\r").encode() + b"\x1b[201~"
        writer = threading.Thread(target=_write_all, args=(self._process.child_fd, data))
        writer.start()
        while writer.is_alive():
            with contextlib.suppress(pexpect.TIMEOUT):
                self._read()
        writer.join()
        return self

    def resize(self, columns: int, rows: int) -> "Terminal":
        """Give the window another size."""
        self._screen.resize(rows, columns)
        self._process.setwinsize(rows, columns)
        return self

    def leave(self) -> int:
        """Quit the workspace once its agent is done, which else it would ask about; the exit status."""
        self.wait_for(lambda text: WORKING not in text)
        self.press("ctrl+q")
        return self.wait_closed()

    def wait_closed(self, seconds: float = LONGEST) -> int:
        """Read until the program ends; its exit status."""
        deadline = time.monotonic() + seconds
        while True:
            assert time.monotonic() < deadline, f"the program did not end:\n{self.text}"
            try:
                self._read()
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                break
        self._process.close()
        status = self._process.exitstatus
        assert status is not None, f"the program was killed by signal {self._process.signalstatus}"
        return status


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
