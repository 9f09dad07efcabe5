"""A reply that comes back as text is encoded as the tokens it was generated as."""

import json
import logging
import random
import shutil
import sqlite3
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_model.chat.prompt import PromptEncoder
from mlx_model.chat.remembered import RememberedReplies
from tests.support.weights.small_tokenizer import write_small_tokenizer

SYSTEM = {"role": "system", "content": "You are a coding agent."}
USER = {"role": "user", "content": "Read the file, please."}
CALL: dict[str, Any] = {
    "role": "assistant",
    "content": "I will read it.\n\n",
    "tool_calls": [
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "read_file", "arguments": {"limit": 3.0, "a": "b"}},
        }
    ],
}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "line one\nline two"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_tokenizer(tmp_path_factory.mktemp("tokenizer"))


once_read = cache(PromptEncoder.from_directory)


def spelled_out(encoder: PromptEncoder, text: str, *, closed: bool = True) -> tuple[int, ...]:
    """The tokens of a text byte by byte: never what encoding it gives."""
    table = {encoder.tokenizer.bytes_of(token): token for token in range(300)}
    tokens = tuple(table[bytes([byte])] for byte in text.encode())
    return (*tokens, encoder.tokenizer.control_tokens["<|im_end|>"]) if closed else tokens


def decoded(encoder: PromptEncoder, tokens: tuple[int, ...]) -> str:
    return b"".join(encoder.tokenizer.bytes_of(token) for token in tokens).decode()


def test_text_and_tool_calls_extend_exactly_what_was_computed(directory: Path) -> None:
    encoder = PromptEncoder.from_directory(directory)
    history: list[dict[str, Any]] = [SYSTEM, USER]
    computed: tuple[int, ...] = ()
    replies = [
        (CALL, "I will read it.\n\n<tool_call>\n<function=read_file>...</function>\n</tool_call>"),
        ({"role": "assistant", "content": "  It has two lines.\n"}, "  It has two lines.\n"),
        ({"role": "assistant", "content": "Done."}, "Done."),
    ]
    for message, text in replies:
        prompt = encoder.encode(history).tokens
        assert prompt[: len(computed)] == computed
        tokens = spelled_out(encoder, text)
        encoder.remember(prompt, message, tokens)
        computed = prompt + tokens
        history += [message, RESULT if message is CALL else USER]
    assert encoder.encode(history).tokens[: len(computed)] == computed


@pytest.mark.parametrize(
    "changed",
    [
        {**CALL, "content": "I will read it."},
        {**CALL, "tool_calls": [{**CALL["tool_calls"][0], "id": "another"}]},
        {**CALL, "tool_calls": [{"function": {"name": "read_file", "arguments": {"a": "b", "limit": 3}}}]},
    ],
    ids=["trimmed", "another id", "arguments reordered and 3.0 as 3"],
)
def test_a_clients_ways_with_a_message_do_not_matter(directory: Path, changed: dict[str, Any]) -> None:
    encoder = PromptEncoder.from_directory(directory)
    prompt = encoder.encode([SYSTEM, USER]).tokens
    tokens = spelled_out(encoder, "whatever it was")
    encoder.remember(prompt, CALL, tokens)
    assert encoder.encode([SYSTEM, USER, changed, RESULT]).tokens[len(prompt) :][: len(tokens)] == tokens


def test_arguments_may_be_given_as_the_wire_has_them() -> None:
    replies = RememberedReplies()
    function = CALL["tool_calls"][0]["function"]
    as_text = {
        **CALL,
        "tool_calls": [{"function": {**function, "arguments": json.dumps(function["arguments"])}}],
    }
    replies.remember(b"", as_text, (1, 2, 3))
    assert replies.find(b"", CALL) == (1, 2, 3)


