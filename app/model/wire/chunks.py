"""What the chunks of a Chat Completions reply mean, told apart leniently: servers differ.

Seen among servers that call themselves compatible: tool calls without index, or all at index 0; without id;
with the name repeated in every fragment; arguments as an object in place of JSON text; a usage chunk without
choices; null for absent; finish_reason "stop" after tool calls; content as a list of parts; a thought as
reasoning_content, as reasoning, or within the text (see `thoughts`).
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.model.errors import ContextOverflow, GarbledReply, ModelError, RequestRefused
from app.model.events import (
    Finished,
    FinishReason,
    PromptProgress,
    ReplyProgress,
    StreamEvent,
    ThoughtDelta,
    Timings,
    TokenChance,
    TokensChosen,
    ToolCallDelta,
)
from app.model.wire.characters import CharacterJoiner, whole_characters
from app.model.wire.overflow import is_overflow, stated_length
from app.model.wire.thoughts import ThoughtSplitter

_REASONS: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


@dataclass(slots=True)
class _OpenCall:
    index: int
    id: str
    own_id: bool
    """Whether the id is the server's, not one made here."""
    name: str = ""
    held: str = ""
    """Arguments that arrived before the name."""
    characters: CharacterJoiner = field(default_factory=CharacterJoiner)


class ReplyReader:
    """Reads one reply, chunk by chunk."""

    def __init__(self) -> None:
        self._characters = CharacterJoiner()
        self._thought_characters = CharacterJoiner()
        self._splitter = ThoughtSplitter()
        self._calls: list[_OpenCall] = []
        self._by_wire_index: dict[int, _OpenCall] = {}
        self._reason: str | None = None
        self._usage: Mapping[str, Any] = {}
        self._timings: Timings | None = None
        self.said_something = False
        """Whether any part of the reply itself has arrived."""

    @property
    def complete(self) -> bool:
        """Whether the server gave a reason for the end."""
        return self._reason is not None

    @property
    def is_in_call(self) -> bool:
        """Whether more of a tool call may come."""
        return bool(self._calls) and not self.complete

    def feed(self, data: str) -> list[StreamEvent]:
        """The events in one chunk's JSON text. Raises GarbledReply, or what an error chunk means."""
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            raise GarbledReply("the server sent something that is not JSON", _excerpt(data)) from None
        if not isinstance(chunk, dict):
            raise GarbledReply("the server sent something that is not Chat Completions", _excerpt(data))
        if chunk.get("error"):
            raise error_in_body(chunk, "the server reported an error")
        try:
            return list(self._chunk(chunk))
        except (TypeError, ValueError, OverflowError, KeyError, AttributeError, IndexError):
            raise GarbledReply(
                "the server sent something that is not Chat Completions", _excerpt(data)
            ) from None

    def finish(self) -> Finished:
        """The end of the reply, from what the chunks said. Raises GarbledReply for a call never named."""
        if any(not call.name for call in self._calls):
            raise GarbledReply("the server sent a tool call without a name")
        reason = _REASONS.get(self._reason or "", "stop")
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        details = self._usage.get("prompt_tokens_details")
        written = self._usage.get("completion_tokens_details")
        written = written if isinstance(written, dict) else {}
        return Finished(
            reason,
            prompt_tokens=_count(self._usage.get("prompt_tokens")),
            completion_tokens=_count(self._usage.get("completion_tokens")),
            cached_tokens=_count(details.get("cached_tokens")) if isinstance(details, dict) else None,
            timings=self._timings,
            reasoning_tokens=_count(written.get("reasoning_tokens", self._usage.get("reasoning_tokens"))),
            thought_was_closed=written.get("reasoning_closed") is True,
        )

    def _chunk(self, chunk: dict[str, Any]) -> Iterator[StreamEvent]:
        progress = chunk.get("prompt_progress")
        if progress:
            yield PromptProgress(
                total=int(progress["total"]),
                cached=int(progress.get("cache") or 0),
                processed=int(progress["processed"]),
                elapsed_ms=float(progress.get("time_ms") or 0.0),
            )
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        timings = chunk.get("timings")
        if isinstance(timings, dict):
            self._timings = _timings(timings)
        for choice in chunk.get("choices") or ():
            if choice.get("index"):
                continue  # one reply was asked for
            # A server that does not stream answers with the whole message.
            delta = choice.get("delta") or choice.get("message") or {}
            text = self._characters.add(_text(delta.get("content")))
            if choice.get("finish_reason"):
                text += self._characters.finish()
            thought = delta.get("reasoning_content") or delta.get("reasoning")
            if isinstance(thought, str) and (thought := self._thought_characters.add(thought)):
                self.said_something = True
                self._splitter.is_apart()
                yield ThoughtDelta(thought)
            if text:
                self.said_something = True
                yield from self._splitter.add(text)
            if doubts := choice.get("doubt"):
                yield TokensChosen(tuple(TokenChance(str(text), float(p), float(m)) for text, p, m in doubts))
            for fragment in delta.get("tool_calls") or ():
                self._splitter.is_apart()
                yield from self._splitter.finish()
                yield from self._call(fragment)
            if choice.get("finish_reason"):
                yield from self._splitter.finish()
                for call in self._calls:
                    if call.name and (rest := call.characters.finish()):
                        yield ToolCallDelta(call.index, "", "", rest)
                self.said_something = True
                self._reason = str(choice["finish_reason"])
        if self._timings is not None and isinstance(timings, dict) and not self.complete:
            yield ReplyProgress(self._timings)

    def _call(self, fragment: dict[str, Any]) -> Iterator[StreamEvent]:
        self.said_something = True
        function = fragment.get("function") or {}
        identifier = whole_characters(str(fragment.get("id") or ""))
        call = self._which_call(fragment.get("index"), identifier, bool(function.get("name")))
        arguments = function.get("arguments")
        if arguments is not None and not isinstance(arguments, str):
            arguments = json.dumps(arguments)
        arguments = call.characters.add(arguments or "")
        if call.name:
            if arguments:
                yield ToolCallDelta(call.index, "", "", arguments)
            return
        call.held += arguments
        if function.get("name"):
            call.name = whole_characters(str(function["name"]))
            yield ToolCallDelta(call.index, call.id, call.name, call.held)

    def _which_call(self, index: int | None, identifier: str, named: bool) -> _OpenCall:
        """The call a fragment belongs to: a new one when its index is new, or when a known index comes with
        another id, or when there is no index and it has an id or name of its own."""
        if index is None:
            known = next((call for call in self._calls if identifier and call.id == identifier), None)
            if known is None and not identifier and not named and self._calls:
                known = self._calls[-1]
        else:
            known = self._by_wire_index.get(int(index))
            if known is not None and known.own_id and identifier not in ("", known.id):
                known = None
        if known is None:
            # An id that another call has could not tell which of them a result belongs to.
            own = bool(identifier) and all(call.id != identifier for call in self._calls)
            known = _OpenCall(len(self._calls), identifier if own else f"call_{uuid.uuid4().hex[:12]}", own)
            self._calls.append(known)
        if index is not None:
            self._by_wire_index[int(index)] = known
        return known


