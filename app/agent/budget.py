"""Room in the model's context: how much is used, and what to leave out before it overflows.

Compaction here asks no model: it keeps the user's words, the agent's closing words, what was done to which
files, and the latest messages whole. The journal keeps everything.
"""

import json
from collections.abc import Sequence

from app.model.messages import Message

# Below what any tokenizer of today needs for code, so that the estimate errs towards too many.
_CHARACTERS_PER_TOKEN = 3.0
FIXED_TOKENS = 1800
"""What system prompt and tools take, roughly."""
_REPLY_TOKENS = 8192
_COMPACT_ABOVE = 0.85
_KEEP_SHARE = 0.4
_MAX_WORDS = 1500


def estimate(messages: Sequence[Message]) -> int:
    """Roughly how many tokens `messages` take, rather more than less."""
    characters = sum(
        len(message.content)
        + 20
        + sum(len(call.name) + len(call.arguments) + 60 for call in message.tool_calls)
        for message in messages
    )
    return int(characters / _CHARACTERS_PER_TOKEN)


def room(context_length: int) -> int:
    """How many tokens the prompt may have at most, the reply's share taken off."""
    return context_length - min(_REPLY_TOKENS, context_length // 4)


def is_tight(tokens: int, context_length: int) -> bool:
    """Whether a prompt of `tokens` calls for compaction."""
    return tokens > room(context_length) * _COMPACT_ABOVE


def split(messages: Sequence[Message], context_length: int) -> int:
    """How many of the latest messages to keep whole: as many as take two fifths of the room.

    The first of them is a user's or the assistant's, so that no result is without its call.
    """
    allowed = room(context_length) * _KEEP_SHARE
    keep = 0
    for count in range(1, len(messages) + 1):
        if estimate(messages[-count:]) > allowed:
            break
        if messages[-count].role != "tool":
            keep = count
    return keep


def digest(messages: Sequence[Message], todos: Sequence[tuple[str, str]]) -> str:
    """What is said in place of `messages`."""
    lines = ["<context>", "Earlier parts of this conversation were left out to make room. In short:"]
    for message in messages:
        if message.role == "user":
            lines.append(f"- The user: {_words(message.content)}")
        elif message.role == "assistant":
            if message.content.strip() and not message.tool_calls:
                lines.append(f"- You: {_words(message.content)}")
            lines += [f"- You called {call.name}({_argument(call.arguments)})" for call in message.tool_calls]
    if todos:
        lines.append("Todo list: " + "; ".join(f"{content} [{status}]" for content, status in todos))
    lines += ["Read files again before you change them.", "</context>"]
    return "\n".join(lines)


def _words(content: str) -> str:
    if "In short:" not in content:
        content = content.rpartition("</context>")[2]
    content = content.strip()
    return content if len(content) <= _MAX_WORDS else f"{content[:_MAX_WORDS]} […]"


def _argument(arguments: str) -> str:
    """The telling argument of a call: its path, pattern or command."""
    try:
        given = json.loads(arguments)
    except ValueError:
        return ""
    for name in ("file_path", "command", "pattern", "path"):
        if isinstance(given, dict) and name in given:
            return str(given[name])[:200]
    return ""
