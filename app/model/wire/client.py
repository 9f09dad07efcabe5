"""The client of the wire: Chat Completions over HTTP, on a Unix socket or TCP."""

import asyncio
import importlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from typing_extensions import override

from app.model.errors import (
    ContextOverflow,
    EngineLost,
    GarbledReply,
    ModelError,
    ModelTimeout,
    RequestRefused,
    Unreachable,
)
from app.model.events import AdapterDescription, ModelDescription, StreamEvent, Warned
from app.model.messages import ChatRequest, SeenFile
from app.model.port import ModelPort
from app.model.wire.chunks import ReplyReader, error_in_body
from app.model.wire.effort import NO_BUDGET, OURS, UNNAMED, effort_fields, lacks_budget
from app.model.wire.sse import EventDecoder
from app.settings.settings import DraftMode, Effort

if TYPE_CHECKING:
    import httpx2  # where it is used it is imported: the screen's first frame does not wait for it

_LARGEST_ANSWER = 16 * 2**20  # bytes
_BUSY = {429, 502, 503, 504}  # HTTP statuses of a server that may answer later
_LONGEST_PAUSE = 30.0  # seconds; a server that wants to be left alone for longer is told of
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_KNOW_PROGRESS = {OURS, "llamacpp"}
"""The `owned_by` of servers that know `return_progress` and `timings_per_token`; a strict one may refuse what
it does not know."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: `url` up to and including /v1; `socket` where a Unix socket leads there."""

    url: str
    socket: Path | None = None

    @property
    def root(self) -> str:
        """The address without /v1: where /health lives."""
        return self.url.removesuffix("/v1")

    def __str__(self) -> str:
        """For people: without the password that it may hold."""
        if self.socket:
            return str(self.socket)
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds, for a connection, for the first word of a reply (a long prompt may take
    minutes to read) and within a tool call, between two signs of life elsewhere, and for a short question's
    answer. Progress reports and keep-alive comments are signs of life at any stage. `busy`: before a request
    that a busy server refused is sent again, at least, each time."""

    connect: float = 10.0
    first_word: float = 900.0
    silence: float = 180.0
    question: float = 10.0
    busy: tuple[float, ...] = (1.0, 4.0)


@dataclass(frozen=True, slots=True)
class Health:
    """An engine's answer to /health; `progress` is 0 to 1 while it loads, None where it does not say. Of our
    own engine: whether its machine is short of memory now, what it has given back for that since it started,
    and how many experts of each layer it has room for (None: all)."""

    ready: bool
    progress: float | None = None
    is_short: bool = False
    given_back: frozenset[str] = frozenset()
    expert_slots: int | None = None


@dataclass(frozen=True, slots=True)
class ReplyOptions:
    """How replies are to be computed. Only an engine of ours is told how to `draft` and under which `adapter`
    to compute ("auto" and "" leave that to it), and, for `exact_edits`, the texts of the files that the model
    was shown, each text once. `effort` and `budget` are reasoning_effort and reasoning_budget of the
    settings."""

    draft: DraftMode = "auto"
    adapter: str = ""
    exact_edits: bool = True
    effort: Effort = "default"
    budget: int = 0


class ChatClient(ModelPort):
    """A ModelPort on one address. `model` is what requests name, `adapter` the one that the next reply asks
    for; `is_ours`: an engine of ours listens there, which else shows in what it offers."""

    def __init__(
        self,
        address: Address,
        *,
        model: str = "",
        is_ours: bool = False,
        options: ReplyOptions | None = None,
        api_key: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.address = address
        self.model = model
        self._is_ours = self._progress = is_ours
        self._owners = frozenset({OURS} if is_ours else ())
        self._options = options or ReplyOptions()
        self.adapter = self._options.adapter
        self._has_key = bool(api_key)
        self._patience = patience or Patience()
        self._headers = {"authorization": f"Bearer {api_key}"} if api_key else {}

    @cached_property
    def _http(self) -> "httpx2.AsyncClient":
        import httpx2  # noqa: PLC0415

        address = self.address
        return httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=str(address.socket)) if address.socket else None,
            headers=self._headers,
            # Nothing meant for this machine goes through a proxy.
            trust_env=address.socket is None and urlsplit(address.url).hostname not in _LOOPBACK,
            timeout=httpx2.Timeout(None, connect=self._patience.connect, pool=None),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def health(self, *, attended: bool = False) -> Health:
        """What GET /health says; `attended` tells an engine of ours that somebody is at work. Raises ModelError
        when there is no such server."""
        response = await self._ask(f"{self.address.root}/health{'?attended=1' if attended else ''}")
        try:
            body = response.json()
        except ValueError:
            body = None
        if response.status_code == 200:
            memory = body.get("memory") if isinstance(body, dict) else None
            return _ready(memory if isinstance(memory, dict) else {})
        if response.status_code == 503 and isinstance(body, dict):
            progress = body.get("progress")
            return Health(False, float(progress) if isinstance(progress, int | float) else None)
        raise GarbledReply(f"{self.address} answered its health check with HTTP {response.status_code}")

    async def models(self) -> tuple[ModelDescription, ...]:
        """What GET /v1/models offers. Raises ModelError."""
        response = await self._ask(f"{self.address.url}/models")
        if response.status_code != 200:
            raise self._refusal(response.status_code, response.content)
        try:
            listed = response.json()["data"]
            descriptions = tuple(_description(entry) for entry in listed)
            owners = frozenset(str(entry.get("owned_by", UNNAMED)) for entry in listed)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise GarbledReply(
                f"{self.address} does not speak Chat Completions",
                "check the address, which usually ends in /v1",
            ) from None
        self._progress = self._progress or not owners.isdisjoint(_KNOW_PROGRESS)
        self._is_ours = self._is_ours or OURS in owners
        self._owners |= owners
        return descriptions

    async def adapters(self) -> tuple[AdapterDescription, ...]:
        """What GET /v1/adapters of an engine of ours lists; of others nothing. Raises ModelError."""
        if not self._is_ours:
            return ()
        response = await self._ask(f"{self.address.url}/adapters")
        if response.status_code != 200:
            raise self._refusal(response.status_code, response.content)
        try:
            listed = response.json()["data"]
            return tuple(AdapterDescription(str(one["id"]), one.get("default") is True) for one in listed)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise GarbledReply(f"{self.address} does not list its adapters", "restart the engine") from None

    @override
    async def stream(self, request: ChatRequest) -> AsyncGenerator[StreamEvent]:
        reader = ReplyReader()
        asks_files = self._is_ours and self._options.exact_edits
        files = await asyncio.to_thread(request.files) if asks_files else ()
        async with (
            self._connected(self._body(request), files) as response,
            aclosing(self._pieces(response, reader)) as pieces,
        ):
            if warning := response.headers.get("x-tidegate-warning"):
                yield Warned(warning)
            if request.effort != "off" and lacks_budget(self._options.budget, self._owners):
                yield Warned(NO_BUDGET)
            if "json" in response.headers.get("content-type", ""):
                for event in reader.feed((await _whole(pieces)).decode(errors="replace")):
                    yield event
            else:
                async with aclosing(_events(pieces)) as events:
                    async for data in events:
                        for event in reader.feed(data):
                            yield event
        if not reader.said_something:
            raise GarbledReply(f"{self.address} ended its reply without saying anything")
        yield reader.finish()

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [message.to_wire() for message in request.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.tools:
            body["tools"] = [tool.to_wire() for tool in request.tools]
            if not request.may_call:
                body["tool_choice"] = "none"
        for name in ("temperature", "top_p", "top_k", "max_tokens", "seed"):
            value = getattr(request, name)
            if value is not None:
                body[name] = value
        if self._progress:
            body["return_progress"] = True
            body["timings_per_token"] = True
        if self._is_ours and self._options.draft != "auto":
            body["draft"] = self._options.draft
        if self._is_ours and self.adapter:
            body["adapter"] = self.adapter
        if self._is_ours and request.wants_chances:
            body["return_doubt"] = True
        effort = request.effort or self._options.effort
        if self._is_ours and not request.thinks:
            effort = "off"
        return body | effort_fields(effort, self._options.budget, self._owners)

    @asynccontextmanager
    async def _connected(
        self, body: dict[str, Any], files: tuple[SeenFile, ...] = ()
    ) -> AsyncIterator["httpx2.Response"]:
        """The response with its head read and its status good. Leaving closes the connection, which is how a
        reply is cancelled. Of `files` the server is sent those texts that it says it does not have."""
        import httpx2  # noqa: PLC0415

        # An engine of our own that refuses is ending or loading, which is looked after elsewhere.
        pauses = iter(self._patience.busy if self.address.socket is None else ())
        texts: frozenset[str] = frozenset()
        while True:
            if files:
                body["files"] = [_named(file, texts) for file in files]
            request = self._http.build_request(
                "POST",
                f"{self.address.url}/chat/completions",
                # A file's name or content may be no valid Unicode; that must not stop the conversation.
                content=json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
                headers={"content-type": "application/json"},
            )
            try:
                async with asyncio.timeout(self._patience.first_word):
                    response = await self._http.send(request, stream=True)
            except TimeoutError:
                raise self._silent(self._patience.first_word) from None
            except httpx2.HTTPError as error:
                raise self._unreachable(error) from None
            try:
                if response.status_code == 200:
                    yield response
                    return
                answer = await _whole(self._pieces(response, ReplyReader()))
            finally:
                await response.aclose()
            missing = _missing_texts(response.status_code, answer) - texts
            if missing and files:
                texts |= missing
                continue
            wanted, pause = _pause_wanted(response), next(pauses, None)
            if pause is None or wanted is None:
                raise self._refusal(response.status_code, answer)
            await asyncio.sleep(max(pause, wanted))

    async def _pieces(self, response: "httpx2.Response", reader: ReplyReader) -> AsyncGenerator[bytes]:
        """The response's bytes as they come, within the client's patience, until the reply is over."""
        import httpx2  # noqa: PLC0415

        received = response.aiter_bytes()
        while True:
            # Some servers give a call's argument in one piece, and a long file takes minutes to write.
            waits = reader.is_in_call or not reader.said_something
            limit = self._patience.first_word if waits else self._patience.silence
            try:
                async with asyncio.timeout(limit):
                    piece = await anext(received, None)
            except TimeoutError:
                raise self._silent(limit) from None
            except httpx2.HTTPError:
                if reader.complete:
                    return  # some servers close without a farewell
                raise EngineLost(
                    "the connection to the model broke off in mid-reply", "send the message again"
                ) from None
            if piece is None:
                if response.status_code == 200 and reader.said_something and not reader.complete:
                    raise EngineLost("the model stopped in mid-reply", "send the message again")
                return
            yield piece

    async def _ask(self, url: str) -> "httpx2.Response":
        """A short question's answer, read whole."""
        # The first that is asked of a server: the screen is drawn meanwhile.
        await asyncio.to_thread(importlib.import_module, "httpx2")
        import httpx2  # noqa: PLC0415

        try:
            async with asyncio.timeout(self._patience.question), self._http.stream("GET", url) as response:
                return httpx2.Response(response.status_code, content=await _whole(response.aiter_bytes()))
        except TimeoutError:
            raise self._silent(self._patience.question) from None
        except httpx2.HTTPError as error:
            raise self._unreachable(error) from None

    def _silent(self, seconds: float) -> ModelTimeout:
        return ModelTimeout(
            f"{self.address} said nothing for {seconds:.0f} seconds", "see whether it is still running"
        )

    def _unreachable(self, error: "httpx2.HTTPError") -> ModelError:
        import httpx2  # noqa: PLC0415

        if isinstance(error, httpx2.ConnectTimeout):
            return Unreachable(
                f"{self.address} did not accept a connection within {self._patience.connect:.0f} seconds",
                "check the address, and that the server runs",
            )
        if isinstance(error, httpx2.ConnectError):
            return Unreachable(
                f"no server answers at {self.address}", "check the address, and that the server runs"
            )
        # A connection that closes before an answer is the same kind of error as an answer that is no HTTP.
        if isinstance(error, httpx2.RemoteProtocolError) and "disconnected" not in str(error):
            return GarbledReply(f"what listens at {self.address} does not speak HTTP", "check the address")
        return EngineLost(f"the connection to {self.address} broke off", "try again")

    def _refusal(self, status: int, answer: bytes) -> ModelError:
        try:
            body = json.loads(answer)
        except (ValueError, RecursionError):
            body = None
        if status in (401, 403):
            wants = "does not accept the API key" if self._has_key else "demands an API key"
            return RequestRefused(
                f"{self.address} {wants} (HTTP {status})", "set TIDEGATE_API_KEY, or api_key in the settings"
            )
        if 300 <= status < 400:
            return RequestRefused(
                f"{self.address} sends on to another address (HTTP {status})",
                "name that one; it may be the same with https",
            )
        if body is None or not isinstance(body, dict | str):
            if status == 404:
                return RequestRefused(
                    f"{self.address} has no Chat Completions (HTTP 404)", "check that the address ends in /v1"
                )
            kind = RequestRefused if 400 <= status < 500 else ModelError
            return kind(f"{self.address} answered with HTTP {status}", "see the server's log")
        error = error_in_body(body, f"the server answered with HTTP {status}")
        if isinstance(error, ContextOverflow):
            return error
        kind = RequestRefused if 400 <= status < 500 else type(error)
        return kind(error.what, error.remedy)


