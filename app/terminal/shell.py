"""A program on a pseudo-terminal: started, read within bounds, typed to, and ended with all it began."""

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from app.errors import TidegateError

# Makes the terminal at its standard input its own, then becomes the program. A function to be called between
# fork and exec could do the same, but not safely in a process that has threads.
_BECOME = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
)
_PIECE = 65_536  # bytes read at a time
_MOST_HELD = 8_000_000  # bytes that are read ahead of the screen; a program that writes more waits
_GRACE_SECONDS = 1.0  # between the hang-up and the kill
_LOOK_SECONDS = 0.02  # between two looks at what still runs


class ShellError(TidegateError):
    """A program could not be started on a terminal."""


def user_shell() -> list[str]:
    """The user's shell."""
    return [os.environ.get("SHELL") or "/bin/sh"]


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    own = ("COLUMNS", "LINES", "TERMCAP", "NO_COLOR", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "TMUX", "STY")
    kept = {name: value for name, value in os.environ.items() if name not in own}
    return {**kept, "TERM": "xterm-256color", "COLORTERM": "truecolor", **extra}


class Shell:
    """A running program. `changed` is called when there is something to take, or it has ended."""

    def __init__(
        self, process: asyncio.subprocess.Process, master: int, name: str, changed: Callable[[], None]
    ) -> None:
        self._process = process
        self._master = master
        self._terminal = name
        self._changed = changed
        self._held = bytearray()
        self._unwritten = bytearray()
        self._is_open = True
        self._is_reading = False
        self.status: int | None = None
        """How it ended: the exit status, negative for a signal."""
        self._read()
        self._waiting = asyncio.create_task(self._wait())

    @classmethod
    async def start(
        cls,
        arguments: Sequence[str],
        directory: Path,
        columns: int,
        lines: int,
        changed: Callable[[], None],
        *,
        environment: Mapping[str, str] | None = None,
    ) -> "Shell":
        """Start `arguments` in `directory` on a terminal of `columns` × `lines`. Raises ShellError."""
        master, slave = pty.openpty()
        name = os.ttyname(slave)
        os.set_blocking(master, False)
        _set_size(master, columns, lines)
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-S", "-c", _BECOME),
                *arguments,
                cwd=directory,
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env=_environment(environment or {}),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            os.close(master)
            raise ShellError(f"{arguments[0]} cannot be started ({error})", "see the variable SHELL") from None
        finally:
            os.close(slave)
        return cls(process, master, name, changed)

    # Reading.

    def _read(self) -> None:
        if self._is_open and not self._is_reading:
            self._is_reading = True
            asyncio.get_running_loop().add_reader(self._master, self._readable)

    def _rest(self) -> None:
        if self._is_reading:
            self._is_reading = False
            asyncio.get_running_loop().remove_reader(self._master)

    def _readable(self) -> None:
        try:
            data = os.read(self._master, _PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # Linux says so when nobody has the other end open any more
        if not data:
            self._rest()
        self._held += data
        if len(self._held) >= _MOST_HELD:
            self._rest()
        self._changed()

    def take(self) -> bytes:
        """All that it wrote since the last call."""
        data = bytes(self._held)
        self._held.clear()
        if self.status is None:
            self._read()
        return data

    # Writing.

    def write(self, data: bytes) -> None:
        """Type `data`. What the program does not take yet waits for it."""
        if self._is_open:
            self._unwritten += data
            self._write()

    def _write(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            del self._unwritten[: os.write(self._master, self._unwritten)]
        except BlockingIOError:
            pass
        except OSError:
            self._unwritten.clear()  # it has ended
        if self._unwritten:
            loop.add_writer(self._master, self._write)
        else:
            loop.remove_writer(self._master)

    def resize(self, columns: int, lines: int) -> None:
        """Give its terminal another size, and tell it."""
        if self._is_open:
            _set_size(self._master, columns, lines)

    # What it is doing.

    @property
    def is_busy(self) -> bool:
        """Whether another program runs in front of it, and takes what is typed."""
        with contextlib.suppress(OSError):
            return self._is_open and os.tcgetpgrp(self._master) not in (0, self._process.pid)
        return False

    @property
    def directory(self) -> Path | None:
        """Where it is, as far as the system says (only Linux does)."""
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self._process.pid}/cwd").readlink()
        return None

    # Its end.

    async def _wait(self) -> None:
        status = await self._process.wait()
        self._readable_to_the_end()
        self.status = status
        self._changed()

    def _readable_to_the_end(self) -> None:
        """Take what was written last: whoever still has the terminal open may keep writing afterwards."""
        self._rest()
        with contextlib.suppress(OSError):
            while self._is_open and len(self._held) < _MOST_HELD and (data := os.read(self._master, _PIECE)):
                self._held += data

    async def aclose(self) -> None:
        """End it and all it started: hang up, as a terminal does that is closed, then kill what stays."""
        if not self._is_open:
            return
        self._rest()
        members = await asyncio.to_thread(self._members)
        asyncio.get_running_loop().remove_writer(self._master)
        self._is_open = False
        _signal(members, signal.SIGHUP)
        _signal(members, signal.SIGCONT)  # what was stopped could not end
        os.close(self._master)
        for _ in range(round(_GRACE_SECONDS / _LOOK_SECONDS)):
            if not any(map(_is_running, members)):
                break
            await asyncio.sleep(_LOOK_SECONDS)
        _signal([member for member in members if _is_running(member)], signal.SIGKILL)
        await self._waiting

    def _members(self) -> list[int]:
        """The processes of its session; where the system does not show sessions, those on its terminal."""
        found = {self._process.pid} if self.status is None else set()
        for status in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                # pid (name) state parent group session …, where the name may have spaces and parentheses
                if int(status.read_text().rpartition(")")[2].split()[3]) == self._process.pid:
                    found.add(int(status.parent.name))
        if not Path("/proc/self/stat").exists():
            name = self._terminal.removeprefix("/dev/")
            said = subprocess.run(["ps", "-t", name, "-o", "pid="], capture_output=True, text=True, check=False)
            found |= {int(number) for number in said.stdout.split() if number.isdecimal()}
        return sorted(found)


def _set_size(descriptor: int, columns: int, lines: int) -> None:
    with contextlib.suppress(OSError):
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def _signal(processes: Sequence[int], number: int) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, number)


def _is_running(process: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has collected does not."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, PermissionError):
        return False
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return True
