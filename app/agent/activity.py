"""What an agent is busy with: one thing at a time, whose events somebody watches."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager

from app.agent.errors import AgentBusy
from app.agent.events import AgentEvent

Emit = Callable[[AgentEvent], Awaitable[None]]


class Activity:
    """At most one turn or command runs, as a task of its own, or the conversation is being rearranged."""

    def __init__(self) -> None:
        self._running: asyncio.Task[None] | None = None
        self._is_rearranging = False
        self._is_closing = False

    @property
    def is_running(self) -> bool:
        """Whether a turn or a command runs."""
        return self._running is not None

    @contextmanager
    def rearranging(self) -> Iterator[None]:
        """Inside of it, in whatever thread, nothing else begins. Raises AgentBusy."""
        self._refuse_if_busy()
        self._is_rearranging = True
        try:
            yield
        finally:
            self._is_rearranging = False

    async def stream(self, act: Callable[[Emit], Awaitable[None]]) -> AsyncGenerator[AgentEvent]:
        """Do `act`, and give what it emits. Raises AgentBusy, and what `act` raises; left, it cancels `act`."""
        self._refuse_if_busy()
        events: asyncio.Queue[AgentEvent | None] = asyncio.Queue()
        is_closed = False

        async def emit(event: AgentEvent) -> None:
            # The turn waits until its watcher is through with the event: nothing happens that was not shown.
            if not (is_closed or self._is_closing):
                events.put_nowait(event)
                await events.join()

        async def work() -> None:
            try:
                await act(emit)
            finally:
                events.put_nowait(None)

        def forget(ended: "asyncio.Task[None]") -> None:
            if self._running is ended:
                self._running = None

        task = self._running = asyncio.create_task(work())
        task.add_done_callback(forget)
        try:
            while (event := await events.get()) is not None:
                yield event
                events.task_done()
            await task
        finally:
            is_closed = True
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
            forget(task)

    def cancel(self) -> None:
        """Cancel what runs; its events go on to the last one. Harmless when nothing runs."""
        # A second cancellation would interrupt the clean-up of the first.
        if self._running is not None and not self._running.cancelling():
            self._running.cancel()

    async def aclose(self) -> None:
        """Cancel what runs and wait for its end; nothing is emitted any more."""
        self._is_closing = True
        if (running := self._running) is not None:
            self.cancel()
            await asyncio.wait([running])

    def _refuse_if_busy(self) -> None:
        if self._running is not None:
            raise AgentBusy("a turn is running", "wait for its end or cancel it")
        if self._is_rearranging:
            raise AgentBusy("the conversation is being rearranged", "try again in a moment")
