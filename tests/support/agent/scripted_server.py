"""A Chat Completions server that answers with prepared replies, over real HTTP.

    def test_something(scripted_server):                    # the fixture is in tests/conftest.py
        server = scripted_server(
            reply("I will look.", call("read_file", file_path="a.py")),
            reply("Done."),
        )
        ...  server.url  is  http://127.0.0.1:PORT/v1, what `--model` takes
        assert server.requests[1]["messages"][-1]["role"] == "tool"

or, without the fixture, on a Unix socket or by hand:

    with ScriptedServer([reply("Hello")], socket=tmp_path / "s") as server: ...

Replies are used up in order, one a request; a callable in place of a reply gets the request's JSON and returns
one. A request beyond the last reply is answered with HTTP 500 and counted in `server.overruns`.

Parts of a reply, in order: a string or Text (visible words, cut into `fragment` characters a chunk), Call (a
tool call, its arguments cut likewise), Progress (llama.cpp's `prompt_progress`, sent only where the request
has `return_progress`), Gate (wait until the test opens it), and the misbehaviours: Raw (these bytes, as
they are), Drop (cut the connection now), Hang (say nothing more). HttpError in place of a reply is an error
answer.

    gate = Gate()
    server = scripted_server(reply("half", gate, " whole"))
    ...
    await gate.wait_reached()       # the client has been sent "half"
    gate.open()

`server.disconnects` counts clients that went away before their reply was complete: `await
server.wait_for(lambda s: s.disconnects == 1)`.
The server runs in a thread of its own, so a blocked test loop cannot stall it.
"""

import asyncio
import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import uvicorn

from tests.support.patience import LONGEST


@dataclass(frozen=True)
class Text:
    """Visible words. `fragment` overrides the reply's chunk size, in characters."""

    text: str
    fragment: int | None = None


@dataclass(frozen=True)
class Call:
    """A tool call. `arguments` is the JSON text sent, which need not parse."""

    name: str
    arguments: str
    id: str | None = None


@dataclass(frozen=True)
class Progress:
    """Prompt processing so far, in tokens."""

    total: int
    cached: int
    processed: int
    time_ms: float = 1.0


@dataclass(frozen=True)
class Raw:
    """Bytes sent as they are."""

    data: bytes


@dataclass(frozen=True)
class Drop:
    """The connection is cut here."""


@dataclass(frozen=True)
class Hang:
    """Nothing more is said; the connection stays open until the client leaves or the server stops."""


@dataclass(eq=False)
class Gate:
    """A point at which the reply waits for the test."""

    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)

    def open(self) -> None:
        """Let the reply go on."""
        self.opened.set()

    async def wait_reached(self, seconds: float = LONGEST) -> None:
        """Wait until the server has sent everything before this gate."""
        await until(self.reached.is_set, seconds)


Part = str | Text | Call | Progress | Raw | Drop | Hang | Gate


@dataclass(frozen=True)
class Reply:
    """One prepared reply; `reason` None means "tool_calls" where there are calls, else "stop"."""

    parts: tuple[Part, ...]
    reason: str | None = None
    fragment: int = 7
    usage: bool = True
    timings: bool = True
    thought: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HttpError:
    """An answer that is no stream: an error in OpenAI's form, or `body` as it is."""

    status: int
    message: str = "scripted failure"
    body: bytes | None = None
    content_type: str = "text/html"
    retry_after: str | None = None


Answer = Reply | HttpError
Script = Answer | Callable[[dict[str, Any]], Answer]


def reply(
    *parts: Part,
    reason: str | None = None,
    fragment: int = 7,
    usage: bool = True,
    timings: bool = True,
    thought: dict[str, Any] | None = None,
) -> Reply:
    """A prepared reply of these parts. `thought`: completion_tokens_details of its usage."""
    return Reply(parts, reason, fragment, usage, timings, thought or {})


def call(name: str, /, **arguments: Any) -> Call:
    """A tool call with these arguments."""
    return Call(name, json.dumps(arguments))


