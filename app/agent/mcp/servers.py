"""The MCP servers of one session: what they offered when it began, which never changes, and how they are.

The model's list of tools is the head of every prompt: were it to change, all that the engine has read would
have to be read again. So what was offered first is kept with the session; a server that offers something else
later is told of, not followed.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from app.agent.budget import tokens_of
from app.agent.errors import ServerFailed
from app.agent.mcp.connection import Connection
from app.agent.mcp.offer import Offer
from app.agent.mcp.tool import McpTool, offer_of
from app.settings.mcp import McpServer

if TYPE_CHECKING:
    from mcp.types import CallToolResult

ServerPhase = Literal["waiting", "starting", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class ServerState:
    """A server as the user is shown it. `tools` are those in the session, as the model calls them, which take
    so many `tokens` of every prompt; `odd_tools` were left out for how it describes them; `message` says
    why it failed, or how it differs from what it was when the session began; `last_words` are what its program
    wrote to its error stream before it failed."""

    name: str
    place: str
    phase: ServerPhase
    message: str = ""
    tools: tuple[str, ...] = ()
    tokens: int = 0
    last_words: tuple[str, ...] = ()
    odd_tools: tuple[str, ...] = ()


class Servers:
    """The servers, started together once. A failure of one is reported and does not stop the others."""

    def __init__(self, servers: Sequence[McpServer], directory: Path, *, is_offline: bool = False) -> None:
        """Programs are started in `directory`."""
        self._servers = {server.name: server for server in servers}
        self._connections = {
            server.name: Connection(server, directory, is_offline=is_offline) for server in servers
        }
        self._states = {server.name: ServerState(server.name, server.place, "waiting") for server in servers}
        self._offers: dict[str, tuple[Offer, ...]] = {}
        self._starting: asyncio.Task[None] | None = None

    @property
    def states(self) -> tuple[ServerState, ...]:
        """The status of each server."""
        return tuple(self._states.values())

    async def start(self) -> None:
        """Start all servers that were not started yet, and wait until each is ready or has failed. Cancelled,
        it goes on in the background."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start_all())
        await asyncio.shield(self._starting)

    async def offers(self) -> tuple[Offer, ...]:
        """What the servers offer now, in the settings' order. Starts them."""
        await self.start()
        found: dict[str, Offer] = {}
        for name in self._servers:
            for offer in self._offers.get(name, ()):
                found.setdefault(offer.name, offer)
        return tuple(found.values())

    def settle(self, kept: Sequence[Offer]) -> tuple[McpTool, ...]:
        """The tools of a session that began with what was `kept`. How the servers differ now is noted."""
        for name in {offer.server for offer in kept} - self._states.keys():
            self._states[name] = ServerState(name, "", "failed", "it is not in the settings any more")
        for name, state in self._states.items():
            then = {offer.name: offer for offer in kept if offer.server == name}
            now = {offer.name: offer for offer in self._offers.get(name, ())}
            message = state.message
            if state.phase == "ready":
                message = _difference(then, now)
            self._states[name] = replace(_with_tools(state, tuple(then.values())), message=message)
        return tuple(McpTool(offer, self._call) for offer in kept)

    def notices(self) -> Iterator[str]:
        """Sentences for the user about the servers when a session is resumed."""
        states = self._states.values()
        if with_tools := [state for state in states if state.tools]:
            counts = ", ".join(f"{state.name} {len(state.tools)}" for state in with_tools)
            tokens = sum(state.tokens for state in with_tools)
            yield f"Tools of MCP servers: {counts}; about {tokens:,} tokens of every prompt."
        for state in states:
            if state.odd_tools:
                yield (
                    f"The MCP server {state.name} does not describe these as tools are, so they are left out: "
                    + (f"{', '.join(state.odd_tools)}.")
                )
            if state.phase == "failed":
                yield f"The MCP server {state.name} cannot be used: {state.message}."
            elif state.message:
                yield (
                    f"The MCP server {state.name} is not as it was when this session began ({state.message}): "
                    "a new session has its tools as they are now."
                )

    async def aclose(self) -> None:
        """End them all."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait([self._starting])
        await asyncio.gather(*(connection.aclose() for connection in self._connections.values()))

    async def _start_all(self) -> None:
        await asyncio.gather(*(self._start(name) for name in self._connections))

    async def _start(self, name: str) -> None:
        state = self._states[name]
        self._states[name] = replace(state, phase="starting")
        try:
            tools = await self._connections[name].open()
        except ServerFailed as error:
            self._failed(name, error)
            return
        self._offers[name] = tuple(
            offer_of(name, tool) for tool in tools if self._servers[name].wants(tool.name)
        )
        odd = self._connections[name].odd_tools
        self._states[name] = _with_tools(replace(state, phase="ready", odd_tools=odd), self._offers[name])

    async def _call(self, server: str, tool: str, arguments: Mapping[str, Any]) -> "CallToolResult":
        connection = self._connections.get(server)
        if connection is None:
            raise ServerFailed("it is not in the settings any more")
        try:
            result = await connection.call(tool, arguments)
        except ServerFailed as error:
            self._failed(server, error)
            raise
        if self._states[server].phase != "ready":
            self._states[server] = replace(self._states[server], phase="ready", message="", last_words=())
        return result

    def _failed(self, name: str, error: ServerFailed) -> None:
        said = self._connections[name].last_words
        self._states[name] = replace(self._states[name], phase="failed", message=str(error), last_words=said)


def described(states: Sequence[ServerState]) -> list[str]:
    """The servers, for a person to read."""
    if not states:
        return ["There are no MCP servers. settings.toml names them: [mcp.NAME] with a command or a url."]
    lines = []
    for state in states:
        about = f": {state.message}" if state.message else ""
        cost = f", about {state.tokens:,} tokens of every prompt" if state.tools else ""
        lines.append(f"{state.name} · {state.phase}{about}{cost}")
        lines += [f"  {name}" for name in state.tools]
        lines += [f"  {name}: left out, for it is not described as a tool is" for name in state.odd_tools]
        lines += [f"  ({state.place})"] if state.place else []
        if len(state.last_words) > 1:  # a single one stands in the message
            lines += ["  Its last words:", *(f"  | {line}" for line in state.last_words)]
    return lines


def _with_tools(state: ServerState, offers: Sequence[Offer]) -> ServerState:
    characters = sum(len(json.dumps(offer.specification.to_wire(), ensure_ascii=False)) for offer in offers)
    return replace(state, tools=tuple(offer.name for offer in offers), tokens=tokens_of(characters))


def _difference(then: Mapping[str, Offer], now: Mapping[str, Offer]) -> str:
    """How the tools offered now differ from those of the session."""
    parts = [
        (f"{word} {', '.join(sorted(names))}")
        for word, names in (
            ("new", now.keys() - then.keys()),
            ("gone", then.keys() - now.keys()),
            ("changed", {name for name in then.keys() & now.keys() if then[name] != now[name]}),
        )
        if names
    ]
    return "; ".join(parts)
