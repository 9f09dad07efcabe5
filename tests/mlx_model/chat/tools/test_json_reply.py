"""Replies that are held to JSON, and replies that have to begin with a call: whatever is sampled."""

import json
import random
from typing import Any

import numpy as np
import pytest

from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.chat.tools.grammar import ToolGrammar
from mlx_model.errors import RequestError
from tests.support.weights.small_tokenizer import VOCABULARY, write_small_tokenizer

SCHEMA: Any = {
    "type": "object",
    "properties": {"mode": {"enum": ["a", "b"]}, "whole": {"type": "boolean"}},
    "required": ["mode", "whole"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.from_directory(write_small_tokenizer(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(scope="module")
def grammar(tokenizer: Tokenizer) -> ToolGrammar:
    return ToolGrammar(tokenizer, VOCABULARY)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_sampled_is_a_value_of_the_schema(
    grammar: ToolGrammar, tokenizer: Tokenizer, seed: int
) -> None:
    chance, constraint = random.Random(seed), grammar.json_reply(SCHEMA, strict=True)()
    written: list[int] = []
    while not written or written[-1] not in tokenizer.stop_tokens:
        token = chance.choice(np.flatnonzero(constraint.mask()).tolist())
        assert constraint.check([token])[0] == 1
        constraint.advance(token)
        written.append(token)
    value = json.loads(b"".join(map(tokenizer.bytes_of, written[:-1])))
    assert value.keys() == {"mode", "whole"} and value["mode"] in "ab" and isinstance(value["whole"], bool)


@pytest.mark.parametrize(
    "beyond",
    (
        {"type": "array", "uniqueItems": True},
        # These the grammar takes and does not enforce.
        {"type": "object", "minProperties": 2},
        {"type": "string", "contentEncoding": "base64"},
        {"anyOf": [{"type": "integer", "divisibleBy": 3}]},
        {"type": "string", "maxLength": 524_288},
    ),
)
def test_a_schema_beyond_the_grammar_is_refused_only_where_it_is_strict(
    grammar: ToolGrammar, beyond: dict[str, Any]
) -> None:
    schema = {"type": "object", "properties": {"a": beyond}, "title": "T"}
    grammar.json_reply(schema, strict=False)
    with pytest.raises(RequestError, match="response_format: no grammar can hold"):
        grammar.json_reply(schema, strict=True)


def test_a_required_call_comes_first(grammar: ToolGrammar, tokenizer: Tokenizer) -> None:
    constraint = grammar.constraint({"list": {}}, required=True)
    assert constraint is not None and constraint.active
    opening = tokenizer.control_tokens["<tool_call>"]
    assert np.flatnonzero(constraint.mask()).tolist() == [opening]
    written = tokenizer.encode_marked("<tool_call>\n<function=list>\n</function>\n</tool_call>", "\0")
    assert constraint.check(written)[0] == len(written) and constraint.check([opening + 1])[0] == 0
    for token in written:
        constraint.advance(token)
    assert not constraint.active
