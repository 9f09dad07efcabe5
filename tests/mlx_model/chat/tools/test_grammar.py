"""Tool calls under the grammar: whatever is sampled, a finished call is one of a registered tool, and fits its
schema."""

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.chat.tools.call_text import MARK
from mlx_model.chat.tools.grammar import Schemas, ToolGrammar
from mlx_model.chat.tools.parser import ToolCallParser
from mlx_model.chat.tools.reply_parts import CallArguments, CallOpened, VisibleText
from mlx_model.chat.tools.token_grammar import GrammarConstraint
from mlx_model.engine.loading import load
from tests.support.engine.drafting import Depths, Oracle, asked, drafting_generator, reply
from tests.support.weights.servable import servable_checkpoint
from tests.support.weights.small_tokenizer import VOCABULARY, write_small_tokenizer

READ = {
    "type": "object",
    "properties": {
        "file_path": {"type": "string"},
        "offset": {"type": "integer"},
        "mode": {"type": "string", "enum": ["text", "bytes"]},
        "whole": {"type": "boolean"},
        "lines": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["mode", "file_path"],
}
NAMED = {
    "type": "object",
    "properties": {
        "module": {"type": "string", "pattern": "^[a-z_]+\\.py$", "maxLength": 8},
        "id": {"type": "string", "pattern": "\\d{2}"},
        "note": {"type": "string", "minLength": 2, "maxLength": 4},
        "side": {"type": "string", "pattern": "^(left|right)$"},
        "point": {
            "type": "object",
            "properties": {"x": {"type": "integer"}, "name": {"type": "string", "maxLength": 3}},
            "required": ["x"],
            "additionalProperties": False,
        },
        "ahead": {"type": "string", "pattern": "a(?=b)"},
    },
}
MANY = {
    "type": "object",
    "properties": {f"p{number}": {"type": "integer"} for number in range(70)},
    "required": ["p69", "p3"],
}
TOOLS = {"read_file": READ, "list": {"type": "object", "properties": {}}, "name": NAMED, "many": MANY}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return Tokenizer.from_directory(write_small_tokenizer(tmp_path_factory.mktemp("tokenizer")))


@pytest.fixture(scope="module")
def grammar(tokenizer: Tokenizer) -> ToolGrammar:
    return ToolGrammar(tokenizer, VOCABULARY)


def admits(grammar: ToolGrammar, tokenizer: Tokenizer, call: str, tools: Schemas = TOOLS) -> bool:
    """Whether a call, from `<tool_call>` on, may be written just so."""
    constraint = grammar.constraint(tools)
    assert constraint is not None
    for token in tokenizer.encode_marked(call, "\0"):
        if not constraint.mask()[token]:
            return False
        constraint.advance(token)
    return not constraint.active


def written(name: str, *parameters: tuple[str, str]) -> str:
    body = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in parameters)
    return f"<tool_call>\n<function={name}>\n{body}</function>\n</tool_call>"


NEEDED = (("mode", "text"), ("file_path", "a"))


@pytest.mark.parametrize(
    "call",
    [
        written("list"),
        written("read_file", *NEEDED),
        written("read_file", *reversed(NEEDED)),
        written("read_file", ("lines", "[1, 2]"), NEEDED[0], ("whole", "true"), NEEDED[1], ("offset", "-12")),
        written("read_file", NEEDED[0], ("file_path", '<b>\n</parameter> {"x": 1}\n\n<parameter=y>\n✓')),
        written("read_file", NEEDED[0], ("file_path", "")),
        written("name", ("module", "a_b.py"), ("id", "x 10\ny"), ("note", "Größ"), ("side", "left")),
        written("name", ("note", "\n\n"), ("point", '{"x": 1, "name": "abc"}'), ("ahead", "anything")),
        written("name", ("note", "<a>b")),
        written("many", ("p69", "1"), ("p68", "3"), ("p3", "-2"), ("p0", "4")),
    ],
)
def test_what_a_model_may_write(grammar: ToolGrammar, tokenizer: Tokenizer, call: str) -> None:
    assert admits(grammar, tokenizer, call)


@pytest.mark.parametrize(
    "call",
    [
        written("write_file", *NEEDED),
        written("read_file"),
        written("read_file", NEEDED[0]),
        written("read_file", NEEDED[0], *NEEDED),
        written("read_file", *NEEDED, ("path", "a")),
        written("read_file", *NEEDED, ("offset", "1.5")),
        written("read_file", *NEEDED, ("offset", "ten")),
        written("read_file", *NEEDED, ("whole", "yes")),
        written("read_file", ("mode", "other"), NEEDED[1]),
        written("read_file", *NEEDED, ("lines", "[1, x]")),
        written("list", ("any", "1")),
        written("name", ("module", "A.py")),
        written("name", ("module", "long_name.py")),
        written("name", ("module", "a.py\n")),
        written("name", ("id", "x 1")),
        written("name", ("id", "٣٣")),
        written("name", ("note", "a")),
        written("name", ("note", "abcde")),
        written("name", ("side", "leftright")),
        written("name", ("point", '{"x": 1, "name": "abcd"}')),
        written("name", ("point", '{"name": "abc"}')),
        written("many", ("p69", "1"), ("p3", "1"), ("p70", "1")),
        written("many", ("p69", "x")),
        written("many", ("p3", "1")),
        written("many", ("p69", "1"), ("p3", "1"), ("p69", "1")),
        written("many", ("p69", "1"), ("p3", "1"), ("p0", "1"), ("p0", "1")),
    ],
)
def test_what_it_may_not(grammar: ToolGrammar, tokenizer: Tokenizer, call: str) -> None:
    assert not admits(grammar, tokenizer, call)


def test_of_more_required_parameters_than_can_be_counted_most_are(
    tokenizer: Tokenizer, grammar: ToolGrammar, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"p{number}" for number in range(66)]
    all_required = {"properties": {name: {"type": "integer"} for name in names}, "required": names}
    for left_out, may in ((None, True), ("p65", True), ("p63", False)):
        call = written("all", *((name, "1") for name in reversed(names) if name != left_out))
        assert admits(grammar, tokenizer, call, {"all": all_required}) is may
    assert "2 may be given more than once, and 2 required ones left out" in caplog.text


TYPELESS: dict[str, Any] = {
    "any": {},
    "told": {"description": "Anything."},
    "object": {"properties": {"x": {"type": "integer"}}},
    "map": {"additionalProperties": {"type": "integer"}},
    "array": {"items": {"type": "integer"}},
    "maybe": {"type": "integer", "nullable": True},
    "word": {"type": "string", "nullable": True},
}


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        *(
            ("any", text, value)
            for text, value in (("x", "x"), ("1", 1), ('{"a": [1]}', {"a": [1]}), ("[", "["))
        ),
        *(("any", "null", None), ("any", '"x"', "x"), ("any", "True", "True"), ("told", "true", True)),
        *(("object", '{"x": 1}', {"x": 1}), ("map", '{"y": 1}', {"y": 1}), ("array", "[1, 2]", [1, 2])),
        *(("maybe", "null", None), ("maybe", "3", 3), ("word", "null", None), ("word", "[1]", "[1]")),
    ],
)
def test_parameters_without_a_type_take_json_where_it_is_some(
    grammar: ToolGrammar, tokenizer: Tokenizer, key: str, value: str, read: Any
) -> None:
    tools = {"f": {"properties": TYPELESS}}
    call = written("f", (key, value))
    assert admits(grammar, tokenizer, call, tools)
    parser = ToolCallParser(tools, exact=True)
    marked = spelled(tokenizer, tokenizer.encode_marked(call, "\0"))
    parts = [*parser.feed(marked), *parser.finish(truncated=False)]
    fragments = [part.fragment for part in parts if isinstance(part, CallArguments)]
    assert json.loads("".join(fragments)) == {key: read}


@pytest.mark.parametrize(
    ("key", "value"), [("object", "x"), ("array", "1"), ("map", '{"y": "z"}'), ("maybe", "x")]
)
def test_what_their_keywords_rule_out_is_not_admitted(
    grammar: ToolGrammar, tokenizer: Tokenizer, key: str, value: str
) -> None:
    assert not admits(grammar, tokenizer, written("f", (key, value)), {"f": {"properties": TYPELESS}})


def test_a_missing_parameter_cannot_become_text_of_the_one_before(
    grammar: ToolGrammar, tokenizer: Tokenizer
) -> None:
    constraint = grammar.constraint(TOOLS)
    assert constraint is not None
    begun = "<tool_call>\n<function=read_file>\n<parameter=file_path>\na\n</parameter>\n"
    for token in tokenizer.encode_marked(begun, "\0"):
        assert constraint.mask()[token]
        constraint.advance(token)
    mask, (less, slash) = constraint.mask(), tokenizer.encode("</")
    assert mask[less], "the next parameter, and any other text"
    constraint.advance(less)
    mask = constraint.mask()
    assert not mask[slash] and mask[tokenizer.encode("b")[0]]


def test_a_length_beyond_the_grammar_frees_that_string_alone(
    grammar: ToolGrammar, tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture
) -> None:
    long = {"long": {"properties": {"s": {"type": "string", "maxLength": 524_288}, "n": {"type": "integer"}}}}
    assert admits(grammar, tokenizer, written("long", ("s", "x"), ("n", "1")), long)
    assert not admits(grammar, tokenizer, written("long", ("s", "x"), ("n", "one")), long)
    assert "lengths above 1,000" in caplog.text


def test_what_is_left_free_is_logged_once(grammar: ToolGrammar, caplog: pytest.LogCaptureFixture) -> None:
    odd = {"a<b": {}, "n": {"type": "string", "minLength": "much"}, "u": {"type": "array", "uniqueItems": True}}
    schemas = {**TOOLS, "odd": {"properties": odd}}
    grammar._told.clear()
    grammar._recent.clear()
    for _ in range(3):
        assert grammar.constraint(schemas) is not None
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 5
    for part in ("'ahead'", "70 parameters", "'a<b'", "'n'", "'u' to its schema: parts of it"):
        assert sum(part in sentence for sentence in said) == 1


def test_a_schema_that_nothing_fits_does_not_trap_the_reply(grammar: ToolGrammar, tokenizer: Tokenizer) -> None:
    impossible = {"properties": {"s": {"type": "string", "pattern": "^a$", "minLength": 3}}}
    constraint = grammar.constraint({"try": impossible})
    assert constraint is not None
    for token in tokenizer.encode_marked("<tool_call>\n<function=try>\n", "\0"):
        assert constraint.mask()[token]
        constraint.advance(token)
    for token in tokenizer.encode("<parameter=s>\n"):
        if not constraint.mask()[token]:
            break
        constraint.advance(token)
        assert constraint.mask().any()


DEFINITIONS: dict[str, Any] = {
    "colour": {"type": "string", "enum": ["red", "light blue"]},
    "tree": {
        "type": "object",
        "properties": {
            "size": {"type": "integer"},
            "left": {"$ref": "#/$defs/tree"},
            "colour": {"allOf": [{"$ref": "#/$defs/colour"}]},
        },
        "required": ["size"],
        "additionalProperties": False,
    },
}


