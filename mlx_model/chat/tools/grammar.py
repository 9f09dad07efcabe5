"""The grammar of tool calls: a registered tool; its parameters in any order, each at most once, the required
ones before the call closes, or one JSON object in their place; values that fit their schemas. A value ends at
a line `</parameter>`; one that any text fits ends as call_text says. Strings are free but for their `enum`,
`pattern`, `minLength` and `maxLength`; values written as JSON follow their whole schema. A constraint that the
grammar cannot express is left out and logged once: of more than 64 parameters only 64, the required ones first,
are restricted to one occurrence.
"""

import json
import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper, regex_to_lark

from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.chat.tools.arguments import EVERY_TYPE, resolved, value_types
from mlx_model.chat.tools.call_text import BITS, CLOSE, OPEN, ToolForm, can_spell, tool_form
from mlx_model.chat.tools.edits.exact_edits import EDIT, Files, can_edit
from mlx_model.chat.tools.edits.known_files import KnownFiles
from mlx_model.chat.tools.edits.quotation import QuotingTokens
from mlx_model.chat.tools.json_reply import (
    LONGEST_BOUND,
    WHITE_SPACE,
    JsonConstraint,
    bounded,
    json_grammar,
    not_held,
)
from mlx_model.chat.tools.token_grammar import CallRules, CallTokens, GrammarConstraint
from mlx_model.errors import RequestError

_log = logging.getLogger(__name__)

