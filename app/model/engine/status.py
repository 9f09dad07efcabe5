"""The status of an engine, and who wants to hear of it."""

import asyncio
from collections.abc import Callable

from app.model.events import EngineStatus


class StatusBoard:
    """Holds the status and tells listeners of every change. Used on the event loop only."""

    def __init__(self, status: EngineStatus) -> None:
        self._status = status
        self._listeners: list[Callable[[EngineStatus], None]] = []

    @property
    def status(self) -> EngineStatus:
        """The status now."""
        return self._status

    def set(self, status: EngineStatus) -> None:
        """Change the status; listeners hear of it only when it differs."""
        if status == self._status:
            return
        self._status = status
        for listener in tuple(self._listeners):
            listener(status)

    def subscribe(self, listener: Callable[[EngineStatus], None]) -> Callable[[], None]:
        """Call `listener` on every change, until the returned function is called."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    async def until(self, condition: Callable[[EngineStatus], bool]) -> EngineStatus:
        """The first status, from now on, that meets `condition`."""
        if condition(self._status):
            return self._status
        met: asyncio.Future[EngineStatus] = asyncio.get_running_loop().create_future()

        def listen(status: EngineStatus) -> None:
            if condition(status) and not met.done():
                met.set_result(status)

        end = self.subscribe(listen)
        try:
            return await met
        finally:
            end()
