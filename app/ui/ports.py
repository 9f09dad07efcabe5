"""What the screen is given: the parts of the application it stands in front of."""

from collections.abc import Callable
from dataclasses import dataclass

from app.agent.port import AgentPort, PermissionAsker
from app.model.port import EnginePort
from app.review.port import ReviewPort
from app.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Ports:
    """The workspace and what works on it. `agent` makes the agent, which puts its questions to the asker."""

    workspace: Workspace
    review: ReviewPort
    engine: EnginePort
    agent: Callable[[PermissionAsker], AgentPort]