def error_in_body(body: Any, what: str) -> ModelError:
    """The error that a JSON error body describes: {"error": {"message", "code"}}, {"error": text},
    {"message"} and {"detail"} are all in use."""
    error = body.get("error", body) if isinstance(body, dict) else body
    code: object = None
    message: object = error
    if isinstance(error, dict):
        code = error.get("code")
        message = error.get("message") or error.get("detail") or error
    text = message if isinstance(message, str) else json.dumps(message)
    if is_overflow(error, text):
        return ContextOverflow(what, _excerpt(text, 500), stated_length(error, text))
    refused = isinstance(code, int) and 400 <= code < 500
    return (RequestRefused if refused else ModelError)(what, _excerpt(text, 500))


def _text(content: object) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    if content is None or isinstance(content, str):
        return content or ""
    raise TypeError("content is neither text nor parts")


def _count(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _timings(wire: Mapping[str, Any]) -> Timings:
    def number(name: str) -> float:
        value = wire.get(name)
        return float(value) if isinstance(value, int | float) and abs(value) < 1e18 else 0.0

    sources = wire.get("draft_sources")
    return Timings(
        cache_n=int(number("cache_n")),
        prompt_n=int(number("prompt_n")),
        prompt_ms=number("prompt_ms"),
        prompt_per_second=number("prompt_per_second"),
        predicted_n=int(number("predicted_n")),
        predicted_ms=number("predicted_ms"),
        predicted_per_second=number("predicted_per_second"),
        draft_n=int(number("draft_n")),
        draft_n_accepted=int(number("draft_n_accepted")),
        expert_hit_rate=number("expert_hit_rate") if "expert_hit_rate" in wire else None,
        draft_sources=tuple(sources) if isinstance(sources, dict) else (),
    )


def _excerpt(text: str, length: int = 120) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[:length] + "…"
