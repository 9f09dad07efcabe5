"""The language servers of a workspace: each started with the first file that is one for it."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from app.agent.shell.process import command_environment
from app.agent.shell.sandbox import find_sandbox
from app.language.connection import ServerFailed
from app.language.model import Problem, ServerState, Spot
from app.language.server import LanguageServer
from app.language.table import Server, servers_of
from app.settings.settings import load_settings
from app.workspace.workspace import Workspace

_LARGEST = 1_000_000  # characters of a file that a server is shown
_MOST_SHOWN = 50  # files that a server has open
_MOST_STARTS = 3  # of a server that ends by itself
_OWN_PLACES = (".venv/bin", "venv/bin", "node_modules/.bin")
"""Where a project may bring its servers. They come with the repository, so only the sandbox runs them."""
# Servers keep caches, and may write nowhere else.
_WITH_CACHES = 'c="${TMPDIR:-/tmp}"; export XDG_CACHE_HOME="$c/cache" GOCACHE="$c/go"; exec "$@"'

Ask = Callable[[LanguageServer], Awaitable[tuple[Spot, ...]]]


class LanguageServers:
    """Servers are missing, slow or broken without anybody waiting for them: what they say comes when it comes.
    `listener` is called when there is something new."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._root = workspace.root
        self.listener: Callable[[], None] = lambda: None
        self._servers: tuple[Server, ...] | None = None
        self._running: dict[str, LanguageServer] = {}
        self._starts: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: dict[str, asyncio.Task[LanguageServer | None]] = {}
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._is_closed = False
        self.states: dict[str, ServerState] = {}
        """Where each server stands that was wanted, by its name."""

    # What they say.

    def problems_in(self, path: str) -> tuple[Problem, ...]:
        """What is wrong in a file, by line."""
        found = [problem for server in self._running.values() for problem in server.problems.get(path, ())]
        return tuple(sorted(found, key=lambda problem: problem.line))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong in all files that are known, by path and line."""
        paths = {path for server in self._running.values() for path, found in server.problems.items() if found}
        return tuple(problem for path in sorted(paths) for problem in self.problems_in(path))

    # Files.

    async def look(self, path: str, text: str) -> None:
        """The file `path` is open, or holds something else now."""
        if len(text) > _LARGEST or self._is_closed:
            return
        for server in await self._servers_for(path):
            running = await self._started(server)
            if running is not None:
                with suppress(ServerFailed):
                    running.show(path, text)
                    for old in running.shown[:-_MOST_SHOWN]:
                        running.hide(old)

    async def judge(self, path: str, text: str, seconds: float) -> list[Problem]:
        """What its servers say of `path` with the content `text`; of those that say it within `seconds`."""
        if len(text) > _LARGEST or self._is_closed:
            return []
        found: list[Problem] = []
        until = asyncio.get_running_loop().time() + seconds
        for server in await self._servers_for(path):
            running = self._running.get(server.name)
            if running is None:
                continue  # one that is still starting is not waited for
            with suppress(ServerFailed):
                left = max(0.05, until - asyncio.get_running_loop().time())
                found += await running.until_judged(path, text, left) or ()
        return found

    async def definition(self, path: str, text: str, line: int, column: int) -> tuple[Spot, ...]:
        """Where the name at this place is defined; `line` and `column` count from 0. Raises ServerFailed where
        no server can tell."""
        return await self._ask(path, text, lambda server: server.definition(path, line, column))

    async def references(self, path: str, text: str, line: int, column: int) -> tuple[Spot, ...]:
        """Where the name at this place is used. Raises ServerFailed where no server can tell."""
        return await self._ask(path, text, lambda server: server.references(path, line, column))

    async def _ask(self, path: str, text: str, ask: Ask) -> tuple[Spot, ...]:
        failure: ServerFailed | None = None
        asked = 0
        for server in await self._servers_for(path):
            running = await self._started(server)
            if running is None:
                continue
            try:
                running.show(path, text)
                found = await ask(running)
                asked += 1
                if found:
                    return found
            except ServerFailed as error:
                failure = error
        if failure is not None and not asked:
            raise failure
        if not asked:
            raise ServerFailed(f"no language server for {Path(path).suffix or path} is here", "install one")
        return ()

    # Servers.

    async def _servers_for(self, path: str) -> Sequence[Server]:
        """The servers for a file that are installed, one for each role."""
        if self._servers is None:
            self._servers = await asyncio.to_thread(self._read_table)
        found: dict[str, Server] = {}
        for server in self._servers:
            if server.language_of(path) is not None:
                found.setdefault(server.role, server)
        return list(found.values())

    def _read_table(self) -> tuple[Server, ...]:
        """The servers that are installed."""
        table = servers_of(load_settings().language_servers)
        return tuple(
            Server(server.name, (executable, *server.command[1:]), server.languages, server.role)
            for server in table
            if (executable := self._executable(server.command[0])) is not None
        )

    def _executable(self, name: str) -> str | None:
        own = [str(self._root / place) for place in _OWN_PLACES] if find_sandbox() is not None else []
        return shutil.which(name, path=os.pathsep.join([*own, os.environ.get("PATH", os.defpath)]))

    async def _started(self, server: Server) -> LanguageServer | None:
        """The server, running; None where it does not come up."""
        running = self._running.get(server.name)
        if running is not None and running.is_running:
            return running
        task = self._starting.get(server.name)
        if task is None:
            if self._starts.get(server.name, 0) >= _MOST_STARTS:
                return None
            task = self._starting[server.name] = asyncio.create_task(self._start(server))
            task.add_done_callback(lambda _: self._starting.pop(server.name, None))
        return await asyncio.shield(task)

    async def _start(self, server: Server) -> LanguageServer | None:
        self._starts[server.name] = self._starts.get(server.name, 0) + 1
        self._tell(ServerState(server.name, "starting"))
        running = LanguageServer(server, self._root, lambda _path: self.listener())
        try:
            line, environment = await asyncio.to_thread(self._line_of, server)
            await running.start(line, environment)
        except asyncio.CancelledError:
            await running.aclose()
            raise
        except ServerFailed as error:
            await running.aclose()
            self._tell(ServerState(server.name, "failed", error.what))
            return None
        if self._is_closed:
            await running.aclose()
            return None
        self._running[server.name] = running
        self._tell(ServerState(server.name, "ready"))
        watching = asyncio.create_task(self._watch(server, running))
        self._tasks.add(watching)
        watching.add_done_callback(self._tasks.discard)
        return running

    def _line_of(self, server: Server) -> tuple[list[str], Mapping[str, str]]:
        """The command line that starts a server in the sandbox, and its environment."""
        environment = command_environment()
        sandbox = find_sandbox()
        if sandbox is None:
            return list(server.command), environment
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="tidegate-language-")
        scratch = Path(os.path.realpath(self._scratch.name))
        git = self._workspace.git.outer_directories(self._root)
        line = ["/bin/sh", "-c", _WITH_CACHES, "sh", *server.command]
        return sandbox.wrap(line, self._root, scratch, git), environment

    async def _watch(self, server: Server, running: LanguageServer) -> None:
        """A server that ends by itself says nothing any more; the next file starts it again, a few times."""
        await running.until_ended()
        if not self._is_closed:
            running.problems.clear()
            await running.aclose()
            self._tell(ServerState(server.name, "failed", f"{server.name} has ended"))

    def _tell(self, state: ServerState) -> None:
        self.states[state.name] = state
        self.listener()

    async def aclose(self) -> None:
        """End them all."""
        self._is_closed = True
        for starting in list(self._starting.values()):
            starting.cancel()
            await asyncio.wait({starting})
        await asyncio.gather(*(running.aclose() for running in self._running.values()))
        for task in list(self._tasks):
            await asyncio.wait({task})
        if self._scratch is not None:
            await asyncio.to_thread(self._scratch.cleanup)


def new_problems(before: Sequence[Problem], after: Sequence[Problem]) -> Iterator[Problem]:
    """Those of `after` that were not there `before`, wherever in the file they stood."""
    known: dict[tuple[str, str, str], int] = {}
    for problem in before:
        known[problem.kind] = known.get(problem.kind, 0) + 1
    for problem in after:
        if known.get(problem.kind, 0) > 0:
            known[problem.kind] -= 1
        else:
            yield problem
