"""Waiting for a response while its client may disconnect or time out."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from mlx_model.errors import EngineError
from mlx_model.server.failures import CLIENT_GONE

_Item = TypeVar("_Item")


async def unless_gone(request: Request, answer: Awaitable[Response]) -> Response:
    """The response; where the client disconnects first, `answer` is cancelled and the status is CLIENT_GONE."""
    answering = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return await answering if answering.done() else Response(status_code=CLIENT_GONE)
    finally:
        for task in (answering, leaving):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, EngineError):
                await task


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def with_pauses(items: AsyncGenerator[_Item], seconds: float) -> AsyncGenerator[_Item | None]:
    """The items; and None each time that another `seconds` pass without one."""
    following: asyncio.Task[_Item] | None = None
    try:
        while True:
            following = following or asyncio.ensure_future(_next(items))
            done, _ = await asyncio.wait({following}, timeout=seconds)
            if not done:
                yield None
                continue
            try:
                item = following.result()
            except StopAsyncIteration:
                return
            finally:
                following = None
            yield item
    finally:
        if following is not None:
            # It cannot be closed while it runs.
            following.cancel()
            await asyncio.wait({following})
        await items.aclose()


async def _next(items: AsyncIterator[_Item]) -> _Item:
    return await anext(items)
