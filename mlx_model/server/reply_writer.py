"""A reply as the JSON objects of the wire."""

import time
import uuid
from collections.abc import Mapping
from typing import Any, Literal

from mlx_model.chat.tools.parser import CallArguments, CallOpened, ReplyPart, VisibleText
from mlx_model.decode.request import GenerationCosts, GenerationFinished, PromptProcessed
from mlx_model.decode.timings import timings

FinishReason = Literal["stop", "length", "tool_calls"]


def usage(finished: GenerationFinished) -> dict[str, Any]:
    """Tokens of prompt and reply, and how many came out of the cache."""
    return {
        "prompt_tokens": finished.prompt_tokens,
        "completion_tokens": finished.generated_tokens,
        "total_tokens": finished.prompt_tokens + finished.generated_tokens,
        "prompt_tokens_details": {"cached_tokens": finished.cached_tokens},
    }


class ReplyWriter:
    """The JSON objects that one reply is made of."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())

    def opening(self) -> dict[str, Any]:
        """The first chunk."""
        return self._chunk({"role": "assistant", "content": ""})

    def progress(self, processed: PromptProcessed) -> dict[str, Any]:
        """How far the prompt is processed."""
        return self._chunk({}) | {
            "prompt_progress": {
                "total": processed.total,
                "cache": processed.cached,
                "processed": processed.processed,
                "time_ms": processed.elapsed_ms,
            }
        }

    def part(self, part: ReplyPart, costs: GenerationCosts | None = None) -> dict[str, Any]:
        """More of the reply, with what it has cost so far where that is wanted."""
        delta: dict[str, Any]
        match part:
            case VisibleText(text):
                delta = {"content": text}
            case CallOpened(index, identifier, name):
                function = {"name": name, "arguments": ""}
                call = {"index": index, "id": identifier, "type": "function", "function": function}
                delta = {"tool_calls": [call]}
            case CallArguments(index, fragment):
                delta = {"tool_calls": [{"index": index, "function": {"arguments": fragment}}]}
        chunk = self._chunk(delta)
        return chunk if costs is None else chunk | {"timings": timings(costs)}

    def costs(self, costs: GenerationCosts) -> dict[str, Any]:
        """The reply goes on, but there is nothing to show yet."""
        return self._chunk({}) | {"timings": timings(costs)}

    def ending(
        self, reason: FinishReason, finished: GenerationFinished, include_usage: bool
    ) -> list[dict[str, Any]]:
        """The last chunks: why it ended and, if wanted, its usage."""
        last = self._chunk({}, reason)
        chunks = [last]
        if include_usage:
            chunks.append(last | {"choices": [], "usage": usage(finished)})
        chunks[-1]["timings"] = timings(finished)
        return chunks

    def whole(
        self, message: Mapping[str, Any], reason: FinishReason, finished: GenerationFinished
    ) -> dict[str, Any]:
        """The reply to a request that does not stream."""
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        return self._object("chat.completion", [choice]) | {
            "usage": usage(finished),
            "timings": timings(finished),
        }

    def _chunk(self, delta: dict[str, Any], reason: FinishReason | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return self._object("chat.completion.chunk", [choice])

    def _object(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }
