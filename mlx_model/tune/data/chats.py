"""Conversations as texts to train on."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlx_model.chat.prompt import PromptEncoder
from mlx_model.errors import RequestError
from mlx_model.tune.data.texts import Text

Chat = Mapping[str, Any]
"""`messages` as on the wire, and perhaps `tools`."""


def read_chats(file: Path) -> list[Chat]:
    """The chats of a file of JSON lines. Raises RequestError."""
    chats = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{file} cannot be read as text: {error}.") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            chat = json.loads(line)
            if not any(message["role"] == "assistant" for message in chat["messages"]):
                raise ValueError("it has no message of the assistant")
        except (ValueError, KeyError, TypeError) as error:
            raise RequestError(f"{file}, line {number} is no chat with `messages`: {error}.") from None
        chats.append(chat)
    if not chats:
        raise RequestError(f"{file} holds no chat.")
    return chats


def encode_chat(encoder: PromptEncoder, chat: Chat, length: int, *, everything: bool = False) -> list[Text]:
    """A chat as texts of at most `length` tokens, in which the assistant's replies count, with the token that
    ends each; or, with `everything`, all tokens.

    A longer chat is cut; parts in which nothing counts are dropped. Where the template writes a reply otherwise
    once more follows (it may leave out thoughts), each reply is a text of its own. Raises TemplateError.
    """
    messages, tools = arguments_read(chat["messages"]), chat.get("tools") or ()
    whole: list[int] = []
    counted: list[bool] = []
    texts: list[Text] = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        prompt = list(encoder.encode(messages[:index], tools).tokens)
        reply = list(encoder.encode(messages[: index + 1], tools).tokens[len(prompt) :])
        stops = encoder.tokenizer.stop_tokens
        end = next((at + 1 for at, token in enumerate(reply) if token in stops), len(reply))
        if whole and prompt[: len(whole)] != whole:
            texts += _cut(whole, counted, length)
            whole, counted = [], []
        counted += [everything] * (len(prompt) - len(whole)) + [True] * end
        whole = prompt + reply[:end]
    return texts + _cut(whole, counted, length)


def _cut(tokens: Sequence[int], counted: Sequence[bool], length: int) -> list[Text]:
    texts = []
    for start in range(0, len(tokens), length):
        part = slice(start, start + length)
        text = Text(np.array(tokens[part], np.uint32), np.array(counted[part], np.bool_))
        if text.count:
            texts.append(text)
    return texts


def arguments_read(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages with the arguments of tool calls as mappings, which the wire has as JSON text. Raises
    RequestError."""
    read = []
    for message in messages:
        own = dict(message)
        calls = own.get("tool_calls")
        if calls:
            own["tool_calls"] = [_call_read(call) for call in calls]
        read.append(own)
    return read


def _call_read(call: Mapping[str, Any]) -> dict[str, Any]:
    function = dict(call.get("function", call))
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            function["arguments"] = json.loads(arguments or "{}")
        except ValueError:
            raise RequestError(f"The arguments of a call of {function.get('name')} are no JSON.") from None
    return {**call, "function": function}
