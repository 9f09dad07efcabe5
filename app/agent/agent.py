"""The agent as the screen and the headless command know it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from typing_extensions import override

from app.agent import budget
from app.agent.activity import Activity, Emit
from app.agent.awake import kept_awake
from app.agent.budget import ContextUse
from app.agent.errors import MessageTooLong, SessionError
from app.agent.events import (
    AgentEvent,
    Attached,
    EndReason,
    Noticed,
    Steered,
    TurnEnded,
    TurnStarted,
    TurnSummarized,
)
from app.agent.hunks.work import HunkWork
from app.agent.mcp.servers import Servers, ServerState
from app.agent.permission.permissions import Permissions
from app.agent.port import AgentPort, PermissionAsker
from app.agent.prompt.composer import Composer
from app.agent.prompt.opening import Opening, opening_for
from app.agent.prompt.user_commands import find_user_commands, skill_directories
from app.agent.session.branches import RewindPoint
from app.agent.session.conversation import Conversation
from app.agent.session.history import events_of
from app.agent.session.session import Journal, new_journal, open_journal, read_session
from app.agent.shell.jobs import Jobs
from app.agent.shell.user_shell import run_for_user
from app.agent.subtask import run_subtask
from app.agent.tools.base import ToolResult, in_thread
from app.agent.tools.files import Files, Unsaved
from app.agent.tools.toolbox import Toolbox
from app.agent.touched import Check, Touched
from app.agent.turn import Hands, Turn, compact
from app.errors import TidegateError
from app.model.engine.ready import until_settled
from app.model.messages import Message
from app.model.port import EnginePort, ModelPort
from app.paths import cache_directory
from app.review.port import ChangeRecorder
from app.settings.mcp import McpServer
from app.settings.settings import Effort, Mode, Rule
from app.workspace.workspace import Workspace

_SURELY_FITS = 6_000  # characters, some 2,000 tokens: any model's context has room for them


def open_agent(
    workspace: Workspace,
    engine: EnginePort,
    recorder: ChangeRecorder,
    asker: PermissionAsker,
    *,
    mode: Mode = "ask",
    effort: Effort = "default",
    session: str | None = None,
    rules: Sequence[Rule] = (),
    servers: Sequence[McpServer] = (),
    is_offline: bool = False,
    stays_awake: bool = False,
    local_servers: bool = False,
    unsaved: Unsaved | None = None,
    check: Check | None = None,
) -> "Agent":
    """An agent in `workspace`, in a new session or, by its id, in an old one (listed by
    app.agent.session.session), which goes on in the mode and the effort it was left in, with the tools of the
    MCP `servers` that it began with (those with an address are refused when `is_offline`). `unsaved` says what
    the user has in an editor. With `stays_awake` the machine does not fall asleep during a turn; with
    `local_servers` confined commands may use its own addresses.

    Raises SessionError when the session cannot be opened.
    """

    def context_length() -> int | None:
        model = engine.status.model
        return model.context_length if model else None

    journal = new_journal(workspace.root) if session is None else open_journal(workspace.root, session)
    return Agent(
        workspace,
        engine,
        recorder,
        asker,
        journal,
        mode=mode,
        effort=effort,
        rules=rules,
        servers=Servers(servers, workspace.root, is_offline=is_offline),
        stays_awake=stays_awake,
        local_servers=local_servers,
        unsaved=unsaved,
        check=check,
        context_length=context_length,
        opening=lambda: opening_for(workspace, engine),
        settled=lambda: until_settled(engine),
    )


async def _nothing() -> None:
    """What a session begins with where nothing was warmed, and what to wait for where there is no engine."""


class Agent(AgentPort):
    """An AgentPort. Questions go to `asker`; what changes goes to `recorder` first, from a worker thread.
    `settled` waits until the engine is ready, or is not going to be.

    Raises SessionError when `journal` does not hold a session.
    """

    def __init__(
        self,
        workspace: Workspace,
        model: ModelPort,
        recorder: ChangeRecorder,
        asker: PermissionAsker,
        journal: Journal,
        *,
        mode: Mode = "ask",
        effort: Effort = "default",
        rules: Sequence[Rule] = (),
        servers: Servers | None = None,
        stays_awake: bool = False,
        local_servers: bool = False,
        unsaved: Unsaved | None = None,
        check: Check | None = None,
        context_length: Callable[[], int | None] = lambda: None,
        opening: Callable[[], Awaitable[Opening | None]] = _nothing,
        settled: Callable[[], Awaitable[object]] = _nothing,
    ) -> None:
        self._workspace = workspace
        self._stays_awake = stays_awake
        self._opening = opening
        self._settled = settled
        recorder = self._recorder = Touched(recorder)
        self._check = check
        self._conversation = Conversation(journal)
        self._jobs = Jobs(cache_directory() / "jobs" / journal.id)
        self._servers = servers or Servers((), workspace.root)
        self._toolbox = Toolbox()
        self._has_toolbox = False
        mode = self._conversation.mode or mode
        self._effort = effort
        places = (self._jobs.directory, *skill_directories(workspace.root))
        readable = tuple(place.resolve() for place in places)
        self._permissions = Permissions(workspace, mode, readable, rules, local_servers)
        self._permissions.grant(self._conversation.grants)
        self._hands = Hands(
            workspace,
            model,
            asker,
            recorder,
            self._permissions,
            Files(recorder, unsaved),
            self._jobs,
            self._toolbox,
            budget.ContextLength(context_length),
            lambda: self.effort,
        )
        self._composer = Composer(self._hands, self._conversation, self._jobs)
        self._steering: list[str] = []
        self._activity = Activity()
        self._has_warned = False

    @property
    def mode(self) -> Mode:
        """How freely the agent acts. Set, it holds from the next call on."""
        return self._permissions.mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._permissions.mode = mode
        self._conversation.set_mode(mode)

    @property
    def effort(self) -> Effort:
        """How much the model thinks. Set, it holds from the next reply on."""
        return self._conversation.effort or self._effort

    @effort.setter
    def effort(self, effort: Effort) -> None:
        self._conversation.set_effort(effort)

    @property
    def is_running(self) -> bool:
        """Whether a turn or a command of the user's is under way."""
        return self._activity.is_running

    @property
    def session_id(self) -> str:
        """What `open_agent` takes to go on with this session."""
        return self._conversation.id

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation as the model sees it, without the system prompt."""
        return self._conversation.messages

    @property
    def todos(self) -> tuple[tuple[str, str], ...]:
        """The model's plan, as TodosChanged has it."""
        return self._conversation.todos

    @property
    def losses(self) -> tuple[str, ...]:
        """What cannot be read of the session any more, a sentence each."""
        return tuple(map(str, self._conversation.losses))

    @override
    def history(self) -> tuple[AgentEvent, ...]:
        return tuple(events_of(read_session(self._workspace.root, self.session_id)))

    @override
    def rewind_points(self) -> tuple[RewindPoint, ...]:
        return self._conversation.rewind_points()

    @override
    def go_to(self, point: RewindPoint) -> None:
        """Raises AgentBusy when a turn is running."""
        with self._activity.rearranging():
            self._conversation.go_to(point.position)
            # The model may have seen a file only in a turn that is now undone.
            self._hands.files.forget()
            if not point.ahead:
                self._recorder.retell(point.turn, self.session_id)

    @override
    def rename(self, title: str) -> None:
        self._conversation.rename(title)

    @override
    def run_turn(self, text: str) -> AsyncGenerator[AgentEvent]:
        """Raises AgentBusy when a turn is running."""
        return self._activity.stream(lambda emit: self._turn(text, emit))

    def continue_turn(self) -> AsyncGenerator[AgentEvent]:
        """Go on with a turn that ended in an error, a cancellation or at a limit, from where it stood. Raises
        AgentBusy when a turn is running, SessionError when nothing was said yet."""
        return self._activity.stream(lambda emit: self._turn(None, emit))

    @override
    def run_command(self, command: str) -> AsyncGenerator[AgentEvent]:
        """Raises AgentBusy when a turn is running."""
        return self._activity.stream(lambda emit: self._command(command, emit))

    @override
    def compact(self) -> bool:
        """Raises AgentBusy when a turn is running."""
        with self._activity.rearranging():
            messages = self.messages
            length = self._hands.context_length()
            begins = max((n for n, message in enumerate(messages) if message.role == "user"), default=0)
            keep = len(messages) - begins
            if length is not None:
                keep = min(keep, budget.split(messages, length))
            return compact(self._conversation, keep, length)

    @override
    def context_use(self) -> ContextUse:
        mcp_tokens = budget.tokens_of(self._toolbox.mcp_characters)
        return budget.context_use(self.messages, self._hands.context_length(), mcp_tokens)

    @override
    async def start_servers(self) -> None:
        await self._servers.start()

    @override
    def servers(self) -> tuple[ServerState, ...]:
        return self._servers.states

    @property
    @override
    def hunks(self) -> HunkWork:
        async def prepare() -> None:
            async def tell_nobody(_: AgentEvent) -> None: ...

            # A session that has said nothing yet takes its tools with its first turn.
            if self._conversation.messages:
                await self._take_tools(tell_nobody)

        return HunkWork(self._hands, prepare)

    @override
    def user_commands(self) -> tuple[tuple[str, str], ...]:
        found = find_user_commands(self._workspace.root)
        return tuple((name, command.description) for name, command in sorted(found.items()))

    @override
    def steer(self, text: str) -> None:
        self._refuse_too_long(text)
        self._steering.append(text)

    @override
    def take_back(self) -> tuple[str, ...]:
        left, self._steering = tuple(self._steering), []
        return left

    def cancel(self) -> None:
        """End the running turn as cancelled; its events go on to TurnEnded. Harmless when none runs."""
        self._activity.cancel()

    async def aclose(self) -> None:
        """End the running turn and the background jobs, and close the session's file."""
        await self._activity.aclose()
        await asyncio.gather(self._jobs.aclose(), self._servers.aclose())
        self._conversation.close()

    def _refuse_too_long(self, text: str) -> None:
        # Shortening the newest message, as older ones are, would answer another question.
        length = self._hands.context_length()
        if length is None:
            return
        tokens = budget.estimate([Message("user", text)])
        room = budget.room(length) - self._hands.fixed_tokens
        if tokens > room:
            raise MessageTooLong(
                f"the message has about {tokens:,} tokens, and the model can take {room:,}",
                "save the text to a file in the project and tell the agent its name",
            )

    async def _turn(self, text: str | None, emit: Emit) -> None:
        conversation = self._conversation
        if text is None and not conversation.messages:
            raise SessionError("there is nothing to go on with", "write a message")
        if text is not None:
            if len(text) > _SURELY_FITS and self._hands.context_length() is None:
                await self._settled()
            self._refuse_too_long(text)
        was_interrupted = conversation.last_end == "cancelled"
        conversation.set_mode(self.mode)
        number = conversation.continue_turn() if text is None else conversation.begin_turn(text)
        reason: EndReason = "cancelled"
        message = ""
        is_recorded = False

        def begin() -> None:
            nonlocal is_recorded
            self._recorder.begin_turn(number, self.session_id, text or "")
            is_recorded = True
            if self._jobs.are_running:
                self._recorder.command_started()

        async def steer() -> bool:
            texts = self.take_back()
            for said in texts:
                attached = await self._composer.steer(said)
                await emit(Steered(said))
                if attached:
                    await emit(Attached(attached))
            return bool(texts)

        has_checked = False

        async def check() -> bool:
            nonlocal has_checked
            if self._check is None or has_checked or not self._recorder.before:
                return False
            has_checked = True
            said = await self._check(dict(self._recorder.before))
            if said:
                conversation.add(Message("user", said))
                await emit(Noticed(said))
            return bool(said)

        async def delegate(call_id: str, prompt: str) -> ToolResult:
            return await run_subtask(self._hands, conversation, emit, call_id, prompt)

        turn = Turn(
            self._hands,
            conversation,
            emit,
            steer,
            has_warned=self._has_warned,
            delegate=delegate,
            check=check,
        )
        try:
            await emit(TurnStarted(number, text or ""))
            await in_thread(begin)
            await self._take_tools(emit)
            if not conversation.messages:
                await self._open(emit)
            if text is not None:
                attached = await self._composer.tell(text, was_interrupted)
                if attached:
                    await emit(Attached(attached))
            elif conversation.messages and conversation.messages[-1].role == "assistant":
                conversation.add(Message("user", "Go on."))
            async with kept_awake(self._stays_awake):
                reason, message = await turn.run()
        except asyncio.CancelledError:
            conversation.close_calls("Cancelled by the user.")
        except TidegateError as error:
            reason, message = "error", str(error)
        finally:
            self._has_warned = turn.has_warned
            try:
                conversation.end_turn(reason, message)
            finally:
                if is_recorded:
                    try:
                        await in_thread(lambda: self._recorder.end_turn(number))
                        files = await in_thread(self._recorder.turn_files)
                        if files:
                            conversation.summarize(files)
                            await emit(TurnSummarized(files))
                    except TidegateError as error:
                        reason, message = "error", str(error)
        await emit(TurnEnded(number, reason, message))

    async def _take_tools(self, emit: Emit) -> None:
        """Once: have the tools of the MCP servers that the session began with, or begin it with theirs."""
        if self._has_toolbox:
            return
        states = self._servers.states
        if starting := [state.name for state in states if state.phase in ("waiting", "starting")]:
            await emit(Noticed(f"Waiting for the MCP servers: {', '.join(starting)}."))
        offers = await self._servers.offers()
        if offers and not self._conversation.messages and not self._conversation.offers:
            self._conversation.offer(offers)
        self._toolbox.add(self._servers.settle(self._conversation.offers))
        self._has_toolbox = True
        for notice in self._servers.notices():
            await emit(Noticed(notice))

    async def _open(self, emit: Emit) -> None:
        """Begin the session from what was warmed."""
        opening = await self._opening()
        if opening is None:
            return

        def begin() -> None:
            if opening.messages:
                self._conversation.open_with(opening.messages)
            for path in opening.files:
                location = self._workspace.locate(path)
                if (text := self._hands.files.read(location)) is not None:
                    self._hands.files.saw(location, text)

        await in_thread(begin)
        await emit(Noticed(opening.notice))

    async def _command(self, command: str, emit: Emit) -> None:
        reason: EndReason = "cancelled"
        message = ""
        try:
            await run_for_user(command, self._hands, self._conversation, emit)
            reason = "done"
        except asyncio.CancelledError:
            pass  # the end says so
        except TidegateError as error:
            reason, message = "error", str(error)
        await emit(TurnEnded(self._conversation.turn, reason, message))
