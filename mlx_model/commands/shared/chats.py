"""Recorded chats as what a measurement reads: --chats."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlx_model.chat.prompt import PromptEncoder
from mlx_model.errors import RequestError


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat as the checkpoint's template writes it, and the longest reply in it with all that precedes it."""

    tokens: tuple[int, ...]
    prompt: tuple[int, ...]
    reply: tuple[int, ...]


def add_chats(parser: argparse._ActionsContainer) -> None:
    """--chats."""
    parser.add_argument(
        "--chats",
        type=Path,
        metavar="F",
        help="JSON lines, each with the `messages` of a chat as on the wire; practice sessions come from "
        "`python -m app.practice.transcripts --split test`",
    )


def read_chats(file: Path, directory: Path) -> list[Chat]:
    """The chats of a file for the checkpoint in `directory`. Raises RequestError, CheckpointError,
    TemplateError."""
    encoder = PromptEncoder.from_directory(directory)
    return [_chat(encoder, messages) for messages in read_messages(file)]


def read_messages(file: Path) -> list[list[dict[str, object]]]:
    """The messages of each chat of a file. Raises RequestError."""
    try:
        chats = [json.loads(line)["messages"] for line in file.read_text(encoding="utf-8").splitlines()]
        for messages in chats:
            if not any(message["role"] == "assistant" for message in messages):
                raise ValueError("a chat has no reply")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(f"{file} cannot be read as chats, one a line: {error}.") from None
    if not chats:
        raise RequestError(f"{file} holds no chat.")
    return chats


def joined_chats(file: Path, directory: Path) -> tuple[int, ...]:
    """The tokens of all chats, one after the other; raises as `read_chats`."""
    return tuple(token for chat in read_chats(file, directory) for token in chat.tokens)


def _chat(encoder: PromptEncoder, messages: Sequence[dict[str, object]]) -> Chat:
    replies = []
    for index, message in enumerate(messages):
        if message["role"] == "assistant":
            prompt = encoder.encode(messages[:index]).tokens
            reply = encoder.encode(messages[: index + 1]).tokens[len(prompt) :]
            stops = encoder.tokenizer.stop_tokens
            end = next((at + 1 for at, token in enumerate(reply) if token in stops), len(reply))
            replies.append((prompt, reply[:end]))
    return Chat(encoder.encode(messages).tokens, *max(replies, key=lambda pair: len(pair[1])))