# The end of a value; and a text that continues after the first such end.
_END = r"\n<\/parameter>\n"
_BEYOND_END = rf"/(?s:.*){_END}(?s:.+)/"
_ANYTHING = "(?s:.*)"
_RECENT = 8
"""Sets of tools whose grammars are kept: those of a few clients."""
_TEXT = "text"
"""The rule of values that any text fits."""
# The definition's name of a tool's own schema within the schema of a value.
_TOOL = "tool"
_COMPOSING = {"$ref", "allOf", "anyOf", "oneOf", "not"}
_NARROWING = _COMPOSING | {"enum", "const", "pattern", "minLength", "maxLength"}
_NARROWING |= {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
# Options of llguidance: ignore unknown keywords of JSON Schema, and treat oneOf as anyOf.
_LENIENT = {"lenient": True, "coerce_one_of": True}
# A pattern that is one group.
_GROUP = re.compile(r"\((?:[^()\\]|\\.)*\)")

Schema = Mapping[str, Any]
Schemas = Mapping[str, Schema]


class ToolGrammar:
    """Makes constraints for a tokenizer."""

    def __init__(self, tokenizer: Tokenizer, vocabulary: int) -> None:
        """`vocabulary`: the model's number of logits."""
        self._control = tokenizer.control_tokens
        self._stops = sorted(token for token in tokenizer.stop_tokens if token < vocabulary)
        self.vocabulary = vocabulary
        """The model's number of logits."""
        # At load time, for a large vocabulary takes seconds.
        spelled = _Vocabulary(tokenizer, vocabulary)
        self._library = LLTokenizer(TokenizerWrapper(spelled))
        special = set(spelled.special_token_ids)
        texts = [b"" if token in special else text for token, text in enumerate(spelled.tokens)]
        quoting = QuotingTokens(texts)
        visible = {
            text: token
            for text, token in self._control.items()
            if token < vocabulary and (token not in tokenizer.special_tokens or text in (OPEN, CLOSE))
        }
        self._tokens: CallTokens | None = None
        if OPEN in visible and CLOSE in visible:
            self._tokens = CallTokens(self._library, texts, quoting.trie, visible)
        self.files = KnownFiles(quoting)
        """The file texts that edits can be constrained to."""
        self._told: set[str] = set()
        self._lock = threading.Lock()
        self._recent: OrderedDict[str, CallRules | None] = OrderedDict()

    def constraint(
        self, schemas: Schemas, files: Files | None = None, required: bool = False
    ) -> GrammarConstraint | None:
        """A fresh constraint for replies that may call these tools (parameters by name), with edits of `files`
        constrained to quote them; `required`: the reply begins with a call. None where none of the tools
        can be called, where the tokenizer has no token that opens a call, and where llguidance refuses the
        grammar."""
        tokens = self._tokens
        if tokens is None:
            return None
        quoting = files if files and can_edit(schemas) else {}
        # A client sends the same tools with every request.
        key = json.dumps([schemas, bool(quoting)])
        with self._lock:
            if key not in self._recent:
                self._recent[key] = self._rules(tokens, schemas, bool(quoting))
            self._recent.move_to_end(key)
            if len(self._recent) > _RECENT:
                self._recent.popitem(last=False)
            rules = self._recent[key]
        return None if rules is None else GrammarConstraint(tokens, replace(rules, files=quoting), required)

    def _rules(self, tokens: CallTokens, schemas: Schemas, quoting: bool) -> CallRules | None:
        # As JSON, an edit could not be held to the file.
        never_json = (EDIT,) if quoting else ()
        grammar = tool_call_grammar(schemas, tokens.closing, self._tell, never_json)
        if grammar is None:
            return None
        matcher = LLMatcher(self._library, grammar.text, log_level=0)
        if matcher.is_error():
            self._tell(f"These tools make no grammar, so that calls are free: {matcher.get_error()}")
            return None
        forms = {_as_bytes(tool): _form_as_bytes(tool_form(schemas[tool])) for tool in grammar.free}
        free = {_as_bytes(tool): frozenset(map(_as_bytes, keys)) for tool, keys in grammar.free.items()}
        return CallRules(matcher, forms, free)

    def json_reply(self, schema: Schema, strict: bool) -> Callable[[], JsonConstraint]:
        """Makes fresh constraints for replies that are a JSON value of this schema and nothing else. Unless
        `strict`, keywords that the grammar cannot express are left out. Raises RequestError where there is no
        grammar."""
        if not self._stops:
            raise RequestError("response_format: this model has no token that ends a reply after its JSON.")
        keyword = not_held(schema) if strict else None
        if keyword is not None:
            raise RequestError(
                f"response_format: no grammar can hold a reply to {keyword!r} of this schema; leave that out, "
                "or strict."
            )
        wrong = ""
        for lenient in (False,) if strict else (False, True):
            matcher = LLMatcher(self._library, json_grammar(schema, lenient), log_level=0)
            wrong = matcher.get_error() if matcher.is_error() else ""
            if not wrong:
                return lambda: JsonConstraint(matcher.deep_copy(), self._stops, self.vocabulary)
        reason = wrong.strip().splitlines()[-1]
        raise RequestError(f"response_format: no grammar can hold a reply to this schema ({reason}).")

    def _tell(self, what: str) -> None:
        """The same tools come with every request."""
        if what not in self._told:
            self._told.add(what)
            _log.warning("%s", what)


class _Vocabulary:
    """The tokenizer in llguidance's interface. Control tokens are special: no text spells them."""

    bos_token_id = None

    def __init__(self, tokenizer: Tokenizer, vocabulary: int) -> None:
        self._encode = tokenizer.encode
        control = tokenizer.control_tokens.values()
        self.tokens = [tokenizer.bytes_of(token) for token in range(vocabulary)]
        self.special_token_ids = sorted(token for token in control if token < vocabulary)
        self.eos_token_id = min(tokenizer.stop_tokens, default=vocabulary - 1)

    def __call__(self, text: str) -> list[int]:
        return self._encode(text)


def _as_bytes(name: str) -> str:
    """A name as CallTokens has text."""
    return name.encode().decode("latin-1")


def _form_as_bytes(form: ToolForm) -> ToolForm:
    return ToolForm(tuple(map(_as_bytes, form.keys)), form.required)


@dataclass(frozen=True, slots=True)
class CallGrammar:
    """A grammar in llguidance's Lark dialect; and by tool, the parameters whose values any text fits."""

    text: str
    free: Mapping[str, frozenset[str]]


def tool_call_grammar(
    schemas: Schemas,
    close: int,
    tell: Callable[[str], None] = lambda _what: None,
    never_json: Collection[str] = (),
) -> CallGrammar | None:
    """The grammar from after `<tool_call>` to the token `close`; None where no tool can be called. `tell` is
    called with each constraint that is left out; calls of the tools `never_json` are not written as JSON."""
    rules: list[str] = []
    free: dict[str, frozenset[str]] = {}
    names = [name for name in schemas if can_spell(name)]
    for name in schemas.keys() - set(names):
        tell(f"No call can spell the tool name {name!r}: it is never called.")
    for index, name in enumerate(names):
        schema = bounded(schemas[name])
        if schema != schemas[name]:
            tell(
                f"No grammar can hold {name}'s strings to lengths above {LONGEST_BOUND:,}: these are left out."
            )
        lines, free[name] = _tool(f"tool{index}", name, schema, tell, name not in never_json)
        rules += lines
    if not names:
        return None
    calls = " | ".join(f"tool{index}" for index in range(len(names)))
    start = f'start: "\\n" ({calls}) "</function>\\n" <[{close}]>'
    text = 'text[suffix="\\n</parameter>\\n"]: /(?s:.*)/'
    return CallGrammar("\n".join([start, text, *rules]), free)


def _tool(
    rule: str, name: str, schema: Mapping[str, Any], tell: Callable[[str], None], may_be_json: bool
) -> tuple[list[str], frozenset[str]]:
    """The rules of one tool, and its parameters whose values any text fits. The rule of its parameters has a
    bit set of those written, required ones first."""
    properties = schema.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    form = tool_form(schema)
    keys, required = form.keys, form.required
    for key in properties.keys() - set(keys):
        tell(f"No call of {name} can spell the parameter {key!r}: it is never given.")
    opening = _quoted(f"<function={name}>")
    if not keys:
        return [f"{rule}: {opening}"], frozenset()
    rules: list[str] = []
    parameters: list[str] = []
    free: set[str] = set()
    for number, key in enumerate(keys):
        value = _value(f"{rule}v{number}", properties[key], schema)
        if value.held < 1:
            left = "its value is free" if not value.held else "parts of it are ignored"
            tell(f"No grammar can hold {name}'s parameter {key!r} to its schema: {left}.")
        if value.text == _TEXT:
            free.add(key)
        rules += value.rules
        parameters.append(f"{_quoted(f'<parameter={key}>')} {value.text}")
    counted = min(required, BITS)
    if len(keys) > BITS:
        left_out = f", and {required - counted} required ones left out" if counted < required else ""
        tell(f"{name} has {len(keys)} parameters: {len(keys) - BITS} may be given more than once{left_out}.")
    condition = f" %if is_ones([0:{counted}])" if counted else ""
    choices = [
        f"{parameter} more{rule}::" + (f"set_bit({bit}) %if bit_clear({bit})" if bit < BITS else "_")
        for bit, parameter in enumerate(parameters)
    ]
    more = "\n  | ".join([f'""{condition}', *choices])
    forms = [f"{opening} more{rule}::0x0"]
    as_json = _arguments_as_json({key: properties[key] for key in keys}, keys[:required], schema)
    if may_be_json and as_json is not None:
        forms.append(f'{opening} %json {as_json} "\\n"')
    return [*rules, f"{rule}: {' | '.join(forms)}", f"more{rule}::_: {more}"], frozenset(free)


def _arguments_as_json(properties: Schema, required: Collection[str], root: Mapping[str, Any]) -> str | None:
    """The schema of a tool's arguments as one JSON object; None where no grammar can express it."""
    whole: dict[str, Any] = {"type": "object", "properties": dict(properties), "required": list(required)}
    whole["additionalProperties"] = False
    if '"$ref"' in json.dumps(properties):
        whole = {**_anchored(whole), "$defs": {_TOOL: _anchored(root)}}
    spaced = {"whitespace_pattern": WHITE_SPACE}
    texts = (json.dumps({**whole, "x-guidance": {**spaced, **options}}) for options in ({}, _LENIENT))
    return next((text for text in texts if _makes_grammar(text)), None)


@lru_cache(maxsize=1024)
def _makes_grammar(schema: str) -> bool:
    """Whether llguidance can express a schema, which takes it a while to say."""
    return not LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(schema))


