"""What the screen and the headless command may ask of the agent, and what the agent asks of them."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from app.agent.budget import ContextUse
from app.agent.events import AgentEvent
from app.settings.settings import Effort, Mode

if TYPE_CHECKING:
    # With the servers come the tools' schemas, which the first frame does not wait for.
    from app.agent.hunks.asking import HunkQuestion, Told
    from app.agent.hunks.takes import Takes, ToWrite
    from app.agent.mcp.servers import ServerState
    from app.agent.session.branches import RewindPoint

Answer = Literal["once", "always", "keep", "deny"]


@dataclass(frozen=True, slots=True)
class PermissionRequest:
    """A call that needs the user's word. `summary` is what will be done, in full and unabridged; `reason` why
    it is asked; `always` exactly what answering "always" would grant, "" when that is not offered; `keep` what
    answering "keep" would write into the settings besides, "" when that is not offered. `is_part`: what asks is
    a part of the call, which is under way. `is_users`: the command is the user's own."""

    call_id: str
    name: str
    arguments: Mapping[str, Any]
    summary: str
    reason: str
    always: str = ""
    keep: str = ""
    is_part: bool = False
    is_users: bool = False


@dataclass(frozen=True, slots=True)
class PermissionAnswer:
    """The user's word. `comment` is told to the model when the call is denied."""

    answer: Answer
    comment: str = ""


class PermissionAsker(Protocol):
    """Whoever can put a question to the user."""

    async def ask(self, request: PermissionRequest) -> PermissionAnswer:
        """Wait for the user. Cancelled with the turn."""
        ...


class HunkPort(Protocol):
    """What may be asked about hunks, of any session in the workspace. Nothing of it touches the conversation.
    Both raise HunkWorkFailed, ModelError and SessionError."""

    async def ask(self, question: "HunkQuestion", told: "Told") -> str:
        """The answer, from the state in which the hunk was written (app.agent.hunks.asking)."""
        ...

    async def takes(self, work: "ToWrite", number: int, temperature: float) -> "Takes":
        """`number` takes of a hunk, a file or a turn (app.agent.hunks.takes)."""
        ...


class AgentPort(Protocol):
    """A conversation with the agent in one workspace."""

    @property
    def mode(self) -> Mode: ...

    @mode.setter
    def mode(self, mode: Mode) -> None: ...

    @property
    def effort(self) -> Effort: ...

    @effort.setter
    def effort(self, effort: Effort) -> None: ...

    @property
    def session_id(self) -> str:
        """The name of the session on disk (see app.agent.session.session)."""
        ...

    def history(self) -> tuple[AgentEvent, ...]:
        """What was said and done in the session so far, as the events that told of it, what was left out for
        the model's sake included. Blocks on the disk. Raises SessionError."""
        ...

    def rewind_points(self) -> "tuple[RewindPoint, ...]":
        """Where the conversation can go: before each turn, oldest first, then forward to the ends of undone
        branches. Blocks on the disk. Raises SessionError."""
        ...

    def go_to(self, point: "RewindPoint") -> None:
        """Rewind or fast-forward to one of `rewind_points`: the model does not see what was said after it, and
        the session keeps everything. Files do not change. Blocks on the disk. Raises AgentBusy while a
        turn runs, SessionError when the disk will not take it."""
        ...

    def rename(self, title: str) -> None:
        """Call the session `title`. Raises SessionError when the disk will not take it."""
        ...

    def run_turn(self, text: str) -> AsyncIterator[AgentEvent]:
        """Run one turn, from TurnStarted to TurnEnded.

        Closing the iterator or cancelling the task that reads it ends the turn as cancelled; what was said and
        done until then is kept in the session on disk. Raises MessageTooLong before TurnStarted, for which it
        waits for the engine where the message is long and the length of the context is not known yet.
        """
        ...

    def continue_turn(self) -> AsyncIterator[AgentEvent]:
        """Go on with a turn that ended in an error, a cancellation or at a limit, from where it stood."""
        ...

    def run_command(self, command: str) -> AsyncIterator[AgentEvent]:
        """Run a shell command of the user's own, confined like the agent's, to TurnEnded. The model is told of
        it with the next turn."""
        ...

    def steer(self, text: str) -> None:
        """Say something to the running turn: it is taken before the model's next reply (Steered tells when).
        Raises MessageTooLong, as run_turn does."""
        ...

    def take_back(self) -> tuple[str, ...]:
        """What was said by `steer` and not taken; it is not going to be."""
        ...

    def compact(self) -> bool:
        """Replace all but the latest turn by a summary. False if there is nothing to leave out. Raises
        AgentBusy while a turn runs, SessionError when the disk will not take it."""
        ...

    async def start_servers(self) -> None:
        """Start the MCP servers, and wait until each is ready or has failed. The first turn does the same."""
        ...

    def servers(self) -> "tuple[ServerState, ...]":
        """Where the MCP servers stand."""
        ...

    def context_use(self) -> ContextUse:
        """What the next prompt will hold."""
        ...

    @property
    def hunks(self) -> "HunkPort":
        """What may be asked about hunks."""
        ...

    def user_commands(self) -> tuple[tuple[str, str], ...]:
        """The user's own commands and skills, as (name, description). Blocks on the disk."""
        ...

    def cancel(self) -> None:
        """Cancel the running turn; its iterator still yields TurnEnded. Harmless when none runs."""
        ...

    async def aclose(self) -> None:
        """End the turn and the background jobs, and close the session's file."""
        ...
