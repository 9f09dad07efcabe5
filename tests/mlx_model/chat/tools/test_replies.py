"""A corpus of replies in which calls are meant, quoted, broken or nested: none is made up and none is lost."""

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.chat.tools.call_text import CLOSE, MARK, OPEN
from mlx_model.chat.tools.grammar import ToolGrammar
from mlx_model.chat.tools.parser import ToolCallParser
from tests.mlx_model.chat.tools.test_any_file import TOOLS as WRITING
from tests.mlx_model.chat.tools.test_tool_calls import Reply
from tests.support.weights.small_tokenizer import VOCABULARY, write_small_tokenizer

TOOLS: dict[str, Any] = {
    **WRITING,
    "read_file": {
        "type": "object",
        "properties": {"file_path": {"type": "string"}, "limit": {"type": "integer"}},
        "required": ["file_path"],
    },
    "list_files": {"type": "object", "properties": {}},
    "store": {
        "type": "object",
        "properties": {"key": {"type": "string"}, "value": {"description": "Any."}, "more": {}},
    },
}
CONTROL = {"«tool_call»": MARK + OPEN, "«/tool_call»": MARK + CLOSE}


@dataclass(frozen=True)
class Told:
    """A reply and how a reader takes it. `reply` has marks before control tokens."""

    reply: str
    text: str
    calls: list[Any]


def corpus() -> Iterator[Any]:
    written = (Path(__file__).parent / "replies.txt").read_text(encoding="utf-8")
    for entry in written.split("======== ")[1:]:
        title, _, rest = entry.partition("\n")
        reply, _, expected = rest.rpartition("\n-------- ")
        if title.endswith(" (as JSON text)"):
            reply = json.loads(reply)
        for sign, tag in CONTROL.items():
            reply = reply.replace(sign, tag)
        says = json.loads(expected)
        yield pytest.param(Told(reply, says.get("text", reply.replace(MARK, "")), says["calls"]), id=title)


ALL = list(corpus())


def taken(pieces: list[str]) -> Reply:
    parser = ToolCallParser(TOOLS, lambda: "id", exact=True)
    parts = [part for piece in pieces for part in parser.feed(piece)]
    return Reply([*parts, *parser.finish(truncated=False)])


@pytest.mark.parametrize("told", ALL)
def test_each_reply_is_taken_as_a_reader_would_take_it(told: Told) -> None:
    chance = random.Random(len(told.reply))
    reply = taken([told.reply])
    assert list(map(list, zip(reply.names, reply.arguments, strict=True))) == told.calls
    assert reply.text == told.text
    for _ in range(3):
        cuts = sorted(chance.randrange(len(told.reply) + 1) for _ in range(8))
        pieces = [told.reply[a:b] for a, b in zip([0, *cuts], [*cuts, None], strict=True)]
        assert taken(pieces) == reply
    assert taken(list(told.reply)) == reply


def test_the_corpus_is_large() -> None:
    assert len(ALL) >= 300


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.from_directory(write_small_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def test_the_grammar_holds_calls_and_leaves_quotations_alone(tokenizer: Tokenizer) -> None:
    """With tags as control tokens, what is text stays free, and what is in exact form fits."""
    grammar = ToolGrammar(tokenizer, VOCABULARY)
    held = free = 0
    for param in ALL:
        (told,) = param.values
        constraint = grammar.constraint(TOOLS)
        assert constraint is not None
        is_marked = MARK in told.reply
        if not (is_marked or not told.calls) or re.search(r"(?m)^\s*(?:> )?<tool_call> ", told.reply):
            continue
        calls = 0
        pieces = re.split(f"({MARK}</?tool_call>)", told.reply) if is_marked else [told.reply]
        for piece in pieces:
            # Where nothing is marked, every tag is a control token.
            is_control = piece.startswith(MARK) or not is_marked
            plain = piece.removeprefix(MARK)
            tokens = tokenizer.encode_marked(plain, "\0") if is_control else tokenizer.encode(plain)
            for token in tokens:
                assert constraint.mask()[token], (param.id, piece)
                was = constraint.active
                constraint.advance(token)
                calls += was and not constraint.active
        assert not constraint.active, param.id
        assert calls == len(told.calls), param.id
        held += calls
        free += not calls
    assert held > 25 and free > 60