def _is_free(schema: Any, root: Mapping[str, Any]) -> bool:
    """Whether any text fits a schema."""
    types, schema = value_types(schema, root), resolved(schema, root)
    union = schema.get("anyOf", schema.get("oneOf")) if isinstance(schema, Mapping) else None
    options = [resolved(option, root) for option in union] if isinstance(union, list) else [schema]
    narrowed = any(isinstance(option, Mapping) and _NARROWING & option.keys() for option in options)
    has_parts = types != EVERY_TYPE and bool(types & {"array", "object"})
    return "string" in types and not has_parts and not narrowed


@dataclass(frozen=True, slots=True)
class _Value:
    """A parameter's value and end in the grammar, with the rules that it needs; `held`: how much of its schema
    the grammar enforces, from 0 (nothing) to 1 (everything)."""

    text: str
    rules: tuple[str, ...] = ()
    held: float = 1.0


def _value(rule: str, schema: Any, root: Mapping[str, Any]) -> _Value:
    types, stated = value_types(schema, root), schema
    schema = resolved(schema, root)
    choices = [] if types & {"object", "array"} else _choices(schema, root)
    if choices:
        texts = [choice if isinstance(choice, str) else json.dumps(choice) for choice in choices]
        return _Value("(" + " | ".join(_quoted(text) for text in texts) + ') "</parameter>\\n"')
    if types == {"string"} and not _is_free(schema, root) and not _COMPOSING & schema.keys():
        terminal = _string_terminal(schema)
        name = f"{rule}s".upper()
        if terminal is not None and not LLMatcher.validate_grammar(f"start: {name}\n{name}: {terminal}"):
            return _Value(name, (f"{name}: {terminal}",))
    if "string" in types:
        return _Value(_TEXT, held=float(_is_free(schema, root)))
    whole = dict(stated)
    if not whole.keys() & {*_COMPOSING, "enum", "const"}:
        whole["type"] = sorted(types)
    if '"$ref"' in json.dumps(stated):
        whole = {**_anchored(whole), "$defs": {_TOOL: _anchored(root)}}
    for held, options in ((1.0, {}), (0.5, {"x-guidance": _LENIENT})):
        text = json.dumps({**whole, **options})
        if _makes_grammar(text):
            return _Value(f'%json {text} "\\n</parameter>\\n"', held=held)
    return _Value(_TEXT, held=0.0)


