"""The agent as the Agent Client Protocol has it: sessions, prompts, modes."""

import asyncio
import re
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from acp import PROTOCOL_VERSION
from acp.exceptions import RequestError
from acp.helpers import update_available_commands
from acp.interfaces import Client
from acp.schema import (
    AgentCapabilities,
    AuthenticateResponse,
    AvailableCommand,
    ClientCapabilities,
    HttpMcpServer,
    Implementation,
    InitializeResponse,
    ListSessionsResponse,
    LoadSessionResponse,
    McpCapabilities,
    McpServerStdio,
    NewSessionResponse,
    PromptCapabilities,
    PromptResponse,
    SessionCapabilities,
    SessionInfo,
    SessionListCapabilities,
    SessionMode,
    SessionModeState,
    SetSessionModeResponse,
    StopReason,
    UsageUpdate,
)

from app.acp.asker import EditorAsker
from app.acp.buffers import EditorBuffers
from app.acp.prompt import as_text
from app.acp.updates import Translator
from app.agent.agent import Agent, open_agent
from app.agent.events import (
    AgentEvent,
    EndReason,
    ReplyFinished,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    TurnStarted,
)
from app.agent.session.index import sessions
from app.errors import TidegateError
from app.model.port import EnginePort
from app.review.review import Review
from app.settings.mcp import McpServer
from app.settings.settings import Mode, Settings
from app.workspace.workspace import Workspace

_MODES = [
    SessionMode(id="plan", name="Plan", description="Reads and changes nothing"),
    SessionMode(id="ask", name="Ask", description="Asks before it changes or runs something"),
    SessionMode(id="auto", name="Auto", description="Works by itself inside the sandbox"),
]
_STOP_REASONS: dict[EndReason, StopReason] = {
    "done": "end_turn",
    "cancelled": "cancelled",
    "limit": "max_turn_requests",
}
_INTERNAL, _INVALID, _MISSING = -32603, -32602, -32002
_NAME_CHARACTERS = 32
"""Characters of a server's name, which begins the names of its tools: those may have 64 (OpenAI's function
names)."""


@dataclass(slots=True)
class _Session:
    agent: Agent
    root: Path
    turn: asyncio.Task[TurnEnded] | None = None
    preparing: asyncio.Task[None] | None = None


