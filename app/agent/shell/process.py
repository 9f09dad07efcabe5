"""A shell command as a process group: started, read, ended as a whole."""

import asyncio
import codecs
import contextlib
import os
import re
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.agent.errors import ToolFailure
from app.terminal_output import Cleaner

# Is told a process group, and ends it when its input is closed: when we died without a chance to.
_WATCH = ("/bin/sh", "-c", 'read -r group || exit 0; read -r _; kill -s KILL -- "-$group"')
_GRACE_SECONDS = 2.0  # between the request to end and the kill
_LOOK_SECONDS = 0.01  # between two looks at a process group
_SETTLING_SECONDS = 0.5  # for what ends with the command, a sandbox's own first process among it
_SECRET = re.compile(
    r"(?:^|_)(?:API|APIKEY|KEY|KEYS|TOKEN|TOKENS|SECRET|SECRETS|PASSWORD|PASSWD|PASSPHRASE|PASS|CREDENTIAL|CREDENTIALS|"
    r"AUTH|COOKIE|PAT|DSN)(?:_|$)|^(?:AWS|AZURE|GCP|GOOGLE|GITHUB|GITLAB|OPENAI|ANTHROPIC|HF)_",
    re.IGNORECASE,
)
_QUIET = {
    "TERM": "dumb",
    "NO_COLOR": "1",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "MANPAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "EDITOR": "true",
    "PYTHONUNBUFFERED": "1",
}


def command_environment() -> dict[str, str]:
    """The environment for commands: ours, without what names or holds a secret, and with nothing that waits for
    a person (pagers, editors, prompts)."""
    kept = {name: value for name, value in os.environ.items() if not _SECRET.search(name)}
    return {**kept, **_QUIET}


@dataclass(slots=True)
class HeadAndTail:
    """Text of which only the beginning and the end are kept, `limit` characters together."""

    limit: int
    _head: str = ""
    _tail: list[str] = field(default_factory=list)
    _tail_length: int = 0
    _dropped: int = 0

    def add(self, text: str) -> None:
        """Append `text`."""
        half = self.limit // 2
        room = half - len(self._head)
        if room > 0:
            self._head += text[:room]
            text = text[room:]
        if text:
            self._tail.append(text)
            self._tail_length += len(text)
        if self._tail_length > 2 * half:
            tail = "".join(self._tail)
            self._dropped += len(tail) - half
            self._tail = [tail[-half:]]
            self._tail_length = half

    @property
    def text(self) -> str:
        """What is kept, with a line that says what was cut."""
        half = self.limit // 2
        tail = "".join(self._tail)
        dropped = self._dropped + max(0, len(tail) - half)
        tail = tail[-half:]
        if not dropped:
            return self._head + tail
        return f"{self._head}\n[{dropped} characters of output were cut here]\n{tail}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended. `status` is the exit status, negative for a signal; `left_running` says that it left
    processes behind, which were ended; `has_escaped` that some of them left its process group and still run."""

    status: int
    timed_out: bool = False
    left_running: bool = False
    has_escaped: bool = False


def has_living(group: int) -> bool:
    """Whether a process group that exists has more than ended processes that nobody has collected yet, as in a
    container whose first process is no init. Only Linux says; elsewhere what exists counts."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # pid (name) state parent group …, where the name may have spaces and parentheses
            state, _parent, its_group = status.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return not Path("/proc/self/stat").exists()


def _holders(pipe: int) -> list[int]:
    """The other processes that have the pipe with this inode open, as far as Linux shows them."""
    found = []
    for descriptors in Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):
            number = int(descriptors.parent.name)
            is_there = any(str(link.readlink()) == f"pipe:[{pipe}]" for link in descriptors.iterdir())
            if is_there and number != os.getpid():
                found.append(number)
    return found


class _Watcher:
    """A small process that ends a group should this one die without doing it itself. It is there before the
    group's processes are, so that there is no moment in which nobody would end them."""

    def __init__(self, process: asyncio.subprocess.Process, hold: int) -> None:
        self._process = process
        self._hold = hold

    @classmethod
    async def start(cls) -> "_Watcher":
        """A watcher that waits to be told what to watch. Raises OSError."""
        watched, hold = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *_WATCH,
                stdin=watched,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except BaseException:
            os.close(hold)
            raise
        finally:
            os.close(watched)
        return cls(process, hold)

    def watch(self, group: int) -> None:
        """Watch over the process group."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._hold, f"{group}\n".encode())

    def end(self) -> None:
        """Watch no longer. The group's number may be another's from now on, so this comes before letting go."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        os.close(self._hold)