def random_schema(choice: random.Random, depth: int = 0) -> dict[str, Any]:
    kinds = ["string", "short", "pattern", "integer", "number", "boolean", "null", "enum", "nullable"]
    kinds += ["range", "const", "reference", "union"]
    match choice.choice(kinds if depth > 1 else [*kinds, "array", "object"]):
        case "array":
            return {"type": "array", "items": random_schema(choice, depth + 1), "maxItems": 3}
        case "object":
            return {**random_parameters(choice, depth + 1), "additionalProperties": False}
        case "enum":
            return {"enum": choice.sample(["a", "b c", "</x>", "é", "1st"], choice.randint(1, 4))}
        case "short":
            least = choice.randint(0, 5)
            return {"type": "string", "minLength": least, "maxLength": least + choice.randint(0, 30)}
        case "pattern":
            patterns = ["^[a-z]+(/[a-z]+)*$", r"\d", r"^\w{2,}", "[^a-z]$", r"^(on|off|\d+%)$"]
            return {"type": "string", "pattern": choice.choice(patterns)}
        case "nullable":
            return {"type": ["integer", "null"]}
        case "range":
            least = choice.randint(-30, 30)
            bounds = {"type": "integer", "minimum": least, "maximum": least + choice.randint(0, 200)}
            return choice.choice([bounds, {"allOf": [{"type": ["integer", "string"]}, bounds]}])
        case "const":
            return {"const": choice.choice(["x", "a\nb", 7, 1.5, True, None])}
        case "reference":
            return {"$ref": f"#/$defs/{choice.choice(sorted(DEFINITIONS))}", "description": "that"}
        case "union":
            options = [{"type": "null"}, {"type": "boolean"}, {"$ref": "#/$defs/tree"}, {"type": "integer"}]
            named = [{"const": "a"}, {"enum": ["b", 3]}, {"$ref": "#/$defs/colour"}]
            among = choice.choice([options, named])
            return {choice.choice(["anyOf", "oneOf"]): choice.sample(among, choice.randint(1, 3))}
        case kind:
            return {"type": kind}


def random_parameters(choice: random.Random, depth: int = 0) -> dict[str, Any]:
    names = choice.sample(["path", "old-string", "n", "Größe", "x.y", "limit_2", "all"], choice.randint(0, 4))
    return {
        "type": "object",
        "properties": {name: random_schema(choice, depth) for name in names},
        "required": choice.sample(names, choice.randint(0, len(names))),
        **({} if depth else {"$defs": DEFINITIONS}),
    }


def fits(schema: Any, value: Any) -> bool:
    """The part of JSON Schema that `random_schema` uses, by itself."""
    if "$ref" in schema:
        return fits(DEFINITIONS[schema["$ref"].rpartition("/")[2]], value)
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            return (all if union == "allOf" else any)(fits(option, value) for option in schema[union])
    if "enum" in schema or "const" in schema:
        choices = schema.get("enum", [schema.get("const")])
        return any(choice == value and type(choice) is type(value) for choice in choices)
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return any(_is(kind, schema, value) for kind in kinds)


def _is(kind: str, schema: Any, value: Any) -> bool:
    match kind:
        case "object":
            return (
                isinstance(value, dict)
                and set(schema.get("required", ())) <= set(value) <= set(schema["properties"])
                and all(fits(schema["properties"][key], item) for key, item in value.items())
            )
        case "array":
            return isinstance(value, list) and all(fits(schema["items"], item) for item in value)
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
    if kind == "string" and isinstance(value, str):
        most = schema.get("maxLength", len(value))
        # Where it may end, JavaScript's $ means the very end.
        pattern = re.sub(r"\$$", r"\\Z", schema.get("pattern", ""))
        return (
            schema.get("minLength", 0) <= len(value) <= most and re.search(pattern, value, re.ASCII) is not None
        )
    numbers = {"string": str, "integer": int, "number": (int, float)}
    if not isinstance(value, numbers[kind]) or isinstance(value, bool):
        return False
    return "minimum" not in schema or schema["minimum"] <= value <= schema["maximum"]


def spelled(tokenizer: Tokenizer, tokens: Sequence[int]) -> str:
    """Tokens as text, with a mark before control tokens."""
    control = tokenizer.control_tokens.values()
    marks = (MARK.encode("utf-8", "surrogatepass") if token in control else b"" for token in tokens)
    texts = map(tokenizer.bytes_of, tokens)
    return b"".join(b for pair in zip(marks, texts, strict=True) for b in pair).decode("utf-8", "surrogatepass")