def test_another_reply_or_another_past_is_encoded_from_its_text(directory: Path) -> None:
    encoder, fresh = PromptEncoder.from_directory(directory), PromptEncoder.from_directory(directory)
    prompt = encoder.encode([SYSTEM, USER]).tokens
    encoder.remember(prompt, {"role": "assistant", "content": "Yes."}, spelled_out(encoder, "Yes."))
    for conversation in (
        [SYSTEM, USER, {"role": "assistant", "content": "No."}, USER],
        [SYSTEM, RESULT, {"role": "assistant", "content": "Yes."}, USER],
    ):
        assert encoder.encode(conversation) == fresh.encode(conversation)


def test_a_reply_cut_short_is_closed(directory: Path) -> None:
    encoder = PromptEncoder.from_directory(directory)
    prompt = encoder.encode([SYSTEM, USER]).tokens
    tokens = spelled_out(encoder, "I will rea", closed=False)
    message = {"role": "assistant", "content": "I will rea"}
    encoder.remember(prompt, message, tokens)
    again = encoder.encode([SYSTEM, USER, message, USER])
    assert again.tokens[: len(prompt) + len(tokens)] == prompt + tokens
    assert again.tokens[len(prompt) + len(tokens)] == encoder.tokenizer.control_tokens["<|im_end|>"]
    assert decoded(encoder, again.tokens) == decoded(
        encoder, encoder.encode([SYSTEM, USER, message, USER]).tokens
    )


texts = st.text(alphabet="ab \n<|im_end>/", max_size=12) | st.sampled_from(
    ["<|im_end|>", "<|im_start|>assistant\n"]
)
messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": texts}), max_size=6
)


@given(messages, st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_remembering_changes_tokens_but_never_the_text(
    directory: Path, conversation: list[dict[str, Any]], choice: random.Random
) -> None:
    read = once_read(directory)
    plain, encoder = (PromptEncoder(read.tokenizer, read.template) for _ in range(2))
    whole = encoder.encode([SYSTEM, *conversation])
    assert whole.tokens == plain.encode([SYSTEM, *conversation]).tokens
    for at, message in enumerate(conversation):
        if message["role"] == "assistant" and choice.random() < 0.7:
            prompt = encoder.encode([SYSTEM, *conversation[:at]]).tokens
            encoder.remember(prompt, message, spelled_out(encoder, message["content"]))
    assert decoded(encoder, encoder.encode([SYSTEM, *conversation]).tokens) == decoded(plain, whole.tokens)


def test_clearing_the_cache_under_a_running_engine_loses_only_what_was_cleared(tmp_path: Path) -> None:
    path = tmp_path / "model" / "replies.sqlite"
    message = {"role": "assistant", "content": "Yes."}
    replies = RememberedReplies(path)
    replies.remember(b"before", message, (1, 2))
    shutil.rmtree(path.parent)
    replies.remember(b"after", message, (3, 4))
    other = RememberedReplies(path)
    assert other.find(b"before", message) is None
    assert other.find(b"after", message) == (3, 4)
    assert replies.find(b"before", message) == (1, 2), "memory still serves"
    other.close()
    replies.close()


def test_replies_outlive_the_process_and_a_damaged_database_does_not_matter(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "replies.sqlite"
    message = {"role": "assistant", "content": "Yes."}
    replies = RememberedReplies(path)
    for number in range(200):
        replies.remember(bytes([number]), message, range(number, number + 50))
    other = RememberedReplies(path)
    assert other.find(bytes([7]), message) == tuple(range(7, 57))
    other.close()
    replies.close()
    with sqlite3.connect(path) as database:
        database.execute("UPDATE replies SET tokens = zeroblob(8)")
    database.close()
    replies = RememberedReplies(path)
    assert replies.find(bytes([7]), message) is None
    replies.close()
    data = bytearray(path.read_bytes())
    for place in range(0, len(data), 97):
        data[place] ^= 0x55
    path.write_bytes(data)
    caplog.clear()
    replies = RememberedReplies(path)
    assert replies.find(bytes([7]), message) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    replies.remember(b"new", message, (1, 2))
    replies.close()
    again = RememberedReplies(path)
    assert again.find(b"new", message) == (1, 2)
    again.close()
