"""Models that are not ours to run: somebody's server, or none at all."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

from typing_extensions import override

from app.model.catalogue.catalogue import NothingFound, ServedModel
from app.model.engine.status import StatusBoard
from app.model.errors import EngineFailed, ModelError, NoModel, Offline
from app.model.events import AdapterDescription, EngineStatus, ModelDescription, StreamEvent
from app.model.messages import ChatRequest
from app.model.port import EnginePort
from app.model.wire.client import Address, ChatClient, Patience
from app.settings.settings import DraftMode, Effort


class RemoteEngine(EnginePort):
    """An EnginePort on a Chat Completions server that somebody else runs."""

    def __init__(
        self,
        served: ServedModel,
        *,
        api_key: str | None = None,
        draft: DraftMode = "auto",
        adapter: str = "",
        exact_edits: bool = True,
        effort: Effort = "default",
        budget: int = 0,
        patience: Patience | None = None,
    ) -> None:
        self._served = served
        self._client = ChatClient(
            Address(served.url),
            model=served.model,
            api_key=api_key,
            draft=draft,
            adapter=adapter,
            exact_edits=exact_edits,
            effort=effort,
            budget=budget,
            patience=patience,
        )
        self._connecting = EngineStatus("starting", f"Connecting to {self._client.address}.")
        self._board = StatusBoard(self._connecting)
        self._task: asyncio.Task[None] | None = None

    @property
    @override
    def status(self) -> EngineStatus:
        return self._board.status

    @override
    def subscribe(self, listener: Callable[[EngineStatus], None]) -> Callable[[], None]:
        return self._board.subscribe(listener)

    @override
    async def start(self) -> None:
        if self._task is None or self._task.done():
            self._board.set(self._connecting)
            self._task = asyncio.create_task(self._connect(), name="server-connect")

    @override
    async def restart(self) -> None:
        await self.start()

    @override
    def attend(self) -> None:
        """Somebody else's server keeps what it likes."""

    @property
    def adapter(self) -> str:
        """As the port says."""
        return self._client.adapter

    @adapter.setter
    def adapter(self, name: str) -> None:
        self._client.adapter = name

    @override
    async def adapters(self) -> tuple[AdapterDescription, ...]:
        return await self._client.adapters()

    @override
    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._board.set(EngineStatus("stopped", f"{self._client.address} was left."))
        await self._client.aclose()

    @override
    async def stream(self, request: ChatRequest) -> AsyncGenerator[StreamEvent]:
        """A server that could not be reached before is tried once more."""
        if self._task is None or self.status.phase == "failed":
            await self.start()
        status = await self._board.until(lambda status: status.phase in ("ready", "failed", "stopped"))
        if status.phase != "ready":
            raise EngineFailed(status.message)
        async with aclosing(self._client.stream(request)) as events:
            async for event in events:
                yield event

    async def _connect(self) -> None:
        try:
            offered = await self._client.models()
        except ModelError as error:
            self._board.set(EngineStatus("failed", str(error)))
            return
        wanted = self._served.model
        if not wanted and not offered:
            self._board.set(
                EngineStatus(
                    "failed", f"{self._client.address} offers no model: load one there, or name it after a #"
                )
            )
            return
        # A server may know more names than it lists.
        named = [entry for entry in offered if entry.id == wanted] or [ModelDescription(wanted)]
        description = named[0] if wanted else offered[0]
        self._client.model = description.id
        self._board.set(EngineStatus("ready", model=description))


class NoEngine(EnginePort):
    """An EnginePort where there is nothing to ask: `status` for ever, `error` for whoever asks all the same."""

    def __init__(self, status: EngineStatus, error: ModelError) -> None:
        self._status = status
        self._error = error
        self.adapter = ""

    @property
    @override
    def status(self) -> EngineStatus:
        return self._status

    @override
    def subscribe(self, listener: Callable[[EngineStatus], None]) -> Callable[[], None]:
        return lambda: None

    @override
    async def start(self) -> None: ...

    @override
    async def restart(self) -> None: ...

    @override
    def attend(self) -> None: ...

    @override
    async def adapters(self) -> tuple[AdapterDescription, ...]:
        return ()

    @override
    async def aclose(self) -> None: ...

    @override
    def stream(self, request: ChatRequest) -> AsyncGenerator[StreamEvent]:
        """Raises its error at once."""
        raise self._error


def absent_engine(nothing: NothingFound) -> NoEngine:
    """Where there is no model."""
    status = EngineStatus("absent", "No model was found: " + "; ".join(nothing.looked_for) + ".")
    return NoEngine(status, NoModel("there is no model", "run: tidegate model list"))


def misnamed_engine(error: NoModel) -> NoEngine:
    """Where what was named is no model."""
    return NoEngine(EngineStatus("absent", str(error)), error)


def refused_engine(served: ServedModel) -> NoEngine:
    """Where there is a server, and the settings rule out the network."""
    error = Offline(f"{served.url} is a server, which")
    return NoEngine(EngineStatus("failed", str(error)), error)
