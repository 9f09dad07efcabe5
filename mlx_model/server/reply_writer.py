"""A reply as JSON objects in OpenAI's form."""

import time
import uuid
from collections.abc import Mapping
from typing import Any, Literal

from mlx_model.chat.tools.parser import CallArguments, CallOpened, ReplyPart, VisibleText
from mlx_model.decode.request import GenerationCosts, GenerationFinished, PromptProcessed
from mlx_model.decode.timings import timings

FinishReason = Literal["stop", "length", "tool_calls"]


def usage(finished: GenerationFinished, lowered_limit: int | None = None) -> dict[str, Any]:
    """OpenAI's `usage`: tokens of prompt and reply, and prompt tokens found in the cache; and `max_tokens`
    where a `lowered_limit` was used in place of the one asked for."""
    lowered = {} if lowered_limit is None else {"max_tokens": lowered_limit}
    return lowered | {
        "prompt_tokens": finished.prompt_tokens,
        "completion_tokens": finished.generated_tokens,
        "total_tokens": finished.prompt_tokens + finished.generated_tokens,
        "prompt_tokens_details": {"cached_tokens": finished.cached_tokens},
    }


class ReplyWriter:
    """Makes the JSON objects of one reply."""

    def __init__(self, model: str, lowered_limit: int | None = None) -> None:
        """`lowered_limit` as for `usage`."""
        self._model = model
        self._lowered_limit = lowered_limit
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())

    def opening(self) -> dict[str, Any]:
        """The first chunk."""
        return self._chunk({"role": "assistant", "content": ""})

    def progress(self, processed: PromptProcessed) -> dict[str, Any]:
        """A chunk with llama.cpp's `prompt_progress`."""
        return self._chunk({}) | {
            "prompt_progress": {
                "total": processed.total,
                "cache": processed.cached,
                "processed": processed.processed,
                "time_ms": processed.elapsed_ms,
            }
        }

    def part(self, part: ReplyPart, costs: GenerationCosts | None = None) -> dict[str, Any]:
        """A chunk with a part of the reply and, given `costs`, its `timings` so far."""
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
        """A chunk with `timings` only, for a token that completes no part."""
        return self._chunk({}) | {"timings": timings(costs)}

    def ending(
        self, reason: FinishReason, finished: GenerationFinished, include_usage: bool
    ) -> list[dict[str, Any]]:
        """The last chunks: the finish reason and, if wanted, the usage; the last one with `timings`."""
        last = self._chunk({}, reason)
        chunks = [last]
        if include_usage:
            chunks.append(last | {"choices": [], "usage": usage(finished, self._lowered_limit)})
        chunks[-1]["timings"] = timings(finished)
        return chunks

    def whole(
        self, message: Mapping[str, Any], reason: FinishReason, finished: GenerationFinished
    ) -> dict[str, Any]:
        """The whole response to a request that does not stream."""
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}
        return self._object("chat.completion", [choice]) | {
            "usage": usage(finished, self._lowered_limit),
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
