"""What a tool call may say, as a grammar: a registered tool, its parameters in any order and each at most once,
the required ones before the call closes, values of their types. Strings are free: a value ends where a line is
`</parameter>`.
"""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

from mlx_model.chat.arguments import value_types
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.decode.grammar import GrammarConstraint

_log = logging.getLogger(__name__)

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
# What can be written between `=` and `>` and read back; a rule's parameter has so many bits.
_NAME = re.compile(r"[^<>\n\"' ](?:[^<>\n\"']{0,198}[^<>\n\"' ])?")
_MOST_PARAMETERS = 64

Schemas = Mapping[str, Mapping[str, Any]]


class ToolGrammar:
    """Makes constraints for a tokenizer."""

    def __init__(self, tokenizer: Tokenizer, vocabulary: int) -> None:
        """`vocabulary` is how many logits the model has."""
        self._control = tokenizer.control_tokens
        self._vocabulary = vocabulary
        # Now, when a model is loaded: a large vocabulary takes seconds.
        self._library = LLTokenizer(TokenizerWrapper(_Vocabulary(tokenizer, vocabulary)))

    def constraint(self, schemas: Schemas) -> GrammarConstraint | None:
        """A fresh constraint for replies that may call these tools (parameters by name). None where none of
        them can be called, where the tokenizer has no token that opens a call, and where llguidance refuses."""
        control = self._control
        if _OPEN not in control or _CLOSE not in control:
            return None
        grammar = tool_call_grammar(schemas, control[_CLOSE])
        if grammar is None:
            return None
        matcher = LLMatcher(self._library, grammar, log_level=0)
        if matcher.is_error():
            _log.warning("These tools make no grammar, so that calls are free: %s", matcher.get_error())
            return None
        return GrammarConstraint(matcher, control[_OPEN], self._vocabulary)


class _Vocabulary:
    """The tokenizer as llguidance asks for it. Control tokens are special: no text spells them."""

    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, vocabulary: int) -> None:
        self._encode = tokenizer.encode
        control = tokenizer.control_tokens.values()
        self.tokens = [tokenizer.bytes_of(token) for token in range(vocabulary)]
        self.special_token_ids = sorted(token for token in control if token < vocabulary)
        self.eos_token_id = min(tokenizer.stop_tokens, default=vocabulary - 1)

    def __call__(self, text: str) -> list[int]:
        return self._encode(text)


def tool_call_grammar(schemas: Schemas, close: int) -> str | None:
    """llguidance's Lark dialect, from behind `<tool_call>` to the token `close`; None where no tool can be
    called."""
    rules: list[str] = []
    names = [name for name in schemas if _NAME.fullmatch(name)]
    for index, name in enumerate(names):
        rules += _tool(f"tool{index}", name, schemas[name])
    if not names:
        return None
    calls = " | ".join(f"tool{index}" for index in range(len(names)))
    return "\n".join(
        [
            f'start: "\\n" ({calls}) "</function>\\n" <[{close}]>',
            'text[suffix="\\n</parameter>\\n"]: /(?s:.*)/',
            *rules,
        ]
    )


def _tool(rule: str, name: str, schema: Mapping[str, Any]) -> list[str]:
    """The rules of one tool: its parameters' rule carries the set of those written, as bits, required ones
    first."""
    properties = schema.get("properties")
    known = [key for key in properties if _NAME.fullmatch(key)] if isinstance(properties, Mapping) else []
    wanted = schema.get("required")
    required = [key for key in known if isinstance(wanted, Sequence) and key in wanted]
    keys = [*required, *(key for key in known if key not in required)][:_MOST_PARAMETERS]
    if not keys:
        return [f"{rule}: {_quoted(f'<function={name}>')}"]
    condition = f" %if is_ones([0:{len(required)}])" if required else ""
    rules = [f"{rule}: {_quoted(f'<function={name}>')} more{rule}::0x0"]
    choices = [f'""{condition}']
    for bit, key in enumerate(keys):
        assert isinstance(properties, Mapping)
        opening = _quoted(f"<parameter={key}>")
        choices.append(f"{opening} value{rule}v{bit} more{rule}::set_bit({bit}) %if bit_clear({bit})")
        rules.append(f"value{rule}v{bit}: {_value(properties[key], schema)}")
    return [*rules, f"more{rule}::_: " + "\n  | ".join(choices)]


def _value(schema: Any, root: Mapping[str, Any]) -> str:
    """A value and the end of its parameter."""
    types = value_types(schema)
    if isinstance(schema, Mapping) and not types & {"object", "array"}:
        enum = schema.get("enum")
        choices = enum if isinstance(enum, list) else [schema["const"]] if "const" in schema else []
        texts = [choice if isinstance(choice, str) else json.dumps(choice) for choice in choices]
        if texts:
            return "(" + " | ".join(_quoted(text) for text in texts) + ') "</parameter>\\n"'
    if "string" in types:
        return "text"
    definitions = {key: root[key] for key in ("$defs", "definitions") if key in root}
    whole = json.dumps({**definitions, **schema})
    # What llguidance cannot express stays as free as a string.
    if LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(whole)):
        return "text"
    return f'%json {whole} "\\n</parameter>\\n"'


def _quoted(text: str) -> str:
    """A line as the grammar writes it."""
    return json.dumps(text + "\n", ensure_ascii=False)
