"""A live connection to one MCP server, over its streams or over HTTP. The only file that knows the SDK.

The SDK's scopes must be left by the task that entered them: so each connection lives in a task of its own.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.agent.errors import ServerFailed, ToolFailure
from app.agent.mcp.complaints import Complaints
from app.agent.mcp.listing import sound_tools_only
from app.settings.mcp import McpServer, filled

if TYPE_CHECKING:
    from httpx2 import Response
    from mcp import Client
    from mcp.types import CallToolResult, Tool

_START_SECONDS = 30.0
"""A server may have to be downloaded first, as npx and uvx do."""
_CLOSE_SECONDS = 10.0
"""Seconds for a server to end after its input is closed; then it is killed."""
_MOST_PAGES = 20  # pages of a list of tools
_LAST_WORDS = 16
"""Lines of a server's error output that are shown with its failure."""


class Connection:
    """One server. Connected when first needed, and again when a call finds it gone."""

    def __init__(self, server: McpServer, directory: Path, *, is_offline: bool = False) -> None:
        """A program is started in `directory`. With `is_offline`, nothing is connected to over the network."""
        self._server = server
        self._directory = directory
        self._is_offline = is_offline
        self._client: Client | None = None
        self._life: asyncio.Task[None] | None = None
        self._leave = asyncio.Event()
        self._complaints: Complaints | None = None
        self.last_words: tuple[str, ...] = ()
        """The last lines that the program wrote to its error stream when it last failed."""
        self.odd_tools: tuple[str, ...] = ()
        """Tools that it does not describe as the protocol has it, which were left out."""
        self._has_babbled = False
        """Whether it wrote something that is no message of the protocol."""
        self._status = 200
        """What the server at an address last answered a message with, as HTTP has it."""

    async def open(self) -> tuple["Tool", ...]:
        """Connect, and say which tools the server has. Raises ServerFailed."""
        await self.aclose()
        if self._is_offline and self._server.url:
            raise ServerFailed("it has an address, and you chose to be offline")
        await asyncio.to_thread(_load_sdk)
        ready: asyncio.Future[tuple[Client, tuple[Tool, ...]]] = asyncio.get_running_loop().create_future()
        self._leave.clear()
        self._has_babbled = False
        self.last_words = ()
        self._status = 200
        self._life = asyncio.create_task(self._live(ready))
        try:
            either: set[asyncio.Future[Any]] = {self._life, ready}
            await asyncio.wait(either, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                self._client, tools = ready.result()
                return tools
            if self._life.done() and (error := self._life.exception()) is not None:
                raise self._failure(error)
            raise self._failure(TimeoutError())
        finally:
            if self._client is None:
                ready.cancel()
                await self.aclose()

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> "CallToolResult":
        """What the tool says. Cancelled, it tells the server so. Raises ToolFailure where the server answers
        with an error, ServerFailed where it does not answer as it should."""
        if self._client is None:
            await self.open()
        assert self._client is not None and self._life is not None
        timeout = self._server.timeout
        call = asyncio.ensure_future(
            self._client.call_tool(tool, dict(arguments), read_timeout_seconds=timeout)
        )
        try:
            await asyncio.wait({call, self._life}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not call.done():
                call.cancel()
                await asyncio.wait({call})
        if call.cancelled():
            raise await self._lost(ConnectionError("it ended"))
        error = call.exception()
        if error is None:
            return call.result()
        if self._is_loss(error):
            raise await self._lost(error)
        if _is_answer(error):
            raise ToolFailure(f"{self._server.name} answers with an error: {_in_short(error)}.")
        raise self._failure(error)

    async def aclose(self) -> None:
        """End the connection, and the program if one was started; harmless when repeated."""
        client, self._client = self._client, None
        life, self._life = self._life, None
        if life is not None:
            self._leave.set()
            if client is None:
                life.cancel()
            # The SDK asks the program to end by closing its input, and makes it after some seconds.
            done, _pending = await asyncio.wait({life}, timeout=_CLOSE_SECONDS)
            if not done:
                life.cancel()
                await asyncio.wait({life})
            if not life.cancelled():
                life.exception()  # it is over, and whoever needed it was told why
        if self._complaints is not None:
            self._complaints.close()
            self._complaints = None

    async def _live(self, ready: "asyncio.Future[tuple[Client, tuple[Tool, ...]]]") -> None:
        """Hold the connection until it is to be left."""
        async with AsyncExitStack() as stack:
            client = await self._connect(stack)
            tools: list[Tool] = []
            cursor = None
            for _page in range(_MOST_PAGES):
                found = await client.list_tools(cursor=cursor)
                tools += found.tools
                cursor = found.next_cursor
                if not cursor:
                    break
            if ready.done():
                return
            ready.set_result((client, tuple(tools)))
            await self._leave.wait()

    async def _connect(self, stack: AsyncExitStack) -> "Client":
        server = self._server
        import httpx2  # noqa: PLC0415  loaded by now, where it is there
        from mcp import Client, StdioServerParameters  # noqa: PLC0415
        from mcp.client.stdio import stdio_client  # noqa: PLC0415
        from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415
        from mcp.types import Implementation  # noqa: PLC0415

        # What the SDK has to say would go to the screen.
        logger = logging.getLogger("mcp")
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
        try:
            environment = filled(server.env, os.environ)
            headers = filled(server.headers, os.environ)
        except KeyError as error:
            raise ServerFailed(f"its settings need the variable {error.args[0]}, which is not set") from None
        if server.url:
            timeout = httpx2.Timeout(_START_SECONDS, read=None)
            http = await stack.enter_async_context(
                httpx2.AsyncClient(
                    headers=headers, timeout=timeout, event_hooks={"response": [self._note_status]}
                )
            )
            transport = streamable_http_client(server.url, http_client=http)
        else:
            self._complaints = Complaints()
            transport = stdio_client(
                StdioServerParameters(
                    command=server.command,
                    args=list(server.args),
                    env=environment,
                    cwd=self._directory,
                    encoding_error_handler="replace",
                ),
                self._complaints.stream,
            )
        self.odd_tools = ()
        client: Client = Client(
            sound_tools_only(transport, lambda: client.session.protocol_version, self._leave_out),
            client_info=Implementation(name="tidegate", version="1"),
            message_handler=self._heard,
        )
        try:
            return await stack.enter_async_context(client)
        finally:
            if self._complaints is not None:
                self._complaints.stream.close()  # the program has its own

    async def _heard(self, message: object) -> None:
        if isinstance(message, Exception):
            self._has_babbled = True

    def _leave_out(self, tool: str) -> None:
        self.odd_tools = (*dict.fromkeys((*self.odd_tools, tool)),)

    async def _note_status(self, response: "Response") -> None:
        if response.request.method == "POST":
            self._status = response.status_code

    # What went wrong.

    async def _lost(self, error: BaseException) -> ServerFailed:
        failure = self._failure(error)
        await self.aclose()
        return ServerFailed(f"{failure.what}; the next call starts it again")

    @staticmethod
    def _is_loss(error: BaseException) -> bool:
        from mcp import MCPError  # noqa: PLC0415  a call was made, so it is here
        from mcp.types import CONNECTION_CLOSED  # noqa: PLC0415

        if isinstance(error, MCPError):
            return error.code == CONNECTION_CLOSED
        return not isinstance(error, TimeoutError | RuntimeError | ValueError)

    def _failure(self, error: BaseException) -> ServerFailed:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, ServerFailed):
            return error
        name = type(error).__name__
        if name == "ValidationError":
            self._has_babbled = True
        if isinstance(error, FileNotFoundError) and not self._server.url:
            said = f"its command {self._server.command} was not found"
        elif self._server.url and self._status >= 300:
            said = _refusal(self._status)
        elif name == "ValidationError" or _is_timeout(error):
            said = "it answered, but not in MCP's terms" if self._has_babbled else "it does not answer"
        elif str(error) == "Connection closed":
            said = "it ended"
        elif name in ("ConnectError", "ConnectTimeout"):
            said = f"nothing answers at {self._server.url}"
        else:
            said = _in_short(error)
        if self._complaints is not None and (lines := self._complaints.last_lines(_LAST_WORDS)):
            self.last_words = lines
            # Below the error, node prints where it was thrown and its own version.
            named = [line for line in lines if "error" in line.lower()]
            said = f"{said} ({(named or lines)[-1]})"
        return ServerFailed(said)


def _load_sdk() -> None:
    """Import the SDK, which is optional and takes a second, off the event loop. Raises ServerFailed."""
    try:
        import mcp.client.stdio  # noqa: PLC0415
        import mcp.client.streamable_http  # noqa: F401, PLC0415
    except ImportError:
        raise ServerFailed(
            "the package mcp is not installed", f"{sys.executable} -m pip install 'mcp>=2.3,<3' does it"
        ) from None


def _refusal(status: int) -> str:
    """What it means that an address answers so."""
    if status in (401, 403):
        return f"it wants a sign-in (HTTP {status}): give a token in headers, for OAuth is not supported"
    if status in (404, 405):
        return (
            f"there is no streamable HTTP at its address (HTTP {status}); the older SSE transport is not "
            "supported"
        )
    return f"it answered with HTTP {status}"


def _is_timeout(error: BaseException) -> bool:
    return isinstance(error, TimeoutError) or "timed out" in str(error).lower()


def _is_answer(error: BaseException) -> bool:
    """Whether the server itself said so, in the protocol's terms."""
    return type(error).__name__ == "MCPError" and not _is_timeout(error)


def _in_short(error: BaseException) -> str:
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__