class EditorAgent:
    """An acp.Agent. What goes wrong is a JSON-RPC error of one sentence."""

    def __init__(self, engine: EnginePort, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._client: Client | None = None
        self._reads_buffers = False
        self._sessions: dict[str, _Session] = {}
        self._reviews: dict[Path, Review] = {}
        self._busy: dict[Path, asyncio.Lock] = {}
        """One turn at a time changes a workspace; the engine answers one request at a time anyway."""

    def on_connect(self, conn: Client) -> None:
        """Keep the connection to the editor: what it is told, and asked, goes there."""
        self._client = conn

    async def aclose(self) -> None:
        """End all sessions."""
        for task in (task for session in self._sessions.values() for task in (session.turn, session.preparing)):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait([task])
        await asyncio.gather(*(session.agent.aclose() for session in self._sessions.values()))
        self._sessions.clear()

    # What an editor may ask for.

    async def initialize(
        self,
        protocol_version: int,  # noqa: ARG002  there is one
        client_capabilities: ClientCapabilities | None = None,
        client_info: Implementation | None = None,  # noqa: ARG002
        **_meta: Any,
    ) -> InitializeResponse:
        """Tell the editor what this agent supports, and note whether it lets us read its unsaved files."""
        files = client_capabilities.fs if client_capabilities is not None else None
        self._reads_buffers = bool(files and files.read_text_file)
        return InitializeResponse(
            protocol_version=PROTOCOL_VERSION,
            agent_info=Implementation(name="tidegate", title="Tidegate", version=version("tidegate")),
            agent_capabilities=AgentCapabilities(
                load_session=True,
                prompt_capabilities=PromptCapabilities(embedded_context=True),
                mcp_capabilities=McpCapabilities(http=True),
                session_capabilities=SessionCapabilities(list=SessionListCapabilities()),
            ),
            auth_methods=[],
        )

    async def authenticate(self, method_id: str, **_meta: Any) -> AuthenticateResponse:
        """Refused: there is nothing to sign in to."""
        raise _error(_INVALID, f"there is no way to sign in called {method_id}: none is needed")

    async def new_session(
        self, cwd: str, mcp_servers: Sequence[Any] | None = None, **_meta: Any
    ) -> NewSessionResponse:
        """Begin a session in the directory `cwd`."""
        session = await self._open(cwd, mcp_servers or (), None)
        return NewSessionResponse(session_id=session.agent.session_id, modes=_modes(session.agent.mode))

    async def load_session(
        self, cwd: str, session_id: str, mcp_servers: Sequence[Any] | None = None, **_meta: Any
    ) -> LoadSessionResponse:
        """Go on with an earlier session; the editor is sent all that happened in it."""
        session = self._sessions.get(session_id) or await self._open(cwd, mcp_servers or (), session_id)
        try:
            history = await asyncio.to_thread(session.agent.history)
        except TidegateError as error:
            raise _error(_INTERNAL, str(error)) from error
        translator = Translator(session.root)
        for event in history:
            await self._tell_of(session, translator, event)
        return LoadSessionResponse(modes=_modes(session.agent.mode))

    async def list_sessions(
        self,
        cwd: str | None = None,
        cursor: str | None = None,  # noqa: ARG002  there is one page
        **_meta: Any,
    ) -> ListSessionsResponse:
        """The sessions in the directory `cwd`, the last used first."""
        root = self._workspace(cwd or str(Path.cwd())).root
        found = await asyncio.to_thread(lambda: list(sessions(root)))
        return ListSessionsResponse(
            sessions=[
                SessionInfo(
                    session_id=summary.id,
                    cwd=str(root),
                    title=summary.title,
                    updated_at=datetime.fromtimestamp(summary.used, UTC).isoformat(timespec="seconds"),
                )
                for summary in found
            ]
        )

    async def set_session_mode(self, session_id: str, mode_id: str, **_meta: Any) -> SetSessionModeResponse:
        """Change the permission mode (plan, ask, auto), from the agent's next tool call on."""
        agent = self._session(session_id).agent
        if mode_id not in get_args(Mode):
            raise _error(_INVALID, f"there is no mode {mode_id}: there are plan, ask and auto")
        try:
            agent.mode = mode_id  # type: ignore[assignment]
        except TidegateError as error:
            raise _error(_INTERNAL, str(error)) from error
        return SetSessionModeResponse()

    async def prompt(self, session_id: str, prompt: Sequence[Any], **_meta: Any) -> PromptResponse:
        """Run a turn with the user's message, and return why it ended."""
        session = self._session(session_id)
        text = as_text(prompt, session.root)
        if not text:
            raise _error(_INVALID, "the prompt is empty: write a message")
        if session.turn is not None:
            raise _error(_INVALID, "a turn is running: wait for its end or cancel it")
        session.turn = asyncio.create_task(self._run(session, text))
        try:
            ended = await session.turn
        except TidegateError as error:
            raise _error(_INTERNAL, str(error)) from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise  # the editor is gone, and there is nobody to answer
            ended = TurnEnded(0, "cancelled")
        finally:
            session.turn = None
        if ended.reason == "error":
            raise _error(_INTERNAL, ended.message)
        return PromptResponse(stop_reason=_STOP_REASONS[ended.reason])

    async def cancel(self, session_id: str, **_meta: Any) -> None:
        """Stop the turn."""
        session = self._sessions.get(session_id)
        if session is None or session.turn is None:
            return
        if session.agent.is_running:
            session.agent.cancel()
        else:
            session.turn.cancel()  # it waits for another session's

    async def ext_method(self, method: str, params: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Refused: we have no methods beyond the protocol's."""
        raise RequestError.method_not_found(f"_{method}")

    async def ext_notification(self, method: str, params: dict[str, Any]) -> None:
        """Ignored: we know no notifications beyond the protocol's."""

    # Behind it.

    async def _run(self, session: _Session, text: str) -> TurnEnded:
        translator = Translator(session.root)
        ended = TurnEnded(0, "cancelled")
        async with (
            self._busy.setdefault(session.root, asyncio.Lock()),
            aclosing(session.agent.run_turn(text)) as events,
        ):
            async for event in events:
                if isinstance(event, TurnEnded):
                    ended = event
                # What was said, the editor shows by itself, as it does the error that it is answered with.
                if not isinstance(event, TurnStarted) and ended.reason != "error":
                    await self._tell_of(session, translator, event)
                if isinstance(event, ReplyFinished):
                    await self._tell_usage(session, event)
        for update in translator.settle():
            await self._tell(session.agent.session_id, update)
        return ended

    async def _tell_of(self, session: _Session, translator: Translator, event: AgentEvent) -> None:
        if isinstance(event, ToolStarted | ToolFinished):  # for their diffs, files are read
            updates = await asyncio.to_thread(lambda: list(translator.translate(event)))
        else:
            updates = list(translator.translate(event))
        for update in updates:
            await self._tell(session.agent.session_id, update)

    async def _tell_usage(self, session: _Session, reply: ReplyFinished) -> None:
        """How full the model's context is, where its server says."""
        model, used = self._engine.status.model, reply.finished.prompt_tokens
        if used is not None and model is not None and model.context_length is not None:
            used += reply.finished.completion_tokens or 0
            usage = UsageUpdate(session_update="usage_update", used=used, size=model.context_length)
            await self._tell(session.agent.session_id, usage)

    async def _tell(self, session_id: str, update: Any) -> None:
        assert self._client is not None
        await self._client.session_update(session_id=session_id, update=update)

    def _session(self, session_id: str) -> _Session:
        session = self._sessions.get(session_id)
        if session is None:
            raise _error(_MISSING, f"there is no open session {session_id}: begin or load one")
        return session

    @staticmethod
    def _workspace(cwd: str) -> Workspace:
        path = Path(cwd)
        if not path.is_absolute() or not path.is_dir():
            raise _error(_INVALID, f"{cwd} is no directory: give the absolute path of one")
        try:
            return Workspace(path.resolve())
        except TidegateError as error:
            raise _error(_INVALID, str(error)) from error

    async def _open(self, cwd: str, mcp_servers: Sequence[Any], session_id: str | None) -> _Session:
        assert self._client is not None
        if self._engine.status.phase == "absent":
            raise _error(_INTERNAL, self._engine.status.message)
        workspace = self._workspace(cwd)
        given = [_server(server) for server in mcp_servers]
        names = {server.name for server in given}
        servers = [*given, *(server for server in self._settings.mcp if server.name not in names)]
        asker = EditorAsker(self._client, workspace.root)
        buffers = EditorBuffers(self._client, asyncio.get_running_loop()) if self._reads_buffers else None

        def open_it() -> Agent:
            review = self._reviews.get(workspace.root)
            if review is None:
                review = self._reviews[workspace.root] = Review(workspace.root)
            return open_agent(
                workspace,
                self._engine,
                review,
                asker,
                mode=self._settings.mode,
                effort=self._settings.reasoning_effort,
                session=session_id,
                rules=self._settings.rules,
                servers=servers,
                is_offline=self._settings.offline,
                stays_awake=self._settings.stay_awake,
                local_servers=self._settings.local_servers,
                unsaved=buffers,
            )

        try:
            agent = await asyncio.to_thread(open_it)
        except TidegateError as error:
            raise _error(_MISSING if session_id else _INTERNAL, str(error)) from error
        session = self._sessions[agent.session_id] = _Session(agent, workspace.root)
        asker.session_id = agent.session_id
        if buffers is not None:
            buffers.session_id = agent.session_id
        await self._engine.start()
        self._after(session)
        return session

    def _after(self, session: _Session) -> None:
        """What can be told once the editor knows the session."""

        async def tell() -> None:
            commands = await asyncio.to_thread(session.agent.user_commands)
            if commands:
                listed = [AvailableCommand(name=name, description=about) for name, about in commands]
                await self._tell(session.agent.session_id, update_available_commands(listed))
            await session.agent.start_servers()

        session.preparing = asyncio.create_task(tell())


def _error(code: int, sentence: str) -> RequestError:
    """An error whose sentence the user is shown: some clients read only the `details` of its data."""
    return RequestError(code, sentence, {"details": sentence})


def _modes(current: Mode) -> SessionModeState:
    return SessionModeState(current_mode_id=current, available_modes=_MODES)


def _server(given: Any) -> McpServer:
    """A server that the editor names, as the settings name them."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", given.name)[:_NAME_CHARACTERS]
    if isinstance(given, HttpMcpServer):
        headers = tuple((header.name, header.value) for header in given.headers)
        return McpServer(name, url=given.url, headers=headers)
    if isinstance(given, McpServerStdio):
        environment = tuple((variable.name, variable.value) for variable in given.env)
        return McpServer(name, given.command, tuple(given.args), environment)
    raise _error(_INVALID, f"the MCP server {given.name} is neither a command nor streamable HTTP")
