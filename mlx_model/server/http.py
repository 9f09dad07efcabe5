"""The HTTP application: routes over a scheduler."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mlx_model.decode.request import PromptProcessed
from mlx_model.errors import EngineError
from mlx_model.server.answering import Reply, pieces, replies_to
from mlx_model.server.body import read_body
from mlx_model.server.failures import (
    HANDLERS,
    UNEXPECTED,
    NoSuchResponse,
    Unavailable,
    UnknownModel,
    described,
    error_body,
)
from mlx_model.server.scheduler import Scheduler, ServedModel
from mlx_model.server.waiting import unless_gone, with_pauses
from mlx_model.server.wires.chat import read_chat
from mlx_model.server.wires.completions import read_completion
from mlx_model.server.wires.messages import read_count, read_messages
from mlx_model.server.wires.responses import read_response
from mlx_model.server.wires.responses_memory import ResponseMemory
from mlx_model.server.wires.wire import Asked, Event, Writer

_log = logging.getLogger(__name__)

_KEEP_ALIVE_SECONDS = 10.0
"""Seconds between comments in a silent stream, so that no client takes a long prefill for a dead server."""

WARNING = "X-Tidegate-Warning"
_NO_TOOLS = (
    "The model is not told of the tools: its chat template has no place for them. Take a model whose template "
    "has, for one that does not know its tools seldom calls them."
)
_GONE = "The response {!r} is not in memory (any more)."
_MOST_TOLD = 1000
"""Sentences that the log remembers, so that it says each once."""


def create_app(scheduler: Scheduler, keep_alive_seconds: float = _KEEP_ALIVE_SECONDS) -> Starlette:
    """The application. A stream without an event for `keep_alive_seconds` sends a comment."""
    endpoints = _Endpoints(scheduler, keep_alive_seconds)
    return Starlette(
        routes=[
            Route("/health", endpoints.health, methods=["GET"]),
            # Some clients are given the address without /v1.
            *(
                Route(f"{base}{path}", endpoint, methods=[method])
                for base in ("/v1", "")
                for path, endpoint, method in (
                    ("/models", endpoints.models, "GET"),
                    ("/adapters", endpoints.adapters, "GET"),
                    ("/models/{name:path}", endpoints.named_model, "GET"),
                    ("/chat/completions", endpoints.chat_completions, "POST"),
                    ("/completions", endpoints.completions, "POST"),
                    ("/responses", endpoints.responses, "POST"),
                    ("/responses/{id}", endpoints.kept_response, "GET"),
                    ("/responses/{id}", endpoints.dropped_response, "DELETE"),
                    ("/messages", endpoints.messages, "POST"),
                    ("/messages/count_tokens", endpoints.count_tokens, "POST"),
                )
            ),
        ],
        exception_handlers=HANDLERS,
    )


class _Endpoints:
    def __init__(self, scheduler: Scheduler, keep_alive_seconds: float) -> None:
        self._scheduler = scheduler
        self._keep_alive_seconds = keep_alive_seconds
        self._started = int(time.time())
        self._responses = ResponseMemory()
        self._told: set[str] = set()

    async def health(self, request: Request) -> Response:
        if "attended" in request.query_params:
            self._scheduler.attend()
        state = self._scheduler.state
        if state.phase == "ready" and self._scheduler.model is not None:
            memory = self._scheduler.model.memory()
            return JSONResponse({"status": "ok", **({"memory": dict(memory)} if memory else {})})
        body: dict[str, Any] = {"status": state.phase}
        if state.phase == "loading":
            body["progress"] = state.progress
        if state.error is not None:
            body |= error_body(str(state.error), "server_error", "loading_failed")
        return JSONResponse(body, 503)

    async def models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._entry(self._ready())]})

    async def adapters(self, _: Request) -> Response:
        shelf = self._ready().adapters
        listed = await asyncio.to_thread(shelf.listed) if shelf is not None else []
        return JSONResponse({"object": "list", "data": [dict(entry) for entry in listed]})

    async def named_model(self, request: Request) -> Response:
        model, name = self._ready(), request.path_params["name"]
        if name != model.name:
            raise UnknownModel(f"There is no model {name!r} here; this server has {model.name!r}.")
        return JSONResponse(self._entry(model))

    def _entry(self, model: ServedModel) -> dict[str, Any]:
        return {
            "id": model.name,
            "object": "model",
            "created": self._started,
            "owned_by": "tidegate",
            "context_length": model.generator.context_length,
            "keeps_prefixes": model.keeps_prefixes,
            "details": dict(model.details()),
        }

    async def chat_completions(self, request: Request) -> Response:
        return await self._answer(request, read_chat)

    async def completions(self, request: Request) -> Response:
        return await self._answer(request, read_completion)

    async def responses(self, request: Request) -> Response:
        return await self._answer(request, partial(read_response, memory=self._responses))

    async def kept_response(self, request: Request) -> Response:
        identifier = request.path_params["id"]
        found = self._responses.find(identifier)
        if found is None:
            raise NoSuchResponse(_GONE.format(identifier))
        return JSONResponse(found.response)

    async def dropped_response(self, request: Request) -> Response:
        identifier = request.path_params["id"]
        if not self._responses.drop(identifier):
            raise NoSuchResponse(_GONE.format(identifier))
        return JSONResponse({"id": identifier, "object": "response", "deleted": True})

    async def messages(self, request: Request) -> Response:
        return await self._answer(request, read_messages)

    async def count_tokens(self, request: Request) -> Response:
        model = self._ready()
        asked = read_count(await read_body(request))
        (prompt,) = await asyncio.to_thread(asked.prompts, model.encoder)
        return JSONResponse({"input_tokens": len(prompt.tokens)})

    async def _answer(self, request: Request, read: Callable[[bytes], Asked]) -> Response:
        model = self._ready()
        asked = read(await read_body(request))
        # Rendering and encoding a long conversation takes a while, and must not hold up other clients.
        replies = await asyncio.to_thread(replies_to, model, asked.request)
        writer = asked.writer(model.name, len(replies[0].generation.prompt))
        left_out = (*asked.left_out, *asked.request.without_effect(model.encoder.template))
        if replies[0].lacks_tools:
            left_out = (*left_out, _NO_TOOLS)
        headers = self._warnings(left_out)
        if asked.request.stream:
            return StreamingResponse(
                self._stream(replies, writer),
                media_type="text/event-stream",
                headers={"Cache-Control": "no-cache", **headers},
            )
        return await unless_gone(request, self._whole(replies, writer, headers))

    def _warnings(self, left_out: Sequence[str]) -> dict[str, str]:
        """The header that says what of a request was left out; the log says it once."""
        for sentence in left_out:
            if sentence not in self._told and len(self._told) < _MOST_TOLD:
                self._told.add(sentence)
                _log.warning("%s", sentence)
        if not left_out:
            return {}
        return {WARNING: " ".join(left_out).encode("ascii", "backslashreplace").decode()}

    def _ready(self) -> ServedModel:
        model, state = self._scheduler.model, self._scheduler.state
        if state.phase == "loading":
            raise Unavailable(f"The model is still loading ({state.progress:.0%}); try again in a moment.")
        if model is None or state.phase != "ready":
            raise Unavailable(str(state.error or "The engine is shutting down."))
        return model

    async def _whole(self, replies: Sequence[Reply], writer: Writer, headers: Mapping[str, str]) -> Response:
        async for _ in self._events(replies, writer):
            pass
        return JSONResponse(writer.whole([reply.ended() for reply in replies]), headers=headers)

    async def _stream(self, replies: Sequence[Reply], writer: Writer) -> AsyncGenerator[bytes]:
        for event in writer.opening():
            yield event.encoded()
        failure: Mapping[str, Any] | None = None
        try:
            events = with_pauses(self._events(replies, writer), self._keep_alive_seconds)
            async with contextlib.aclosing(events):
                async for item in events:
                    yield b": still working\n\n" if item is None else item.encoded()
            for event in writer.ending([reply.ended() for reply in replies]):
                yield event.encoded()
        except EngineError as error:
            failure = described(error)[1]
        except Exception:  # noqa: BLE001 (the outermost frame)
            _log.exception("A reply went wrong.")
            failure = UNEXPECTED
        # The status has been sent already, so an error is an event of the stream.
        for event in writer.failed(failure) if failure is not None else ():
            yield event.encoded()

    async def _events(self, replies: Sequence[Reply], writer: Writer) -> AsyncGenerator[Event]:
        """The events of the replies, one after the other, without opening and ending."""
        for choice, reply in enumerate(replies):
            async with contextlib.aclosing(pieces(self._scheduler, reply)) as found:
                async for piece in found:
                    if isinstance(piece, PromptProcessed):
                        events = writer.progress(piece)
                    else:
                        events = writer.piece(choice, piece)
                    for event in events:
                        yield event
            for event in writer.ended(choice, reply.ended()):
                yield event
