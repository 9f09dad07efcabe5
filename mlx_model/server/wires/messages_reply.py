"""Replies as objects and events of Anthropic Messages."""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from typing_extensions import override

from mlx_model.chat.thoughts import ReadPart, Thought
from mlx_model.chat.tools.reply_parts import CallArguments, CallOpened, VisibleText
from mlx_model.decode.request import PromptProcessed
from mlx_model.server.failures import as_anthropic
from mlx_model.server.wires.wire import Ended, Event, Piece, Writer

_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}

Thoughts = Literal["none", "shown", "omitted"]
"""Whether a thought is a block of the reply, and whether its text is."""


class MessagesWriter(Writer):
    """Writes the one reply of a response."""

    def __init__(self, model: str, prompt_tokens: int, thoughts: Thoughts = "none") -> None:
        self._model = model
        self._thoughts = thoughts
        self._prompt_tokens = prompt_tokens
        self._id = f"msg_{uuid.uuid4().hex}"
        self._blocks: list[dict[str, Any]] = []
        self._json = ""
        """The JSON text of the last block's input."""

    @override
    def opening(self) -> Iterable[Event]:
        usage = {"input_tokens": self._prompt_tokens, "output_tokens": 0}
        yield _event("message_start", message=self._message([], None, None, usage))

    @override
    def progress(self, processed: PromptProcessed) -> Iterable[Event]:
        return ()

    @override
    def piece(self, choice: int, piece: Piece) -> Iterable[Event]:
        for part in piece.parts:
            yield from self._part(part)

    @override
    def ended(self, choice: int, reply: Ended) -> Iterable[Event]:
        yield from self._closed()
        if reply.reason == "length" and self._blocks and not _is_whole(self._blocks[-1]):
            # Half a call must not look like a whole one.
            self._blocks.pop()

    @override
    def ending(self, replies: Sequence[Ended]) -> Iterable[Event]:
        (reply,) = replies
        delta = {"stop_reason": _reason(reply), "stop_sequence": reply.stop_string}
        yield _event("message_delta", delta=delta, usage=_usage(reply))
        yield _event("message_stop")

    @override
    def whole(self, replies: Sequence[Ended]) -> dict[str, Any]:
        (reply,) = replies
        return self._message(self._blocks, _reason(reply), reply.stop_string, _usage(reply))

    @override
    def failed(self, error: Mapping[str, Any]) -> Iterable[Event]:
        yield Event(as_anthropic(error), "error")

    def _part(self, part: ReadPart) -> Iterable[Event]:
        if isinstance(part, Thought):
            yield from self._thought(part.text)
        elif isinstance(part, VisibleText):
            if not self._blocks or self._blocks[-1]["type"] != "text":
                yield from self._begun({"type": "text", "text": ""})
            self._blocks[-1]["text"] += part.text
            yield self._delta({"type": "text_delta", "text": part.text})
        elif isinstance(part, CallOpened):
            yield from self._begun({"type": "tool_use", "id": part.id, "name": part.name, "input": {}})
        elif isinstance(part, CallArguments):
            self._json += part.fragment
            yield self._delta({"type": "input_json_delta", "partial_json": part.fragment})

    def _thought(self, text: str) -> Iterable[Event]:
        if self._thoughts == "none":
            return
        if not self._blocks or self._blocks[-1]["type"] != "thinking":
            yield from self._begun({"type": "thinking", "thinking": "", "signature": ""})
        if self._thoughts == "shown":
            self._blocks[-1]["thinking"] += text
            yield self._delta({"type": "thinking_delta", "thinking": text})

    def _begun(self, block: dict[str, Any]) -> Iterable[Event]:
        yield from self._closed()
        self._blocks.append(block)
        yield _event("content_block_start", index=len(self._blocks) - 1, content_block=dict(block))

    def _closed(self) -> Iterable[Event]:
        if not self._blocks:
            return
        block = self._blocks[-1]
        if block["type"] == "tool_use":
            block["input"] = _parsed(self._json)
            self._json = ""
        elif block["type"] == "thinking":
            # Some clients take a thought without one for broken.
            block["signature"] = uuid.uuid4().hex
            yield self._delta({"type": "signature_delta", "signature": block["signature"]})
        yield _event("content_block_stop", index=len(self._blocks) - 1)

    def _delta(self, delta: dict[str, Any]) -> Event:
        return _event("content_block_delta", index=len(self._blocks) - 1, delta=delta)

    def _message(
        self, content: list[dict[str, Any]], reason: str | None, stop: str | None, usage: Mapping[str, Any]
    ) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": stop,
            "usage": usage,
        }


def _event(name: str, **fields: Any) -> Event:
    return Event({"type": name, **fields}, name)


def _reason(reply: Ended) -> str:
    return "stop_sequence" if reply.stop_string is not None else _REASONS[reply.reason]


def _usage(reply: Ended) -> dict[str, Any]:
    """Anthropic's `usage`; with whether the thought was ended at its budget, and `max_tokens` where a lowered
    limit was used in place of the one asked for."""
    finished = reply.finished
    lowered = {} if reply.lowered_limit is None else {"max_tokens": reply.lowered_limit}
    return lowered | {
        "input_tokens": finished.prompt_tokens - finished.cached_tokens,
        "cache_read_input_tokens": finished.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": finished.generated_tokens,
        "output_tokens_details": {
            "thinking_tokens": reply.thought.tokens,
            **({"thinking_closed": True} if reply.thought.was_closed else {}),
        },
    }


def _parsed(text: str) -> Any:
    """The input of a call; None where its JSON text is not complete."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def _is_whole(block: Mapping[str, Any]) -> bool:
    return block["type"] != "tool_use" or block["input"] is not None
