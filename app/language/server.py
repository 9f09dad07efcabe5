"""One language server: a confined process, the files it was shown, and what it says of them."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from app.language.connection import Connection, ServerFailed
from app.language.model import Problem, Spot
from app.language.reading import file_of, problems_of, spots_of, uri_of
from app.language.table import Server
from app.subprocesses import kill_group, start_process

_START_SECONDS = 60.0  # of the first answer; some look through the whole project before
_ANSWER_SECONDS = 10.0
_LEAVE_SECONDS = 1.0
_CAPABILITIES: Mapping[str, Any] = {
    "general": {"positionEncodings": ["utf-16"]},
    "textDocument": {
        "synchronization": {"dynamicRegistration": False},
        "publishDiagnostics": {"versionSupport": True},
        "definition": {"linkSupport": True},
        "references": {},
    },
    "workspace": {"configuration": True, "workspaceFolders": True},
    "window": {"workDoneProgress": True},
}


class LanguageServer:
    """A running server. `changed` is called with the path of a file of which it says something else now."""

    def __init__(self, server: Server, root: Path, changed: Callable[[str], None]) -> None:
        self._server = server
        self._root = root
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._connection: Connection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._versions: dict[str, int] = {}
        self._texts: dict[str, str] = {}
        self._published: dict[str, int] = {}  # how often, by path
        self._version_published: dict[str, int] = {}
        self._news = asyncio.Event()
        self.problems: dict[str, tuple[Problem, ...]] = {}
        """What it says of each file, by path."""

    async def start(self, line: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it by the command `line`, and agree on how to talk. Raises ServerFailed."""
        try:
            self._process = await start_process(
                line, environment, directory=self._root, stdin=asyncio.subprocess.PIPE
            )
        except (OSError, ValueError) as error:
            raise ServerFailed(f"{self._server.name} cannot be started: {error}") from None
        assert self._process.stdout is not None and self._process.stdin is not None
        self._connection = Connection(self._process.stdout, self._process.stdin, self._told, self._asked)
        self._reading = asyncio.create_task(self._connection.run())
        folder = {"uri": uri_of(self._root), "name": self._root.name}
        await self._connection.request(
            "initialize",
            {
                # Its number is another in the sandbox, where a server would take us for dead.
                "processId": None,
                "clientInfo": {"name": "tidegate"},
                "rootUri": folder["uri"],
                "rootPath": str(self._root),
                "workspaceFolders": [folder],
                "capabilities": _CAPABILITIES,
            },
            _START_SECONDS,
        )
        self._connection.notify("initialized", {})

    @property
    def is_running(self) -> bool:
        """Whether it still reads and answers."""
        return self._reading is not None and not self._reading.done()

    async def until_ended(self) -> None:
        """Wait until it ends, for whatever reason."""
        if self._reading is not None:
            await asyncio.wait({self._reading})

    # Files.

    def show(self, path: str, text: str) -> None:
        """Show it `path` with the content `text`. Raises ServerFailed."""
        if self._connection is None or self._texts.get(path) == text:
            return
        uri = uri_of(self._root / path)
        version = self._versions[path] = self._versions.get(path, 0) + 1
        if path not in self._texts:
            language = self._server.language_of(path) or "plaintext"
            document = {"uri": uri, "languageId": language, "version": version, "text": text}
            self._connection.notify("textDocument/didOpen", {"textDocument": document})
        else:
            document = {"uri": uri, "version": version}
            self._connection.notify(
                "textDocument/didChange", {"textDocument": document, "contentChanges": [{"text": text}]}
            )
        self._texts[path] = text

    def hide(self, path: str) -> None:
        """The file is of no interest any more. Raises ServerFailed."""
        if self._connection is not None and self._texts.pop(path, None) is not None:
            uri = uri_of(self._root / path)
            self._connection.notify("textDocument/didClose", {"textDocument": {"uri": uri}})
            self.problems.pop(path, None)

    @property
    def shown(self) -> Sequence[str]:
        """The files that it was shown, the first shown first."""
        return list(self._texts)

    async def until_judged(self, path: str, text: str, seconds: float) -> tuple[Problem, ...] | None:
        """Show it `path` with the content `text`, and wait for what it says of that; None where it says
        nothing within `seconds`. Raises ServerFailed."""
        before = self._published.get(path, 0) if self._texts.get(path) != text else -1
        self.show(path, text)
        until = asyncio.get_running_loop().time() + seconds
        while True:
            is_told = self._published.get(path, 0) > max(before, 0)
            if is_told and self._version_published.get(path, 0) >= self._versions[path]:
                return self.problems.get(path, ())
            left = until - asyncio.get_running_loop().time()
            if left <= 0 or not self.is_running:
                return None
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left)

    def _told(self, method: str, parameters: Any) -> None:
        if method != "textDocument/publishDiagnostics" or not isinstance(parameters, dict):
            return
        file = file_of(parameters.get("uri"))
        if file is None or not file.is_relative_to(self._root):
            return
        path = file.relative_to(self._root).as_posix()
        self._published[path] = self._published.get(path, 0) + 1
        version = parameters.get("version")
        # One that does not say means the newest it was shown.
        self._version_published[path] = version if isinstance(version, int) else self._versions.get(path, 0)
        problems = problems_of(path, parameters.get("diagnostics"), self._server.name)
        self._news.set()
        if self.problems.get(path, ()) != problems:
            self.problems[path] = problems
            self._changed(path)

    def _asked(self, method: str, parameters: Any) -> Any:
        if method == "workspace/configuration":
            items = parameters.get("items") if isinstance(parameters, dict) else None
            return [None] * len(items) if isinstance(items, list) else []
        if method == "workspace/workspaceFolders":
            return [{"uri": uri_of(self._root), "name": self._root.name}]
        if method in (
            "client/registerCapability",
            "client/unregisterCapability",
            "window/workDoneProgress/create",
        ):
            return None
        raise KeyError(method)

    # Names.

    async def definition(self, path: str, line: int, column: int) -> tuple[Spot, ...]:
        """Where the name at this place is defined; `line` and `column` count from 0, in characters. Raises
        ServerFailed."""
        return await self._spots("textDocument/definition", path, line, column, {})

    async def references(self, path: str, line: int, column: int) -> tuple[Spot, ...]:
        """Where the name at this place is used. Raises ServerFailed."""
        context = {"context": {"includeDeclaration": True}}
        return await self._spots("textDocument/references", path, line, column, context)

    async def _spots(
        self, method: str, path: str, line: int, column: int, more: Mapping[str, Any]
    ) -> tuple[Spot, ...]:
        assert self._connection is not None
        text = self._texts.get(path, "").split("\n")
        before = text[line][:column] if line < len(text) else ""
        place = {"line": line, "character": len(before.encode("utf-16-le", "surrogatepass")) // 2}
        parameters = {"textDocument": {"uri": uri_of(self._root / path)}, "position": place, **more}
        return spots_of(await self._connection.request(method, parameters, _ANSWER_SECONDS), self._root)

    # Its end.

    async def aclose(self) -> None:
        """Ask it to end, and make it."""
        process, connection = self._process, self._connection
        if process is None:
            return
        if connection is not None and self.is_running:
            with contextlib.suppress(ServerFailed, TimeoutError):
                await connection.request("shutdown", None, _LEAVE_SECONDS)
                connection.notify("exit", None)
                await asyncio.wait_for(process.wait(), _LEAVE_SECONDS)
        await kill_group(process)
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