def _choices(schema: Any, root: Mapping[str, Any]) -> list[Any]:
    """The values that a schema enumerates, directly or in its options; none where it is open."""
    if not isinstance(schema, Mapping):
        return []
    if isinstance(schema.get("enum"), list):
        return list(schema["enum"])
    if "const" in schema:
        return [schema["const"]]
    union = schema.get("anyOf", schema.get("oneOf"))
    options = [resolved(option, root) for option in union] if isinstance(union, list) else []
    if not all(isinstance(option, Mapping) and option.keys() & {"enum", "const"} for option in options):
        return []
    return [choice for option in options for choice in _choices(option, root)]


def _anchored(schema: Any) -> Any:
    """A schema with its references rewritten for a document in which the tool's schema is a definition."""
    if isinstance(schema, list):
        return [_anchored(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: f"#/$defs/{_TOOL}{part[1:]}"
        if key == "$ref" and isinstance(part, str) and part.startswith("#")
        else _anchored(part)
        for key, part in schema.items()
        if not (key in ("$id", "$schema") and isinstance(part, str))
    }


def _string_terminal(schema: Mapping[str, Any]) -> str | None:
    """The terminal of a string and its first end tag, by length in characters and by pattern, which may match
    anywhere in the string unless it is anchored. None where the pattern cannot be translated."""
    least, most = schema.get("minLength", 0), schema.get("maxLength", "")
    parts = [rf"/(?s:.{{{least},{most}}}){_END}/", f"~{_BEYOND_END}"]
    if "pattern" in schema:
        pattern = str(schema["pattern"])
        before = after = _ANYTHING
        # An anchor may belong to one of several alternatives only.
        has_alternatives = "|" in pattern
        if pattern.startswith("^"):
            pattern, before = pattern[1:], ""
        if pattern.endswith("$") and not re.search(r"(?<!\\)(?:\\\\)*\\\$$", pattern):
            pattern, after = pattern[:-1], ""
        if has_alternatives and not (before and after) and not _GROUP.fullmatch(pattern):
            return None
        # In JSON Schema as in JavaScript, \\d and \\w are ASCII.
        parts.append(f"/{before}({regex_to_lark(pattern, 'dw')}){after}{_END}/")
    return " & ".join(parts)


def _quoted(text: str) -> str:
    """A line as a string literal of the grammar."""
    return json.dumps(text + "\n", ensure_ascii=False)