def sampled_call(constraint: GrammarConstraint, tokenizer: Tokenizer, seed: int) -> list[int] | None:
    """A call drawn at temperature 2 from random logits that lean to ending things; None if it is endless."""
    noise = np.random.default_rng(seed)
    opening = tokenizer.control_tokens["<tool_call>"]
    constraint.advance(opening)
    tokens = [opening]
    ends = np.isin(np.arange(VOCABULARY), [token for text in '\n</"}]' for token in tokenizer.encode(text)])
    while constraint.active:
        if len(tokens) == 500:
            return None
        logits = 3 * noise.standard_normal(VOCABULARY) + 8.0 * ends
        scores = np.where(constraint.mask(), logits / 2 + noise.gumbel(size=VOCABULARY), -np.inf)
        tokens.append(int(scores.argmax()))
        constraint.advance(tokens[-1])
    return tokens


def assert_calls_fit(grammar: ToolGrammar, tokenizer: Tokenizer, seeds: Sequence[int]) -> None:
    finished = 0
    for seed in seeds:
        choice = random.Random(seed)
        tools = {f"tool_{number}": random_parameters(choice) for number in range(choice.randint(1, 3))}
        constraint = grammar.constraint(tools)
        assert constraint is not None
        tokens = sampled_call(constraint, tokenizer, seed)
        if tokens is None:
            continue
        finished += 1
        text = spelled(tokenizer, tokens)
        parser = ToolCallParser(tools, exact=True)
        parts = [*parser.feed(text), *parser.finish(truncated=False)]
        assert not [part for part in parts if isinstance(part, VisibleText)], text
        names = [part.name for part in parts if isinstance(part, CallOpened)]
        assert len(names) == 1 and names[0] in tools, text
        arguments = json.loads("".join(part.fragment for part in parts if isinstance(part, CallArguments)))
        assert fits(tools[names[0]], arguments), (text, arguments, tools)
    assert finished > 0.6 * len(seeds)


def test_every_finished_call_parses_and_fits(grammar: ToolGrammar, tokenizer: Tokenizer) -> None:
    assert_calls_fit(grammar, tokenizer, range(200))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_finished_calls_parse_and_fit(grammar: ToolGrammar, tokenizer: Tokenizer) -> None:
    assert_calls_fit(grammar, tokenizer, range(1000, 11_000))


def test_under_the_grammar_too_drafts_do_not_change_the_reply(tmp_path: Path) -> None:
    """A random model whose favourite token is `<tool_call>`, so that replies are calls, one after another."""
    directory = servable_checkpoint(tmp_path / "model")
    model: Any = load(directory).model
    tokenizer = Tokenizer.from_directory(directory)
    opening = tokenizer.control_tokens["<tool_call>"]
    head = model.head

    def eager(hidden: mx.array) -> mx.array:
        return head(hidden) + 4.0 * (mx.arange(VOCABULARY) == opening)

    model.head = eager
    grammar = ToolGrammar(tokenizer, VOCABULARY)
    prompt = list(range(20, 50))
    for sampling in (
        {"temperature": 0},
        {"temperature": 2.0, "seed": 1, "top_k": 0, "repetition_penalty": 1.1},
    ):
        request = asked(prompt, 100, constraint=lambda: grammar.constraint(TOOLS, required=True), **sampling)
        plain, _ = reply(drafting_generator(model), request)
        text = b"".join(tokenizer.bytes_of(token) for token in plain)
        assert text.startswith(b"<tool_call>\n<function=")
        oracle = Oracle([*prompt, *plain], VOCABULARY, 2)
        drafted, finished = reply(drafting_generator(model, oracle, policy=Depths()), request)
        assert drafted == plain
        assert finished.accepted_tokens > 20