async def _events(pieces: AsyncIterator[bytes]) -> AsyncGenerator[str]:
    """The data of the events in `pieces`, up to the one that says it is done."""
    decoder = EventDecoder()
    async for piece in pieces:
        for data in decoder.feed(piece):
            if data.strip() == "[DONE]":
                return
            yield data


async def _whole(pieces: AsyncIterator[bytes]) -> bytes:
    answer = bytearray()
    async for piece in pieces:
        answer += piece
        if len(answer) > _LARGEST_ANSWER:
            raise GarbledReply("the server's answer has no end")
    return bytes(answer)


def _named(file: SeenFile, texts: frozenset[str]) -> dict[str, Any]:
    """A file by the hash of its text, with the text if that is among `texts`."""
    sha256 = file.sha256
    return {"paths": file.paths, "sha256": sha256, **({"text": file.text} if sha256 in texts else {})}


def _missing_texts(status: int, answer: bytes) -> frozenset[str]:
    """By their hashes, the texts that an engine of ours needs and does not have."""
    if status != 409:
        return frozenset()
    try:
        return frozenset(map(str, json.loads(answer)["missing"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return frozenset()


def _pause_wanted(response: "httpx2.Response") -> float | None:
    """The seconds after which a server that is busy may be asked again; None where that is of no use."""
    if response.status_code not in _BUSY:
        return None
    try:
        seconds = float(response.headers.get("retry-after", 0))
    except ValueError:
        seconds = 0.0  # a date, by a clock that may be another
    return seconds if 0 <= seconds <= _LONGEST_PAUSE else None


def _ready(memory: Mapping[str, Any]) -> Health:
    given_back, slots = memory.get("given_back"), memory.get("expert_slots")
    return Health(
        ready=True,
        is_short=memory.get("pressure") in ("warning", "critical"),
        given_back=frozenset(given_back) if isinstance(given_back, dict) else frozenset(),
        expert_slots=slots if isinstance(slots, int) else None,
    )


def _description(entry: dict[str, Any]) -> ModelDescription:
    """One entry of /v1/models. The context length goes by a different name on each server: `context_length`
    (ours, OpenRouter), `max_model_len` (vLLM, SGLang), `meta.n_ctx` (llama-server; older ones say only what the
    model was trained on)."""
    meta = entry.get("meta")
    lengths = (
        entry.get("context_length"),
        entry.get("max_model_len"),
        *((meta.get("n_ctx"), meta.get("n_ctx_train")) if isinstance(meta, dict) else ()),
    )
    details = entry.get("details")
    if not isinstance(entry["id"], str):
        raise TypeError("a model's id is its name")
    return ModelDescription(
        id=entry["id"],
        context_length=next((length for length in lengths if isinstance(length, int) and length > 0), None),
        keeps_prefixes=entry.get("keeps_prefixes") is True,
        details=tuple((str(name), str(value)) for name, value in details.items())
        if isinstance(details, dict)
        else (),
    )
