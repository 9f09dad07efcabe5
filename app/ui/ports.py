"""The parts of the application that the screen is given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from textual import events

from app.agent.port import AgentPort, PermissionAsker
from app.model.port import EnginePort
from app.review.port import ReviewPort
from app.settings.settings import Mode
from app.workspace.workspace import Workspace

if TYPE_CHECKING:
    from app.language.servers import LanguageServers  # the first frame does not wait for them


class OpenAgent(Protocol):
    """Makes the agent, which puts its questions to the asker: in a new session, or by its id in an old one."""

    def __call__(self, asker: PermissionAsker, session: str | None = None, /) -> AgentPort:
        """Blocks on the disk. Raises SessionError when the session cannot be opened."""
        ...


@runtime_checkable
class TakesKeys(Protocol):
    """A widget that has keys before everybody else while it has the focus."""

    def type_key(self, event: events.Key) -> bool:
        """Take a key. False where it is not for the widget."""
        ...


@dataclass(frozen=True, slots=True)
class Ports:
    """The workspace and what works on it."""

    workspace: Workspace
    review: ReviewPort
    engine: EnginePort
    agent: OpenAgent
    language: "Callable[[], LanguageServers] | None" = None
    """The language servers, made when they are first asked for; None where none are wanted."""


def beginning_in(mode: Mode | None, open_agent: OpenAgent) -> OpenAgent:
    """`open_agent`, with the first agent in `mode`: what the user chooses later stays. None: as the session or
    the settings want it."""

    def opened(asker: PermissionAsker, session: str | None = None) -> AgentPort:
        nonlocal mode
        agent = open_agent(asker, session)
        if mode is not None:
            agent.mode, mode = mode, None
        return agent

    return opened
