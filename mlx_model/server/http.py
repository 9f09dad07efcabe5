"""The HTTP application: routes over a scheduler."""

import asyncio
import contextlib
import json
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mlx_model.chat.prompt import ReplyMemory
from mlx_model.chat.tools.parser import ReplyPart
from mlx_model.decode.request import (
    Constraint,
    GenerationCosts,
    GenerationFinished,
    GenerationRequest,
    PromptProcessed,
    TokenGenerated,
)
from mlx_model.errors import EngineError, RequestError
from mlx_model.server.body import read_body
from mlx_model.server.failures import (
    HANDLERS,
    UNEXPECTED,
    ContextOverflow,
    Unavailable,
    UnknownModel,
    described,
    error_body,
)
from mlx_model.server.protocol import ChatCompletionRequest, read_request
from mlx_model.server.reply import ReplyReader
from mlx_model.server.reply_writer import ReplyWriter
from mlx_model.server.scheduler import Scheduler, ServedModel
from mlx_model.server.waiting import unless_gone, with_pauses

_log = logging.getLogger(__name__)

_KEEP_ALIVE_SECONDS = 10.0
"""Seconds between comments in a silent stream, so that no client takes a long prefill for a dead server."""
_NO_CERTAIN_CALL = 'tool_choice: no call of these tools can be made certain with this model; use "auto".'


@dataclass(slots=True)
class _Reply:
    """One reply in progress."""

    request: ChatCompletionRequest
    generation: GenerationRequest
    model: ServedModel
    reader: ReplyReader
    memory: ReplyMemory
    costs: GenerationCosts | None = None
    """So far."""
    finished: GenerationFinished | None = None

    @property
    def lowered_limit(self) -> int | None:
        """The most tokens of this reply where the context has room for fewer than were asked for."""
        asked, limit = self.request.reply_limit, self.generation.max_tokens
        return limit if asked is not None and limit < asked else None


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
                    ("/models/{name:path}", endpoints.named_model, "GET"),
                    ("/chat/completions", endpoints.chat_completions, "POST"),
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
        model = self._ready()
        received = read_request(await read_body(request))
        # Rendering and encoding a long conversation takes a while, and must not hold up other clients.
        reply = await asyncio.to_thread(_reply, model, received)
        if received.stream:
            return StreamingResponse(
                self._stream(reply), media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
            )
        return await unless_gone(request, self._whole(reply))

    def _ready(self) -> ServedModel:
        model, state = self._scheduler.model, self._scheduler.state
        if state.phase == "loading":
            raise Unavailable(f"The model is still loading ({state.progress:.0%}); try again in a moment.")
        if model is None or state.phase != "ready":
            raise Unavailable(str(state.error or "The engine is shutting down."))
        return model

    async def _whole(self, reply: _Reply) -> Response:
        async for _ in self._parts(reply):
            pass
        assert reply.finished is not None
        writer = ReplyWriter(reply.model.name, reply.lowered_limit)
        return JSONResponse(writer.whole(reply.reader.message, reply.reader.reason, reply.finished))

    async def _stream(self, reply: _Reply) -> AsyncGenerator[bytes]:
        writer = ReplyWriter(reply.model.name, reply.lowered_limit)
        options = reply.request.stream_options
        yield _event(writer.opening())
        try:
            chunks = with_pauses(self._chunks(reply, writer), self._keep_alive_seconds)
            async with contextlib.aclosing(chunks):
                async for chunk in chunks:
                    yield b": still working\n\n" if chunk is None else _event(chunk)
        except EngineError as error:
            yield _event(described(error)[1])
            return
        except Exception:  # noqa: BLE001 (the outermost frame)
            # The status has been sent already, so the error is an event of the stream.
            _log.exception("A reply went wrong.")
            yield _event(UNEXPECTED)
            return
        assert reply.finished is not None
        include_usage = bool(options and options.include_usage)
        for chunk in writer.ending(reply.reader.reason, reply.finished, include_usage):
            yield _event(chunk)
        yield b"data: [DONE]\n\n"

    async def _chunks(self, reply: _Reply, writer: ReplyWriter) -> AsyncGenerator[dict[str, Any]]:
        """The chunks that the client has asked for, without opening and ending."""
        async with contextlib.aclosing(self._parts(reply)) as parts:
            async for part in parts:
                if isinstance(part, GenerationCosts):
                    yield writer.costs(part)
                elif not isinstance(part, PromptProcessed):
                    yield writer.part(part, reply.costs if reply.request.timings_per_token else None)
                elif reply.request.return_progress:
                    yield writer.progress(part)

    async def _parts(self, reply: _Reply) -> AsyncGenerator[PromptProcessed | GenerationCosts | ReplyPart]:
        """The parts of the reply, until it ends or a stop string makes the rest unwanted."""
        reader, memory = reply.reader, reply.memory
        is_remembered = False
        with memory.in_progress():
            try:
                async with contextlib.aclosing(self._generated(reply)) as parts:
                    async for part in parts:
                        yield part
                for part in reader.finish():
                    yield part
                # The message is complete now. In threads, for this writes to disk.
                if not reply.generation.max_tokens:
                    await asyncio.to_thread(reply.model.settle)
                    is_remembered = True
                elif reader.is_whole:
                    await asyncio.to_thread(memory.completed, reader.message, reader.tokens)
                    is_remembered = True
            finally:
                if not is_remembered:
                    memory.interrupted()
        finished = reply.finished
        assert finished is not None
        _log.info(
            "%d prompt tokens (%d cached) in %.0f ms, %d tokens in %.0f ms, %s",
            finished.prompt_tokens,
            finished.cached_tokens,
            finished.prompt_ms,
            finished.generated_tokens,
            finished.generated_ms,
            reader.reason,
        )

    async def _generated(self, reply: _Reply) -> AsyncGenerator[PromptProcessed | GenerationCosts | ReplyPart]:
        """The parts that each event of the generation completes, or, where the request wants
        `timings_per_token`, its costs; the last event becomes `finished`."""
        enough = threading.Event()
        async with contextlib.aclosing(self._scheduler.events(reply.generation, enough)) as events:
            async for event in events:
                match event:
                    case PromptProcessed():
                        yield event
                    case TokenGenerated(token, costs):
                        reply.costs = costs
                        parts = reply.reader.add(token)
                        for part in parts:
                            yield part
                        if not parts and reply.request.timings_per_token:
                            yield costs
                    case GenerationFinished():
                        reply.finished = event
                if reply.reader.stopped:
                    enough.set()


