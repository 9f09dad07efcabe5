"""What the agent and the screen know of a model: two small protocols, free of HTTP and processes."""

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from app.model.events import AdapterDescription, EngineStatus, StreamEvent
from app.model.messages import ChatRequest


class ModelPort(Protocol):
    """Something that answers chat requests."""

    def stream(self, request: ChatRequest) -> AsyncGenerator[StreamEvent]:
        """The reply's events, ending with exactly one Finished.

        Waits while the engine loads. Closing the generator, or cancelling the task that reads it, cancels the
        reply on the server. Raises app.model.errors.ModelError when the server is lost, answers with garbage,
        refuses the request, or is silent for too long.
        """
        ...


class EnginePort(ModelPort, Protocol):
    """A model and what runs it: our engine, which is started, shared, restarted and stopped, or a server."""

    @property
    def status(self) -> EngineStatus:
        """The engine's current status."""
        ...

    def subscribe(self, listener: Callable[[EngineStatus], None]) -> Callable[[], None]:
        """Call `listener` on every change, on the event loop. Returns a function that ends the subscription."""
        ...

    async def start(self) -> None:
        """Begin finding or starting the engine in the background; returns at once."""
        ...

    async def restart(self) -> None:
        """Try again after a failure."""
        ...

    def attend(self) -> None:
        """Say that the user is at work, so that an engine of ours keeps its weights ready for some minutes."""
        ...

    adapter: str
    """The adapter that the next reply asks for: see `adapter` of the settings."""

    async def adapters(self) -> tuple[AdapterDescription, ...]:
        """The adapters that replies can be computed under; none where the engine is not ours. Raises
        ModelError."""
        ...

    async def aclose(self) -> None:
        """Disconnect. An engine that we started and no other window uses stops by itself when idle."""
        ...
