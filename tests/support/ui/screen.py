"""The screen's ports as a test wants them: the real workspace and review on a temporary directory, an engine
that is as ready as it is told, an agent that plays a script."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot

from app.agent.budget import ContextUse
from app.agent.errors import HunkWorkFailed
from app.agent.events import AgentEvent, ToolFinished, ToolStarted, TurnEnded, TurnStarted
from app.agent.hunks.asking import HunkQuestion, Told
from app.agent.hunks.takes import Takes, ToWrite
from app.agent.mcp.servers import ServerState
from app.agent.port import PermissionAsker
from app.agent.session.branches import RewindPoint
from app.model.events import AdapterDescription, EngineStatus, ModelDescription, StreamEvent
from app.model.messages import ChatRequest
from app.review.model import FileImage
from app.review.review import Review
from app.settings.settings import Effort, Mode
from app.ui.app import TidegateApp, language_of
from app.ui.keys.keymap import Keymap
from app.ui.ports import Ports
from app.ui.screens.workspace import WorkspaceScreen
from app.workspace.workspace import Workspace
from tests.support.patience import LONGEST

READY = EngineStatus("ready", model=ModelDescription("a-model", 32_768))

Play = Callable[["ScriptedAgent"], AsyncGenerator[AgentEvent, None]]


def edit(review: Review, root: Path, turn: int = 1, words: str = "", **files: str | None) -> None:
    """Let the agent, in one turn, replace files (their names with __ for a dot) by these texts."""
    review.begin_turn(turn, "session-1", words)
    for name, text in files.items():
        path = name.replace("__", ".")
        target = root / path
        before = FileImage(target.read_bytes()) if target.exists() else None
        after = FileImage(text.encode()) if text is not None else None
        review.record(path, before, after)
        if after is None:
            target.unlink()
        else:
            target.write_bytes(after.data)
    review.end_turn(turn)


class FakeEngine:
    """An EnginePort whose status the test sets. It never becomes ready by itself."""

    def __init__(self, status: EngineStatus = READY) -> None:
        self.status = status
        self.restarts = 0
        self.is_closed = False
        self.attended = 0
        self.adapter = ""
        self.offered: tuple[AdapterDescription, ...] = ()
        self._listeners: list[Callable[[EngineStatus], None]] = []

    def become(self, status: EngineStatus) -> None:
        """Change the status and tell everybody."""
        self.status = status
        for listener in self._listeners:
            listener(status)

    def subscribe(self, listener: Callable[[EngineStatus], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def start(self) -> None: ...

    async def restart(self) -> None:
        self.restarts += 1

    def attend(self) -> None:
        self.attended += 1

    async def adapters(self) -> tuple[AdapterDescription, ...]:
        return self.offered

    async def aclose(self) -> None:
        self.is_closed = True

    def stream(self, request: ChatRequest) -> AsyncIterator[StreamEvent]:
        raise NotImplementedError


async def says_nothing(_agent: "ScriptedAgent") -> AsyncGenerator[AgentEvent, None]:
    """A turn without events of its own."""
    return
    yield


class ScriptedHunks:
    """What may be asked about hunks, with prepared answers and takes."""

    def __init__(self) -> None:
        self.answers: list[str] = []
        self.found = Takes((), 0, 0)
        self.questions: list[HunkQuestion] = []
        self.retaken: list[ToWrite] = []
        self.go_on = asyncio.Event()
        """Takes wait for it."""
        self.go_on.set()

    async def ask(self, question: HunkQuestion, told: Told) -> str:
        self.questions.append(question)
        await told(7, 100)
        if not self.answers:
            raise HunkWorkFailed("the model had no answer")
        return self.answers.pop(0)

    async def takes(self, work: ToWrite, number: int, temperature: float) -> Takes:  # noqa: ARG002
        self.retaken.append(work)
        await self.go_on.wait()
        return self.found


class ScriptedAgent:
    """An AgentPort that plays `play` in every turn."""

    def __init__(self, play: Play) -> None:
        self.mode: Mode = "ask"
        self.effort: Effort = "default"
        self.play = play
        self.asker: PermissionAsker | None = None
        self.heard: list[str] = []
        self.was_cancelled = False
        self.is_closed = False
        self.go_on = asyncio.Event()  # for a play that waits in mid-turn
        self._stop = asyncio.Event()
        self.session_id = "session-1"
        self.past: tuple[AgentEvent, ...] = ()
        self.own_commands: tuple[tuple[str, str], ...] = ()
        self.steered: list[str] = []
        self.title = ""
        self.known_rewind_points: tuple[RewindPoint, ...] = ()
        self.went_to: list[RewindPoint] = []
        self.was_compacted = False
        self.hunks = ScriptedHunks()

    def history(self) -> tuple[AgentEvent, ...]:
        return self.past

    def rewind_points(self) -> tuple[RewindPoint, ...]:
        return self.known_rewind_points

    def go_to(self, point: RewindPoint) -> None:
        self.went_to.append(point)

    def rename(self, title: str) -> None:
        self.title = title

    def user_commands(self) -> tuple[tuple[str, str], ...]:
        return self.own_commands

    def steer(self, text: str) -> None:
        self.steered.append(text)

    def take_back(self) -> tuple[str, ...]:
        left, self.steered = tuple(self.steered), []
        return left

    def compact(self) -> bool:
        self.was_compacted = True
        return True

    async def start_servers(self) -> None: ...

    def servers(self) -> tuple[ServerState, ...]:
        return (ServerState("clock", "clock-server", "ready", tools=("clock__now",)),)

    def context_use(self) -> ContextUse:
        return ContextUse((("System prompt and tools", 1800), ("Results", 900)), 32_768, 8192)

    async def run_command(self, command: str) -> AsyncGenerator[AgentEvent, None]:
        self.heard.append(f"$ {command}")
        yield ToolStarted("shell", "run_shell_command", {}, f"$ {command}", is_users=True)
        yield ToolFinished("shell", "run_shell_command", True, "its output", "its output")
        yield TurnEnded(0, "done")

    async def run_turn(self, text: str) -> AsyncGenerator[AgentEvent, None]:
        self.heard.append(text)
        self._stop.clear()
        yield TurnStarted(len(self.heard), text)
        play = self.play(self)
        stop = asyncio.ensure_future(self._stop.wait())
        try:
            while True:
                step = asyncio.ensure_future(anext(play, None))
                await asyncio.wait([step, stop], return_when=asyncio.FIRST_COMPLETED)
                if not step.done():
                    step.cancel()
                    await asyncio.wait([step])
                    self.was_cancelled = True
                    yield TurnEnded(len(self.heard), "cancelled")
                    return
                event = step.result()
                if event is None:
                    break
                yield event
        finally:
            stop.cancel()
        yield TurnEnded(len(self.heard), "done")

    def continue_turn(self) -> AsyncGenerator[AgentEvent, None]:
        return self.run_turn("")

    def cancel(self) -> None:
        self._stop.set()

    async def aclose(self) -> None:
        self.is_closed = True


class Stage:
    """An app under test and everything behind it."""

    def __init__(
        self,
        root: Path,
        play: Play = says_nothing,
        status: EngineStatus = READY,
        keymap: Keymap | None = None,
        show_file: str | None = None,
        *,
        has_language: bool = False,
    ) -> None:
        self.root = root
        self.review = Review(root)
        self.engine = FakeEngine(status)
        self.agent = ScriptedAgent(play)
        self.sessions: dict[str, ScriptedAgent] = {}
        workspace = Workspace(root)
        language = language_of(workspace) if has_language else None
        self.ports = Ports(workspace, self.review, self.engine, self._agent, language)
        self.app = TidegateApp(self.ports, keymap=keymap, show_file=show_file)
        self.pilot: Pilot[str | None]

    def _agent(self, asker: PermissionAsker, session: str | None = None) -> ScriptedAgent:
        if session is not None:
            self.agent = self.sessions.setdefault(session, ScriptedAgent(self.agent.play))
        elif self.agent.asker is not None:
            self.agent = ScriptedAgent(self.agent.play)
        self.agent.asker = asker
        return self.agent

    @property
    def screen(self) -> WorkspaceScreen:
        screen = self.app.workspace_screen
        assert screen is not None
        return screen

    @asynccontextmanager
    async def run(self, size: tuple[int, int] = (120, 40)) -> AsyncIterator["Stage"]:
        """The app on a terminal of `size`, mounted."""
        async with self.app.run_test(size=size) as pilot:
            self.pilot = pilot
            await pilot.pause()
            yield self

    async def press(self, *keys: str) -> None:
        """Press keys once what was under way, such as a dialog that opens, can take them."""
        await self.pilot.pause()
        await self.pilot.press(*keys)

    async def until(self, condition: Callable[[], object], what: str = "what was waited for") -> None:
        """Let the app run until `condition` holds."""
        deadline = time.monotonic() + LONGEST
        while not condition():
            assert time.monotonic() < deadline, f"never came: {what}"
            await self.pilot.pause(0.005)

    async def say(self, text: str) -> None:
        """Write `text` in the message field and send it."""
        self.screen.agent.prompt.focus()
        self.screen.agent.prompt.insert(text)
        await self.press("enter")

    def transcript(self) -> str:
        """The conversation as it can be read."""
        view = self.screen.agent.transcript
        width = view.size.width
        strips = (strip for item in view.items if width for strip in item.strips(width, view.palette))
        return "\n".join(strip.text.rstrip() for strip in strips)

    def shown(self) -> set[str]:
        """The panes that are on the screen."""
        return {name for name in ("tree", "centre", "agent") if self.screen.query_one(f"#{name}-pane").display}
