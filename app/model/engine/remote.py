"""Models that are not ours to run: somebody's server, or none at all."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from typing_extensions import override

from app.model.catalogue.catalogue import NothingFound, ServedModel
from app.model.engine.client_engine import ClientEngine
from app.model.errors import EngineFailed, ModelError, NoModel, Offline
from app.model.events import AdapterDescription, EngineStatus, ModelDescription, StreamEvent
from app.model.messages import ChatRequest
from app.model.port import EnginePort
from app.model.wire.client import Address, ChatClient, Patience, ReplyOptions


class RemoteEngine(ClientEngine):
    """An EnginePort on a Chat Completions server that somebody else runs."""

    def __init__(
        self,
        served: ServedModel,
        *,
        api_key: str | None = None,
        options: ReplyOptions | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._served = served
        address = Address(served.url)
        self._connecting = EngineStatus("starting", f"Connecting to {address}.")
        super().__init__(
            ChatClient(address, model=served.model, api_key=api_key, options=options, patience=patience),
            self._connecting,
        )

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

    @override
    async def aclose(self) -> None:
        await self._leave(f"{self._client.address} was left.")

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