def _reply(model: ServedModel, received: ChatCompletionRequest) -> _Reply:
    """Prepares the reply to a request. Raises RequestError."""
    generation = _generation(model, received)
    reader = ReplyReader(
        model.encoder.tokenizer,
        received.stop_strings,
        received.schemas(),
        one_call=received.has_one_call,
    )
    memory = model.encoder.reply_to(generation.prompt, reader.client_prefixes)
    return _Reply(received, generation, model, reader, memory)


def _generation(model: ServedModel, received: ChatCompletionRequest) -> GenerationRequest:
    """The generation that a request asks for. Raises RequestError, ContextOverflow among them."""
    constraint = _constraint(model, received)
    messages = [message.for_template() for message in received.messages]
    begun = str(messages.pop()["content"]) if received.continue_final_message else ""
    prompt = model.encoder.encode(messages, [tool.given for tool in received.tools or ()])
    tokens = (*prompt.tokens, *model.encoder.tokenizer.encode(begun))
    context, length = model.generator.context_length, len(tokens)
    room, limit = context - length, received.reply_limit
    if room < 1:
        raise ContextOverflow(
            f"The context holds {context:,} tokens, but the conversation has {length:,}; "
            "shorten the conversation."
        )
    return GenerationRequest(
        prompt=tokens,
        max_tokens=room if limit is None else min(limit, room),
        stop_tokens=model.encoder.tokenizer.stop_tokens,
        sampling=received.sampling(model.sampling),
        boundaries=prompt.boundaries,
        constraint=constraint,
        draft=received.draft,
    )


def _constraint(model: ServedModel, received: ChatCompletionRequest) -> Callable[[], Constraint | None]:
    """Makes the constraint of the reply: to JSON, or of tool calls to the registered tools and of edits to the
    request's files. Raises RequestError, FilesMissing among them."""
    schemas, grammar, form = received.schemas(), model.grammar, received.response_format
    if form is not None and form.type != "text":
        if grammar is None:
            raise RequestError(
                "response_format: this model's replies cannot be held to a grammar; leave it out."
            )
        schema = form.json_schema.value if form.json_schema is not None else {"type": "object"}
        strict = form.json_schema is not None and bool(form.json_schema.strict)
        return grammar.json_reply(schema, strict)
    if schemas is None or grammar is None:
        if received.needs_call:
            raise RequestError(_NO_CERTAIN_CALL)
        return lambda: None
    files = grammar.files.resolve(received.named_files())
    if received.needs_call and grammar.constraint(schemas, files, required=True) is None:
        raise RequestError(_NO_CERTAIN_CALL)
    return partial(grammar.constraint, schemas, files, required=received.needs_call)


def _event(content: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"
