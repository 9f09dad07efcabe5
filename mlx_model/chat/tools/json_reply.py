"""Holds a whole reply to JSON: only tokens that continue a value of the schema may come, and once the value is
complete, only those that end the reply."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from llguidance import LLMatcher
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

_OF_SCHEMAS = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
_SCHEMAS = {"items", "additionalItems", "additionalProperties", "prefixItems", "anyOf", "oneOf", "allOf", "not"}
_SCHEMAS |= {"if", "then", "else", "contains", "propertyNames", "unevaluatedItems", "unevaluatedProperties"}
_KNOWN = _OF_SCHEMAS | _SCHEMAS | {"type", "enum", "const", "required", "minProperties", "maxProperties"}
_KNOWN |= {"minLength", "maxLength", "pattern", "format", "minItems", "maxItems", "uniqueItems", "minContains"}
_KNOWN |= {"maxContains", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
_KNOWN |= {"dependentRequired", "dependencies", "$ref", "$dynamicRef", "nullable"}
# Those that say nothing of a value.
_KNOWN |= {"$schema", "$id", "$anchor", "$dynamicAnchor", "$comment", "$vocabulary", "title", "description"}
_KNOWN |= {"default", "examples", "example", "deprecated", "readOnly", "writeOnly", "discriminator"}
"""Keywords that llguidance 1.9 enforces or refuses, and those without an effect."""

WHITE_SPACE = r"(?: |\n[ \t]{0,64})?"
"""Between the parts of a value; bounded, so that no reply is spent on it."""


LONGEST_BOUND = 1000
"""Characters: of minLength and maxLength, llguidance 1.9 gives up at 4,000."""


def json_grammar(schema: Mapping[str, Any], lenient: bool) -> str:
    """llguidance's grammar of a schema's values. `lenient`: keywords that it cannot express are left out."""
    options: dict[str, Any] = {"whitespace_pattern": WHITE_SPACE}
    if lenient:
        schema = bounded(schema)
        options |= {"lenient": True, "coerce_one_of": True}
    return LLMatcher.grammar_from_json_schema(json.dumps({**schema, "x-guidance": options}))


def bounded(schema: Any) -> Any:
    """A schema without bounds of lengths above LONGEST_BOUND."""
    if isinstance(schema, list):
        return [bounded(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {key: bounded(part) for key, part in schema.items() if not _is_long_bound(key, part)}


def _is_long_bound(keyword: str, value: Any) -> bool:
    return keyword in ("minLength", "maxLength") and isinstance(value, int | float) and value > LONGEST_BOUND


def not_held(schema: Any) -> str | None:
    """A keyword of a schema that llguidance takes and does not enforce; None where it enforces or refuses all
    of them. It counts a key that is repeated towards `minProperties`, and passes over keywords that it does
    not know."""
    if not isinstance(schema, Mapping):
        return None
    least = schema.get("minProperties")
    if isinstance(least, int | float) and least > 1:
        return "minProperties"
    for key, value in schema.items():
        if _is_long_bound(key, value) or (key not in _KNOWN and not key.startswith("x-")):
            return str(key)
        inner: Iterable[Any] = ()
        if key in _OF_SCHEMAS and isinstance(value, Mapping):
            inner = value.values()
        elif key in _SCHEMAS:
            inner = value if isinstance(value, list) else [value]
        for part in inner:
            if (found := not_held(part)) is not None:
                return found
    return None


class JsonConstraint:
    """Implements decode.request.Constraint for one reply."""

    def __init__(self, matcher: LLMatcher, stop_tokens: Sequence[int], vocabulary: int) -> None:
        """`matcher`: of json_grammar, at its start. `stop_tokens`: at least one."""
        self._matcher = matcher
        self._stops = np.zeros(vocabulary, dtype=np.bool_)
        self._stops[list(stop_tokens)] = True

    @property
    def active(self) -> bool:
        return True

    def advance(self, token: int) -> None:
        self._matcher.try_consume_tokens([token])

    def mask(self) -> Mask:
        return self._mask(self._matcher)

    def check(self, drafts: Sequence[int]) -> tuple[int, Mask | None]:
        matcher = self._matcher.deep_copy()
        rows = [self._mask(matcher)]
        for token in drafts:
            if not rows[-1][token]:
                break
            if self._stops[token]:
                rows.append(self._stops)
                break
            matcher.try_consume_tokens([token])
            rows.append(self._mask(matcher))
        return len(rows) - 1, np.stack(rows)

    def _mask(self, matcher: LLMatcher) -> Mask:
        if matcher.is_stopped():
            return self._stops
        bits: NDArray[Any] = allocate_token_bitmask(1, self._stops.size)
        fill_next_token_bitmask(matcher, bits)
        mask = np.unpackbits(bits.view(np.uint8)[0], bitorder="little")[: self._stops.size].astype(np.bool_)
        return mask | self._stops if matcher.is_accepting() else mask & ~self._stops
