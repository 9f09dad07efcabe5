"""The engine as an operating system process: where its socket is, how it is started, how it ended."""

import asyncio
import hashlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.model.engine.process_lock import ProcessLock
from app.model.errors import EngineFailed
from app.paths import child_environment, log_directory, runtime_directory

_LONGEST_SOCKET_PATH = 103
"""Bytes that macOS has room for, less the closing zero; Linux has four more."""

_LARGEST_LOG = 2**20  # bytes; a longer one is begun anew

_WHEN_WELL = re.compile(r"\S+ \S+ (?:DEBUG|INFO) ")


@dataclass(frozen=True, slots=True)
class EngineFiles:
    """The files by which windows find the engine of one model."""

    socket: Path
    lock: Path
    log: Path

    @classmethod
    def of(cls, model: Path) -> "EngineFiles":
        """The place for a checkpoint directory. Another version of Tidegate has another place, so that a window
        never talks to an engine it was not made with."""
        from importlib.metadata import version  # noqa: PLC0415  the first frame does not wait for it

        identity = f"{version('tidegate')}\0{sys.prefix}\0{model.resolve()}"
        name = hashlib.sha256(identity.encode()).hexdigest()[:12]
        directory = runtime_directory()
        return cls(
            directory / f"{name}.sock", directory / f"{name}.lock", log_directory() / f"engine-{name}.log"
        )

    def prepare(self) -> None:
        """Make the directories, ours alone. Raises EngineFailed where that cannot be."""
        if len(os.fsencode(self.socket)) > _LONGEST_SOCKET_PATH:
            raise EngineFailed(
                f"the path of the engine's socket, {self.socket}, is too long for a socket",
                "set TIDEGATE_HOME to a directory with a shorter name",
            )
        try:
            for directory in (self.socket.parent, self.log.parent):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.socket.parent.chmod(0o700)
        except OSError as error:
            raise _unusable(error) from None

    def take(self) -> ProcessLock:
        """The lock; and away with a socket that a killed engine left behind.

        Raises BlockingIOError while an engine has the lock, EngineFailed where the files cannot be had.
        """
        lock = None
        try:
            lock = ProcessLock(self.lock)
            self.socket.unlink(missing_ok=True)
        except BlockingIOError:
            raise
        except OSError as error:
            if lock is not None:
                lock.let_go()
            raise _unusable(error) from None
        return lock


def _unusable(error: OSError) -> EngineFailed:
    if not error.filename:
        return EngineFailed(f"the engine cannot be started ({error.strerror})")
    return EngineFailed(
        f"{error.filename}, which the engine needs, cannot be used ({error.strerror})",
        "remove it, or set TIDEGATE_HOME to a directory of your own",
    )


def engine_command(model: Path, socket: Path, idle_seconds: float) -> list[str]:
    """The command that serves `model`. `-P` keeps the modules of whatever directory we are in out of it."""
    serve = [
        "serve",
        "--model",
        str(model),
        "--socket",
        str(socket),
        "--idle-exit",
        str(max(1, round(idle_seconds))),
    ]
    return [sys.executable, "-P", "-m", "mlx_model", *serve]


EngineCommand = Callable[[Path, Path, float], list[str]]


class EngineProcess:
    """A running engine that this process started. It lives on when we end: other windows may use it."""

    def __init__(self, command: list[str], log: Path, lock: ProcessLock) -> None:
        """Start `command`, its output going to `log`, and hand it the lock. Raises EngineFailed when it cannot
        be started."""
        keep = log.is_file() and log.stat().st_size < _LARGEST_LOG
        self._log = log
        try:
            with log.open("ab" if keep else "wb") as output:
                self._log_start = output.tell()
                self._popen = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd="/",
                    env=child_environment(),
                    start_new_session=True,
                    pass_fds=(lock.descriptor,),
                )
        except OSError as error:
            raise _unusable(error) from None
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[int] = loop.create_future()
        """The exit status, once it has ended; negative for a signal, as in subprocess."""
        threading.Thread(target=self._wait, args=(loop,), name="engine-wait", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    def last_words(self, lines: int) -> tuple[str, ...]:
        """The last lines that this process printed, without blank ones and its DEBUG and INFO messages."""
        try:
            with self._log.open("rb") as log:
                log.seek(self._log_start)
                text = log.read().decode(errors="replace")
        except OSError:
            return ()
        said = (line.strip() for line in text.splitlines())
        return tuple(line for line in said if line and not _WHEN_WELL.match(line))[-lines:]

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        status = self._popen.wait()

        def tell() -> None:
            if not self.ended.done():
                self.ended.set_result(status)

        # The event loop is closed: no listener is left.
        if not loop.is_closed():
            try:
                loop.call_soon_threadsafe(tell)
            except RuntimeError:
                return


def manner_of_death(status: int) -> str:
    """An exit status as a clause: "was killed (SIGKILL)"."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed ({signal.Signals(-status).name})"
    except ValueError:
        return f"was killed (signal {-status})"