class ScriptedServer:
    """See the module's docstring. A context manager; `start` and `stop` do the same by hand."""

    def __init__(
        self,
        script: Iterable[Script] = (),
        *,
        socket: Path | None = None,
        port: int = 0,
        api_key: str | None = None,
        model: str = "scripted",
        context_length: int = 32768,
    ) -> None:
        self.script: list[Script] = list(script)
        self.socket = socket
        self.port = port
        self.api_key = api_key
        self.model = model
        self.context_length = context_length
        self.requests: list[dict[str, Any]] = []
        """The JSON bodies of the chat requests, in order of arrival."""
        self.headers: list[dict[str, str]] = []
        self.owner = "tests"
        """The `owned_by` of its model."""
        self.reply_headers: list[tuple[bytes, bytes]] = []
        self.overruns = 0
        self.disconnects = 0
        self.health_polls = 0
        self.health: tuple[int, dict[str, Any]] = (200, {"status": "ok"})
        """What GET /health answers; a test may set (503, {"status": "loading", "progress": 0.5})."""
        self._stopping = threading.Event()
        self._next = 0

    @property
    def url(self) -> str:
        """The base address, as `--model` takes it."""
        return f"http://127.0.0.1:{self.port}/v1"

    def add(self, *script: Script) -> None:
        """Append replies."""
        self.script.extend(script)

    async def wait_for(self, condition: Callable[["ScriptedServer"], bool], seconds: float = LONGEST) -> None:
        """Wait until `condition(server)` holds."""
        await until(lambda: condition(self), seconds)

    def start(self) -> "ScriptedServer":
        """Listen, and return when connections are accepted."""
        where: dict[str, Any] = (
            {"uds": str(self.socket)} if self.socket else {"host": "127.0.0.1", "port": self.port}
        )
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._application, interface="asgi3", log_level="critical", lifespan="off", ws="none", **where
            )
        )
        self._thread = threading.Thread(target=self._server.run, name="scripted-server", daemon=True)
        self._thread.start()
        deadline = time.monotonic() + LONGEST
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the scripted server did not start")
            time.sleep(0.002)
        if self.socket is None:
            self.port = self._server.servers[0].sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        """End every reply and close the port."""
        self._stopping.set()
        self._server.force_exit = True
        self._server.should_exit = True
        self._thread.join(LONGEST)
        if self.socket is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.socket)  # noqa: PTH108  a socket, not a path of ours

    def __enter__(self) -> "ScriptedServer":
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        route = (scope["method"], scope["path"])
        if route == ("GET", "/health"):
            self.health_polls += 1
            await _answer(send, *self.health)
        elif self.api_key is not None and headers.get("authorization") != f"Bearer {self.api_key}":
            await _answer(send, 401, _error("invalid api key"))
        elif route == ("GET", "/v1/models"):
            entry = {
                "id": self.model,
                "object": "model",
                "created": 0,
                "owned_by": self.owner,
                "max_model_len": self.context_length,
            }
            await _answer(send, 200, {"object": "list", "data": [entry]})
        elif route == ("POST", "/v1/chat/completions"):
            request = json.loads(body)
            self.requests.append(request)
            self.headers.append(headers)
            await self._chat(request, receive, send)
        else:
            await _answer(send, 404, _error(f"no such page: {scope['path']}"))

    async def _chat(self, request: dict[str, Any], receive: Any, send: Any) -> None:
        if self._next >= len(self.script):
            self.overruns += 1
            await _answer(send, 500, _error("the script has no more replies"))
            return
        step = self.script[self._next]
        self._next += 1
        answer = step(request) if callable(step) else step
        if isinstance(answer, HttpError):
            body, kind = answer.body, answer.content_type
            if body is None:
                body, kind = json.dumps(_error(answer.message)).encode(), "application/json"
            await _send(send, answer.status, body, kind, answer.retry_after)
            return
        speaking = asyncio.ensure_future(self._speak(answer, request, send))
        leaving = asyncio.ensure_future(_gone(receive))
        await asyncio.wait({speaking, leaving}, return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if not speaking.done():
            self.disconnects += 1
            speaking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await speaking
            return
        speaking.result()

    async def _speak(self, answer: Reply, request: dict[str, Any], send: Any) -> None:
        """The reply itself, streamed or whole. Raises _Dropped to make uvicorn cut the connection."""
        streaming = bool(request.get("stream"))
        common = {"id": "chatcmpl-scripted", "created": 0, "model": self.model}
        whole: dict[str, Any] = {"role": "assistant", "content": ""}
        calls: list[dict[str, Any]] = []

        async def chunk(delta: dict[str, Any], reason: str | None = None, **extra: Any) -> None:
            if streaming:
                choice = {"index": 0, "delta": delta, "finish_reason": reason}
                data = {**common, "object": "chat.completion.chunk", "choices": [choice], **extra}
                await raw(b"data: " + json.dumps(data).encode() + b"\n\n")

        async def raw(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        if streaming:
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": [(b"content-type", b"text/event-stream"), *self.reply_headers],
                }
            )
            await chunk({"role": "assistant", "content": ""})
        for part in answer.parts:
            if isinstance(part, str | Text):
                text = part if isinstance(part, str) else part.text
                size = (part.fragment if isinstance(part, Text) else None) or answer.fragment
                whole["content"] += text
                for piece in _cut(text, size):
                    await chunk({"content": piece})
            elif isinstance(part, Call):
                index = len(calls)
                identifier = part.id or f"call_{self._next}_{index}"
                function = {"name": part.name, "arguments": part.arguments}
                calls.append({"id": identifier, "type": "function", "function": function})
                opening = {"index": index, "id": identifier, "type": "function"}
                await chunk({"tool_calls": [{**opening, "function": {"name": part.name, "arguments": ""}}]})
                for piece in _cut(part.arguments, answer.fragment):
                    await chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
            elif isinstance(part, Progress):
                if request.get("return_progress"):
                    progress = {
                        "total": part.total,
                        "cache": part.cached,
                        "processed": part.processed,
                        "time_ms": part.time_ms,
                    }
                    await chunk({}, prompt_progress=progress)
            elif isinstance(part, Gate):
                part.reached.set()
                await until(lambda gate=part: gate.opened.is_set() or self._stopping.is_set(), None)
            elif isinstance(part, Raw):
                await raw(part.data)
            elif isinstance(part, Drop):
                raise _DroppedError
            else:
                await until(self._stopping.is_set, None)
                raise _DroppedError
        reason = answer.reason or ("tool_calls" if calls else "stop")
        said = len(whole["content"]) + sum(len(entry["function"]["arguments"]) for entry in calls)
        spent = max(1, said // 4)
        prompt = max(1, len(json.dumps(request["messages"])) // 4)
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": spent,
            "total_tokens": prompt + spent,
            "prompt_tokens_details": {"cached_tokens": prompt // 2},
            **({"completion_tokens_details": answer.thought} if answer.thought else {}),
        }
        timings = {
            "cache_n": prompt // 2,
            "prompt_n": prompt - prompt // 2,
            "prompt_ms": 10.0,
            "prompt_per_second": 100.0 * (prompt - prompt // 2),
            "predicted_n": spent,
            "predicted_ms": 20.0 * spent,
            "predicted_per_second": 50.0,
        }
        timed = {"timings": timings} if answer.timings else {}
        if not streaming:
            if calls:
                whole["tool_calls"] = calls
            choice = {"index": 0, "message": whole, "finish_reason": reason}
            spending = {"usage": usage} if answer.usage else {}
            data = {**common, "object": "chat.completion", "choices": [choice], **spending, **timed}
            await _answer(send, 200, data)
            return
        await chunk({}, reason, **timed)
        if answer.usage and (request.get("stream_options") or {}).get("include_usage"):
            data = {**common, "object": "chat.completion.chunk", "choices": [], "usage": usage, **timed}
            await raw(b"data: " + json.dumps(data).encode() + b"\n\n")
        await raw(b"data: [DONE]\n\n")
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class _DroppedError(Exception):
    """Leaves the application with the response unfinished, at which uvicorn cuts the connection."""


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "code": None}}


def _cut(text: str, size: int) -> Sequence[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _answer(send: Any, status: int, body: dict[str, Any]) -> None:
    await _send(send, status, json.dumps(body).encode(), "application/json")


async def _send(send: Any, status: int, body: bytes, content_type: str, retry_after: str | None = None) -> None:
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    if retry_after is not None:
        headers.append((b"retry-after", retry_after.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def until(condition: Callable[[], object], seconds: float | None = LONGEST) -> None:
    """Wait until `condition()` is true; TimeoutError after `seconds`."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while not condition():
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError("the awaited condition did not come about")
        await asyncio.sleep(0.005)