class CommandProcess:
    """A running command. Everything it starts is in one process group, and ends with it, and with us."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        watcher: "_Watcher",
        pipe: int,
    ) -> None:
        self._process = process
        self._pipe = pipe
        self._reader = reader
        self._watcher = watcher

    @property
    def group(self) -> int:
        """The process group's number, as `kill -- -N` takes it."""
        return self._process.pid

    @classmethod
    async def start(
        cls, arguments: Sequence[str], directory: Path, kept: Sequence[int] = ()
    ) -> "CommandProcess":
        """Start `arguments` in `directory`, without a terminal or input. It inherits the descriptors `kept`.
        Raises ToolFailure."""
        read_end, write_end = os.pipe()
        reader = asyncio.StreamReader()
        pipe = os.fdopen(read_end, "rb", buffering=0)
        inode = os.fstat(read_end).st_ino
        watcher: _Watcher | None = None
        try:
            watcher = await _Watcher.start()
            process = await asyncio.create_subprocess_exec(
                *arguments,
                cwd=directory,
                stdin=asyncio.subprocess.DEVNULL,
                # A pipe of our own: asyncio would not report the exit before grandchildren close theirs.
                stdout=write_end,
                stderr=write_end,
                env=command_environment(),
                start_new_session=True,
                pass_fds=kept,
            )
            watcher.watch(process.pid)
        except BaseException as error:
            pipe.close()
            if watcher is not None:
                watcher.end()
            if isinstance(error, OSError | ValueError):
                raise ToolFailure(f"The command could not be started: {error}.") from error
            raise
        finally:
            os.close(write_end)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        return cls(process, reader, watcher, inode)

    async def run(self, output: Callable[[str], Awaitable[None]], seconds: float | None) -> Outcome:
        """Read until the command ends, at most `seconds`. Cancelled, it ends the whole group first."""
        reading = asyncio.ensure_future(self._read(output))
        ending = asyncio.ensure_future(self._process.wait())
        timed_out = False
        try:
            done, _pending = await asyncio.wait({ending}, timeout=seconds)
            timed_out = not done
            if timed_out:
                await self.end()
            # What is left in the pipe arrives at once, unless something still running holds it open.
            await asyncio.wait({reading}, timeout=_SETTLING_SECONDS)
            left_running = not reading.done() or not await self._is_gone(_SETTLING_SECONDS)
            if left_running:
                await self.end()
                await asyncio.wait({reading}, timeout=_SETTLING_SECONDS)
            if not reading.done():
                # Whoever still has our pipe began a session of its own (setsid), and left the group.
                for number in await asyncio.to_thread(_holders, self._pipe):
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(number, signal.SIGKILL)
                await asyncio.wait({reading}, timeout=_SETTLING_SECONDS)
            has_escaped = not reading.done()
            if not has_escaped:
                reading.result()
            return Outcome(await ending, timed_out, left_running and not timed_out, has_escaped)
        finally:
            reading.cancel()
            await self.aclose()
            ending.cancel()

    async def aclose(self) -> None:
        """End what still runs of it, and watch over it no longer."""
        try:
            await self.end()
        finally:
            self._watcher.end()

    async def _read(self, output: Callable[[str], Awaitable[None]]) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        cleaner = Cleaner()
        while data := await self._reader.read(65536):
            if text := cleaner.add(decoder.decode(data)):
                await output(text)
        if text := cleaner.add(decoder.decode(b"", final=True)) + cleaner.end():
            await output(text)

    def _is_alive(self) -> bool:
        try:
            os.killpg(self.group, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return has_living(self.group)

    async def end(self) -> None:
        """Ask the group to end, and make it after two seconds."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self._is_alive():
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.group, number)
            # The system tells a parent of its child's end, but nobody of a group's: it has to be looked for.
            if await self._is_gone(_GRACE_SECONDS):
                return

    async def _is_gone(self, seconds: float) -> bool:
        """Whether all of the group ends within `seconds`."""
        until = time.monotonic() + seconds
        while self._is_alive():
            if time.monotonic() >= until:
                return False
            await asyncio.sleep(_LOOK_SECONDS)
        return True
