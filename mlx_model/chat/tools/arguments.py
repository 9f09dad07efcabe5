"""Streaming a tool call's arguments: from raw parameter values to the text of one JSON object."""

import ast
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

EVERY_TYPE = frozenset({"null", "boolean", "integer", "number", "object", "array", "string"})
_TYPE_NAMES = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    dict: "object",
    list: "array",
}
_KEYWORDS = {
    "object": {"properties", "additionalProperties", "patternProperties", "required"},
    "array": {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"},
    "string": {"pattern", "minLength", "maxLength", "format"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
}
"""The type that is meant where none is stated: keywords that say something of that type alone."""
_LONGEST_INTEGER = 4000
"""Digits: Python refuses to convert more than 4,300."""
_MOST_REFERENCES = 16
"""References that are followed, and unions that are nested, at most: a schema may refer to itself."""


class ArgumentWriter:
    """Writes one JSON object. The fragments that its methods return, in order, are its text.

    The type of each value follows the tool's schema. Strings are written as they arrive, other values when they
    are complete; a value that does not parse as its type is written as a string, so that nothing is lost.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """`schema` is the tool's `parameters`, or empty where the tool is unknown."""
        self._schema = schema
        properties = schema.get("properties")
        self._properties = properties if isinstance(properties, Mapping) else {}
        self._written: set[str] = set()
        self._types: frozenset[str] = frozenset()
        self._held: list[str] = []

    def expects(self, key: str) -> bool:
        """Whether the schema has this parameter and it has not been written."""
        return key in self._properties and key not in self._written

    def begin(self, key: str) -> str:
        """A parameter begins."""
        separator = ", " if self._written else "{"
        self._written.add(key)
        known = key in self._properties
        self._types = value_types(self._properties[key], self._schema) if known else frozenset({"string"})
        self._held = []
        return f"{separator}{_string(key)}: " + ('"' if self._streams else "")

    def add(self, text: str) -> str:
        """More of the parameter's value."""
        if self._streams:
            return _string(text)[1:-1]
        self._held.append(text)
        return ""

    def end(self) -> str:
        """The parameter's value is complete."""
        return '"' if self._streams else _typed("".join(self._held), self._types)

    def cut_short(self) -> str:
        """The text held of a value that will not be completed, as the beginning of a JSON string."""
        return "" if self._streams else _string("".join(self._held))[:-1]

    def close(self) -> str:
        """The object is complete."""
        return "}" if self._written else "{}"

    @property
    def _streams(self) -> bool:
        return self._types == {"string"}


def resolved(schema: Any, root: Mapping[str, Any]) -> Any:
    """The schema itself, or the part of `root` that it refers to."""
    for _ in range(_MOST_REFERENCES):
        if not isinstance(schema, Mapping):
            break
        whole = schema.get("allOf")
        if isinstance(whole, list) and len(whole) == 1 and "type" not in schema:
            schema = whole[0]
        elif isinstance(schema.get("$ref"), str):
            found = _referred(schema["$ref"], root)
            if found is None:
                break
            schema = found
        else:
            break
    return schema


def _referred(reference: str, root: Any) -> Any:
    """The target of a reference within this document (a JSON pointer, RFC 6901); None for any other reference,
    and where there is no target."""
    document, _, pointer = unquote(reference).partition("#")
    if document or (pointer and not pointer.startswith("/")):
        return None
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(root, Mapping):
            root = root.get(name)
        else:
            root = root[int(name)] if isinstance(root, list) and name in map(str, range(len(root))) else None
    return root


def value_types(schema: Any, root: Mapping[str, Any], most: int = _MOST_REFERENCES) -> frozenset[str]:
    """The JSON types that a schema within `root` admits; all where it says nothing of them. Unions are followed
    `most` levels deep. `nullable` is OpenAPI's."""
    schema = resolved(schema, root)
    if not isinstance(schema, Mapping):
        return EVERY_TYPE
    types = _stated_types(schema, root, most)
    return types | {"null"} if schema.get("nullable") is True else types


def _stated_types(schema: Mapping[str, Any], root: Mapping[str, Any], most: int) -> frozenset[str]:
    if "$ref" in schema or not most:
        return EVERY_TYPE
    declared = schema.get("type")
    if isinstance(declared, str):
        return frozenset({declared}) & EVERY_TYPE or EVERY_TYPE
    if isinstance(declared, list):
        return frozenset(name for name in declared if isinstance(name, str)) & EVERY_TYPE or EVERY_TYPE
    for union in ("anyOf", "oneOf"):
        if isinstance(schema.get(union), list):
            options = (value_types(option, root, most - 1) for option in schema[union])
            return frozenset().union(*options) or EVERY_TYPE
    if isinstance(schema.get("enum"), list):
        return _types_of(schema["enum"])
    parts = schema.get("allOf")
    telling = [part for part in parts if _tells_type(part)] if isinstance(parts, list) else []
    if telling:
        all_admit = (value_types(part, root, most - 1) for part in telling)
        return frozenset.intersection(*all_admit) or EVERY_TYPE
    if "const" in schema:
        return _types_of([schema["const"]])
    return next((frozenset({name}) for name, keys in _KEYWORDS.items() if keys & schema.keys()), EVERY_TYPE)


def _tells_type(schema: Any) -> bool:
    telling = {"$ref", "type", "anyOf", "oneOf", "allOf", "enum", "const"}
    return isinstance(schema, Mapping) and bool(telling & schema.keys())


def _types_of(values: Iterable[Any]) -> frozenset[str]:
    return frozenset(_TYPE_NAMES.get(type(value), "string") for value in values) or frozenset({"string"})


def _typed(text: str, types: frozenset[str]) -> str:
    """The JSON text of a value, parsed as the first of `types` that it fits, else as a string."""
    word = text.strip()
    if types == EVERY_TYPE:
        return _any_json(word) or _string(text)
    if "null" in types and word in ("null", "None"):
        return "null"
    if "boolean" in types and word.lower() in ("true", "false"):
        return word.lower()
    if "integer" in types and re.fullmatch(r"[+-]?[0-9]+(\.0*)?", word) and len(word) < _LONGEST_INTEGER:
        return str(int(word.partition(".")[0]))
    if "number" in types and (number := _number(word)) is not None:
        return number
    kinds = tuple(kind for name, kind in (("object", dict), ("array", list)) if name in types)
    if kinds and (structure := _structure(word, kinds)) is not None:
        return structure
    return _string(text)


def fits(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> bool:
    """Whether arguments are those of a tool with these `parameters`: the required ones are there, no unknown
    ones, and each has a type that its schema admits."""
    properties = schema.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    required = schema.get("required")
    if not set(required if isinstance(required, list) else ()) <= arguments.keys() <= properties.keys():
        return False
    for name, value in arguments.items():
        types, kind = value_types(properties[name], schema), _TYPE_NAMES.get(type(value), "string")
        if kind not in types and not (kind == "integer" and "number" in types):
            return False
    return True


def _any_json(word: str) -> str | None:
    """A JSON value, unchanged; None for anything else."""
    try:
        json.loads(word, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return word


def _number(word: str) -> str | None:
    if re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", word):
        return word
    if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", word):
        value = float(word)
        return None if value in (float("inf"), float("-inf")) else repr(value)
    return None


def _structure(word: str, kinds: tuple[type, ...]) -> str | None:
    """A JSON object or array, unchanged, for a number in it may exceed a float; or one that was written as a
    Python literal, as models sometimes do. None for anything else."""
    try:
        return word if isinstance(json.loads(word, parse_constant=_refuse), kinds) else None
    except (ValueError, RecursionError):
        pass
    try:
        value = ast.literal_eval(word)
        return json.dumps(value, ensure_ascii=False, allow_nan=False) if isinstance(value, kinds) else None
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
