"""Refusals because a prompt is longer than the context, in the words of each server.

OpenAI, OpenRouter, vLLM, SGLang, llama-server, Ollama, LM Studio and Anthropic each have their own; the tests
hold an example of each.
"""

import re
from collections.abc import Mapping

_CODES = ("context_length_exceeded", "exceed_context_size_error")
_WORDS = re.compile(
    r"context (?:length|size|window)|maximum (?:model|context|prompt) length|prompt is too long|"
    r"context the overflows|too many (?:input )?tokens",
    re.IGNORECASE,
)
_EXCEEDING = re.compile(
    r"exceed|longer than|too (?:long|large|many)|maximum|greater than|not enough|overflow", re.IGNORECASE
)
_LIMITS = (
    re.compile(r"(?:context|model|prompt) (?:length|size|window)(?: of| is)?(?: only)? \(?(\d[\d,]*)", re.I),
    re.compile(r"> (\d[\d,]*) maximum"),
)


def is_overflow(error: object, text: str) -> bool:
    """Whether a server's `error`, whose message is `text`, says that the prompt does not fit."""
    if isinstance(error, Mapping) and any(error.get(key) in _CODES for key in ("code", "type")):
        return True
    return bool(_WORDS.search(text) and _EXCEEDING.search(text))


def stated_length(error: object, text: str) -> int | None:
    """The context's length in tokens, where the refusal states it."""
    if isinstance(error, Mapping) and isinstance(length := error.get("n_ctx"), int):
        return length
    for pattern in _LIMITS:
        if found := pattern.search(text):
            return int(found[1].replace(",", "")) or None
    return None
