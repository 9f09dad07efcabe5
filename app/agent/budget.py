"""Room in the model's context: how much is used, and what to leave out before it overflows.

Compaction here asks no model: it keeps the user's words, the agent's closing words, what was done to which
files, and the latest messages whole. The journal keeps everything.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.model.messages import Message

# Below what any tokenizer of today needs for code, so that the estimate errs towards too many.
_CHARACTERS_PER_TOKEN = 3.0
FIXED_TOKENS = 1900
"""What system prompt and tools take, roughly."""
_REPLY_TOKENS = 8192  # tokens kept free for the reply
_COMPACT_ABOVE = 0.85  # share of the context, less the reply, at which older messages are summarized
_KEEP_SHARE = 0.4  # share of it that the messages kept whole may take
_MAX_WORDS = 1500  # characters of each of the user's messages in a summary
_MAX_DIGEST = 24_000  # characters of a summary
_MAX_FILES = 30  # files named in a summary


@dataclass(frozen=True, slots=True)
class ContextUse:
    """What the next prompt holds, in tokens as estimated here. `length` is the model's context, None where the
    server does not say; of it `reserved` are kept for the reply."""

    parts: tuple[tuple[str, int], ...]
    length: int | None
    reserved: int

    @property
    def used(self) -> int:
        """All parts together."""
        return sum(tokens for _name, tokens in self.parts)


class ContextLength:
    """How many tokens the model's context has, None while unknown: what `asked` says, or less if a refusal
    has said less."""

    def __init__(self, asked: Callable[[], int | None]) -> None:
        self._asked = asked
        self._learned: int | None = None

    def __call__(self) -> int | None:
        return min((length for length in (self._asked(), self._learned) if length is not None), default=None)

    def learn(self, refused: int, stated: int | None) -> None:
        """A prompt of about `refused` tokens was refused; its limit is the `stated` one, or else taken to be
        three quarters of it."""
        known = self()
        self._learned = stated if stated is not None and stated != known else refused * 3 // 4


def context_use(messages: Sequence[Message], length: int | None, mcp_tokens: int = 0) -> ContextUse:
    """What takes up the context; `mcp_tokens` is what the tools of MCP servers take."""
    names = {"user": "Your messages and their context", "assistant": "Replies and calls", "tool": "Results"}
    parts = [
        (name, estimate([message for message in messages if message.role == role]))
        for role, name in names.items()
    ]
    reserved = 0 if length is None else length - room(length)
    fixed = [("System prompt and tools", FIXED_TOKENS)]
    fixed += [("Tools of MCP servers", mcp_tokens)] if mcp_tokens else []
    return ContextUse((*fixed, *parts), length, reserved)


def tokens_of(characters: int) -> int:
    """An estimate of the tokens in that many characters, rather too high than too low."""
    return int(characters / _CHARACTERS_PER_TOKEN)


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


def digest_characters(context_length: int | None) -> int:
    """The longest summary of older messages: an eighth of the context."""
    return _MAX_DIGEST if context_length is None else min(_MAX_DIGEST, context_length * 3 // 8)


def digest(messages: Sequence[Message], todos: Sequence[tuple[str, str]], limit: int) -> str:
    """What is said in place of `messages`: the user's words, those that are being worked on at length, the
    agent's closing words, its calls and the files in play. Beyond `limit` characters the oldest calls go first,
    then the agent's oldest words, then the user's words are shortened."""
    entries = list(_entries(messages, max(_MAX_WORDS, limit // 2)))
    for kind in ("call", "assistant"):
        excess = sum(len(text) + 3 for _kind, text in entries) - limit
        kept = []
        for entry in entries:
            if excess > 0 and entry[0] == kind:
                excess -= len(entry[1]) + 3
            else:
                kept.append(entry)
        entries = kept
    if sum(len(text) + 3 for _kind, text in entries) > limit:
        share = max(80, limit // max(1, len(entries)))
        entries = [(kind, _shortened(text, share)) for kind, text in entries]
    lines = ["<context>", "Earlier parts of this conversation were left out to make room. In short:"]
    lines += [f"- {text}" for _kind, text in entries]
    lines += _files(messages)
    if todos:
        lines.append("Todo list: " + "; ".join(f"{content} [{status}]" for content, status in todos))
    lines += ["Read files again before you change them.", "</context>"]
    return "\n".join(lines)


def _entries(messages: Sequence[Message], most_of_last: int) -> Iterator[tuple[str, str]]:
    """A line for each that counts, of the user's last words as many as `most_of_last` characters."""
    last = max((number for number, message in enumerate(messages) if message.role == "user"), default=-1)
    for number, message in enumerate(messages):
        if message.role == "user":
            yield "user", f"The user: {_words(message.content, most_of_last if number == last else _MAX_WORDS)}"
        elif message.role == "assistant":
            if message.content.strip() and not message.tool_calls:
                yield "assistant", f"You: {_words(message.content, _MAX_WORDS)}"
            for call in message.tool_calls:
                yield "call", f"You called {call.name}({_argument(call.arguments)})"


def _files(messages: Sequence[Message]) -> list[str]:
    """The files that were read or changed last."""
    changed: dict[str, bool] = {}
    for call in (call for message in messages for call in message.tool_calls):
        path = _given(call.arguments).get("file_path")
        if isinstance(path, str):
            changed[path] = changed.pop(path, False) or call.name in ("edit", "write_file")
    named = [f"{path} (changed)" if was_changed else path for path, was_changed in changed.items()]
    return [f"Files in play: {', '.join(named[-_MAX_FILES:])}"] if named else []


def _words(content: str, limit: int) -> str:
    """What the user wrote, which may itself speak of a context, less the block in front of it."""
    if content.startswith("<context>\n"):
        content = content.partition("\n</context>\n")[2]
    return _shortened(content.strip(), limit)


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]} […]"


def _argument(arguments: str) -> str:
    """The telling argument of a call: its path, pattern or command."""
    given = _given(arguments)
    return next(
        (
            str(given[name])[:200]
            for name in ("file_path", "command", "pattern", "path", "prompt")
            if name in given
        ),
        "",
    )


def _given(arguments: str) -> Mapping[str, Any]:
    try:
        given = json.loads(arguments)
    except (ValueError, RecursionError):
        return {}
    return given if isinstance(given, dict) else {}
