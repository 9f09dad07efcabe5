"""Replies as JSON objects of OpenAI Chat Completions."""

import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from mlx_model.chat.thoughts import ReadPart, Thought
from mlx_model.chat.tools.reply_parts import CallArguments, CallOpened, VisibleText
from mlx_model.decode.request import GenerationCosts, PromptProcessed
from mlx_model.decode.timings import timings
from mlx_model.server.wires.wire import Ended, Event, FinishReason, Piece, ReadToken, Writer

DONE = Event("[DONE]")
"""The last event of a stream."""


def usage(replies: Sequence[Ended], choices: int = 1) -> dict[str, Any]:
    """OpenAI's `usage`: tokens of the prompts, each of which has so many `choices`, and of the replies; prompt
    tokens found in the cache for the first choice; tokens of thoughts, and whether one was ended at its budget;
    and `max_tokens` where a lowered limit was used in place of the one asked for."""
    finished = [reply.finished for reply in replies]
    lowered = [reply.lowered_limit for reply in replies if reply.lowered_limit is not None]
    prompt = sum(one.prompt_tokens for one in finished[::choices])
    generated = sum(one.generated_tokens for one in finished)
    return ({"max_tokens": min(lowered)} if lowered else {}) | {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
        "prompt_tokens_details": {"cached_tokens": sum(one.cached_tokens for one in finished[::choices])},
        "completion_tokens_details": {
            "reasoning_tokens": sum(reply.thought.tokens for reply in replies),
            **({"reasoning_closed": True} if any(reply.thought.was_closed for reply in replies) else {}),
        },
    }


def token_logprobs(token: ReadToken) -> dict[str, Any]:
    """A token's log-probabilities in the form of Chat Completions and Responses."""
    top = [_named(text, logprob) for text, logprob in token.top]
    return _named(token.text, token.logprobs.logprob) | {"top_logprobs": top}


def as_text(token: bytes) -> str:
    """A token's bytes as text; U+FFFD where it is part of a character."""
    return token.decode(errors="replace")


def _named(text: bytes, logprob: float) -> dict[str, Any]:
    return {"token": as_text(text), "logprob": logprob, "bytes": list(text)}


@dataclass(frozen=True, slots=True)
class ChunkOptions:
    """What the request wants beside the reply: how many choices, and which fields."""

    choices: int = 1
    usage: bool = False
    progress: bool = False
    timings_per_token: bool = False
    logprobs: bool = False


class ChatWriter(Writer):
    """Writes the choices of one response."""

    def __init__(self, model: str, options: ChunkOptions | None = None) -> None:
        self._model = model
        self._options = options or ChunkOptions()
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        # By choice: the tokens of no chunk yet, and all of them.
        self._waiting: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        self._tokens: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        self._doubts: defaultdict[int, list[list[str | float]]] = defaultdict(list)

    @override
    def opening(self) -> Iterable[Event]:
        for choice in range(self._options.choices):
            yield Event(self._chunk(choice, {"role": "assistant", "content": ""}))

    @override
    def progress(self, processed: PromptProcessed) -> Iterable[Event]:
        if self._options.progress:
            yield Event(
                self._chunk(0, {})
                | {
                    "prompt_progress": {
                        "total": processed.total,
                        "cache": processed.cached,
                        "processed": processed.processed,
                        "time_ms": processed.elapsed_ms,
                    }
                }
            )

    @override
    def piece(self, choice: int, piece: Piece) -> Iterable[Event]:
        if piece.token is not None:
            self._waiting[choice].append(token_logprobs(piece.token))
        if piece.doubt is not None:
            self._doubts[choice].append(
                [piece.doubt.text, round(piece.doubt.probability, 4), round(piece.doubt.margin, 4)]
            )
        costs = piece.costs if self._options.timings_per_token else None
        for part in piece.parts:
            yield Event(self.part(part, costs, choice))
        if not piece.parts and costs is not None:
            yield Event(self._chunk(choice, {}) | {"timings": timings(costs)})

    def part(self, part: ReadPart, costs: GenerationCosts | None = None, choice: int = 0) -> dict[str, Any]:
        """A chunk with a part of the reply and, given `costs`, its `timings` so far."""
        delta: dict[str, Any]
        match part:
            case VisibleText(text):
                delta = {"content": text}
            case Thought(text):
                delta = {"reasoning_content": text}
            case CallOpened(index, identifier, name):
                function = {"name": name, "arguments": ""}
                call = {"index": index, "id": identifier, "type": "function", "function": function}
                delta = {"tool_calls": [call]}
            case CallArguments(index, fragment):
                delta = {"tool_calls": [{"index": index, "function": {"arguments": fragment}}]}
        chunk = self._chunk(choice, delta)
        return chunk if costs is None else chunk | {"timings": timings(costs)}

    @override
    def ended(self, choice: int, reply: Ended) -> Iterable[Event]:
        chunk = self._chunk(choice, {}, reply.reason)
        if not self._options.usage:
            chunk["timings"] = timings(reply.finished)
        yield Event(chunk)

    @override
    def ending(self, replies: Sequence[Ended]) -> Iterable[Event]:
        if self._options.usage:
            yield Event(
                self._object("chat.completion.chunk", [])
                | {"usage": usage(replies, len(replies)), "timings": timings(replies[0].finished)}
            )
        yield DONE

    @override
    def whole(self, replies: Sequence[Ended]) -> dict[str, Any]:
        choices = [
            {
                "index": choice,
                "message": reply.message,
                "logprobs": self._logprobs(self._tokens[choice] + self._waiting[choice]),
                "finish_reason": reply.reason,
            }
            for choice, reply in enumerate(replies)
        ]
        return self._object("chat.completion", choices) | {
            "usage": usage(replies, len(replies)),
            "timings": timings(replies[0].finished),
        }

    @override
    def failed(self, error: Mapping[str, Any]) -> Iterable[Event]:
        yield Event(error)

    def _chunk(self, choice: int, delta: dict[str, Any], reason: FinishReason | None = None) -> dict[str, Any]:
        tokens: list[dict[str, Any]] = []
        if delta or reason is not None:
            tokens = self._waiting.pop(choice, [])
            self._tokens[choice] += tokens
        state = {"index": choice, "delta": delta, "logprobs": None, "finish_reason": reason}
        if tokens:
            state["logprobs"] = self._logprobs(tokens)
        if (delta or reason is not None) and (doubts := self._doubts.pop(choice, None)):
            state["doubt"] = doubts
        return self._object("chat.completion.chunk", [state])

    def _logprobs(self, tokens: list[dict[str, Any]]) -> dict[str, Any] | None:
        return {"content": tokens, "refusal": None} if self._options.logprobs else None

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }
