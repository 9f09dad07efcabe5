"""What our engine and somebody's server share: a client, a status, and a task that looks after it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from typing_extensions import override

from app.model.engine.status import StatusBoard
from app.model.events import AdapterDescription, EngineStatus
from app.model.port import EnginePort
from app.model.wire.client import ChatClient


class ClientEngine(EnginePort):
    """An EnginePort whose replies come from `client`. Subclasses start `_task`, which keeps the status true."""

    def __init__(self, client: ChatClient, status: EngineStatus) -> None:
        self._client = client
        self._board = StatusBoard(status)
        self._task: asyncio.Task[None] | None = None

    @property
    @override
    def status(self) -> EngineStatus:
        return self._board.status

    @override
    def subscribe(self, listener: Callable[[EngineStatus], None]) -> Callable[[], None]:
        return self._board.subscribe(listener)

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

    async def _leave(self, sentence: str) -> None:
        """End the task, say `sentence` as the last status, and close every connection."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        self._board.set(EngineStatus("stopped", sentence))
        await self._client.aclose()
