"""Waiting for an engine to be ready, or to be known not to come."""

import asyncio
from collections.abc import Callable

from app.model.events import EngineStatus
from app.model.port import EnginePort


async def until_settled(
    engine: EnginePort, show: Callable[[EngineStatus], None] = lambda _: None
) -> EngineStatus:
    """Start the engine if needed, and wait until it is ready, absent, failed or stopped. `show` gets each
    status before that."""
    settled = asyncio.Event()

    def look(status: EngineStatus) -> None:
        if status.phase in ("absent", "ready", "failed", "stopped"):
            settled.set()
        else:
            show(status)

    end = engine.subscribe(look)
    try:
        if engine.status.phase == "starting":
            await engine.start()
        look(engine.status)
        await settled.wait()
    finally:
        end()
    return engine.status
