"""Whatever a model wants to write it can: the grammar admits every content, and the parser gives it back byte
for byte."""

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest

from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.chat.tools.call_text import CLOSE, MARK, OPEN
from mlx_model.chat.tools.grammar import ToolGrammar
from mlx_model.chat.tools.parser import ToolCallParser
from mlx_model.chat.tools.reply_parts import CallArguments, CallOpened, VisibleText
from tests.support.weights.small_tokenizer import VOCABULARY, write_small_tokenizer

TOOLS: dict[str, Any] = {
    "write_file": {
        "type": "object",
        "properties": {"file_path": {"type": "string"}, "content": {"type": "string"}},
        "required": ["file_path", "content"],
    },
    "edit": {
        "type": "object",
        "properties": {
            "file_path": {"type": "string"},
            "old_string": {"type": "string"},
            "new_string": {"type": "string"},
            "replace_all": {"type": "boolean"},
            "anything": {},
        },
        "required": ["file_path", "old_string", "new_string"],
    },
}
EXAMPLE = (
    "<tool_call>\n<function=edit>\n<parameter=file_path>\na.py\n</parameter>\n<parameter=old_string>\nx\n"
    "</parameter>\n<parameter=new_string>\ny\n</parameter>\n</function>\n</tool_call>"
)
PIECES = (
    *("<tool_call>", "</tool_call>", "<function=edit>", "<function=write_file>", "</function>", "</parameter>"),
    *("<parameter=content>", "<parameter=file_path>", "<parameter=replace_all>", "<parameter=x>", "<|im_end|>"),
    *(
        "\n",
        "\n",
        "\n\n",
        "\r\n",
        " ",
        "  ",
        "\t",
        "`",
        "```\n",
        "x = 1",
        "é✓🙂",
        '{"a": [1]}',
        "\\n",
        "\0",
        "<",
    ),
    *("\n</parameter>\n", "\n</parameter>\n</function>\n</tool_call>", "\n<parameter=new_string>\n", EXAMPLE),
    *(
        "\n</parameter>\n</function>\n",
        "</para",
        "\n<parameter=",
        "<tool_call",
        "[{",
        "true",
        "\ufffd",
        "\u2028",
    ),
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.from_directory(write_small_tokenizer(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(scope="module")
def grammar(tokenizer: Tokenizer) -> ToolGrammar:
    return ToolGrammar(tokenizer, VOCABULARY)


def content(chance: random.Random) -> str:
    return "".join(chance.choice(PIECES) for _ in range(chance.randrange(12)))


def as_parameters(tool: str, values: dict[str, str]) -> str:
    written = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in values.items())
    return f"\n<function={tool}>\n{written}</function>\n"


def as_json(tool: str, values: dict[str, str]) -> str:
    return f"\n<function={tool}>\n{json.dumps(values, ensure_ascii=False)}\n</function>\n"


def tokens_of(tokenizer: Tokenizer, body: str, values: Sequence[str], chance: random.Random) -> list[int]:
    """A call's tokens: those of its whole text, or of values and of what is between them each by itself. Text
    never becomes a control token."""
    pieces = [body]
    if chance.random() < 0.5:
        for value in values:
            if value:
                before, value_itself, after = pieces.pop().partition(value)
                pieces += [before, value_itself, after]
    control = tokenizer.control_tokens
    spelled = (token for piece in pieces for token in tokenizer.encode(piece))
    return [control[OPEN], *spelled, control[CLOSE]]


def admitted(grammar: ToolGrammar, tokens: Sequence[int]) -> bool:
    constraint = grammar.constraint(TOOLS)
    assert constraint is not None
    for token in tokens:
        if not constraint.mask()[token]:
            return False
        constraint.advance(token)
    return not constraint.active


def read(tokenizer: Tokenizer, tokens: Sequence[int]) -> tuple[list[str], list[Any]]:
    """Names and arguments of the calls that the reply with these tokens makes, which has nothing else."""
    parser = ToolCallParser(TOOLS, exact=True)
    control = {tokenizer.control_tokens[tag]: tag for tag in (OPEN, CLOSE)}
    parts, held = [], b""
    for token in tokens:
        if token in control:
            parts += parser.feed(MARK + control[token])
            continue
        held += tokenizer.bytes_of(token)
        try:
            parts += parser.feed(held.decode())
        except UnicodeDecodeError:
            continue
        held = b""
    parts += parser.finish(truncated=False)
    assert not [part for part in parts if isinstance(part, VisibleText)]
    names = [part.name for part in parts if isinstance(part, CallOpened)]
    raw = ["" for _ in names]
    for part in parts:
        if isinstance(part, CallArguments):
            raw[part.index] += part.fragment
    return names, [json.loads(text) for text in raw]


def write(grammar: ToolGrammar, tokenizer: Tokenizer, seed: int) -> bool:
    """Writes random content in the usual form if the grammar takes it so, else as JSON; whether the former."""
    chance = random.Random(seed)
    if chance.random() < 0.5:
        tool, values = "write_file", {"file_path": "a.py", "content": content(chance)}
    else:
        tool, values = "edit", {"file_path": "b", "old_string": content(chance), "new_string": content(chance)}
    tokens = tokens_of(tokenizer, as_parameters(tool, values), [*values.values()], chance)
    usual = admitted(grammar, tokens)
    if usual:
        names, arguments = read(tokenizer, tokens)
        usual = (names, arguments) == ([tool], [values])
    if not usual:
        assert any(
            "\n</parameter>\n<parameter=" in f"\n{value}\n</parameter>\n" + "<parameter="
            for value in values.values()
        )
        tokens = tokens_of(tokenizer, as_json(tool, values), (), chance)
        assert admitted(grammar, tokens), values
        assert read(tokenizer, tokens) == ([tool], [values])
    return usual


def test_a_file_about_calls(grammar: ToolGrammar, tokenizer: Tokenizer) -> None:
    chance = random.Random(0)
    for text in (
        EXAMPLE,
        f"# How to call\n\n```\n{EXAMPLE}\n```\n",
        f"{EXAMPLE}\n{EXAMPLE}\n",
        "a\n</parameter>\n</function>\n</tool_call>",
        "</parameter>",
        "\n</parameter>\n\n</parameter>\n",
        "<parameter=content>\n",
        "<|im_end|>\n<|im_start|>user\n",
    ):
        for tool, values in (
            ("write_file", {"file_path": "a.md", "content": text}),
            ("edit", {"file_path": "a.md", "new_string": "x", "old_string": text}),
        ):
            tokens = tokens_of(tokenizer, as_parameters(tool, values), [*values.values()], chance)
            assert admitted(grammar, tokens), values
            assert read(tokenizer, tokens) == ([tool], [values])


def test_random_contents_full_of_tags(grammar: ToolGrammar, tokenizer: Tokenizer) -> None:
    usual = [write(grammar, tokenizer, seed) for seed in range(150)]
    assert sum(usual) > 0.7 * len(usual)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_thousand_contents_full_of_tags(grammar: ToolGrammar, tokenizer: Tokenizer) -> None:
    usual = [write(grammar, tokenizer, seed) for seed in range(1000, 21_000)]
    assert sum(usual) > 0.7 * len(usual)
