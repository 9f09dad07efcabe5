"""Calls that are written as JSON: {"name": NAME, "arguments": {...}}, as other models are taught to."""

import json
import re
from collections.abc import Mapping
from typing import Any

from mlx_model.chat.tools.arguments import fits

Schemas = Mapping[str, Mapping[str, Any]]

_NAMES = ("name", "tool", "tool_name", "function")
_ARGUMENTS = ("arguments", "parameters", "args", "input")
_FENCE = re.compile(r"\s*```[\w-]*[ \t]*\n")
_BEFORE_OBJECT = re.compile(r"\s*(?:```[\w-]*[ \t]*\n\s*|```[\w-]*[ \t]*|`{1,2})?")
_FIRST_KEY = re.compile(rf'\{{\s*"({"|".join((*_NAMES, *_ARGUMENTS))})"\s*:\s*("(?:[^"\\]|\\.)*")?')
_BEGINNING = re.compile(r'\{\s*(?:"\w{0,12}"?\s*:?\s*)?')


def calls_in(text: str) -> list[tuple[str, dict[str, Any] | str]] | None:
    """The name and arguments of each call in a JSON object or array; None where it is anything else."""
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    calls = [_call(item) for item in (value if isinstance(value, list) else [value])]
    found = [call for call in calls if call is not None]
    return found if found and len(found) == len(calls) else None


def _call(value: Any) -> tuple[str, dict[str, Any] | str] | None:
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("function"), dict):
        return _call(value["function"])
    name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), None)
    arguments: Any = next((value[key] for key in _ARGUMENTS if key in value), {})
    return (name, arguments) if name is not None and isinstance(arguments, dict | str) else None


def whole_call(reply: str, schemas: Schemas) -> tuple[str, dict[str, Any]] | None:
    """The call that a whole reply is, which is nothing but one JSON object, fenced or not, that names one of
    the tools and has arguments that fit it."""
    text = reply.strip()
    fence = _FENCE.match(text)
    if fence is not None:
        if not text.endswith("\n```"):
            return None
        text = text[fence.end() : -3]
    calls = calls_in(text) if text.lstrip().startswith("{") else None
    if calls is None or len(calls) != 1:
        return None
    name, arguments = calls[0]
    if name not in schemas or not isinstance(arguments, dict) or not fits(arguments, schemas[name]):
        return None
    return name, arguments


def may_be_whole_call(beginning: str, schemas: Schemas) -> bool:
    """Whether a reply that begins so may turn out to be one call (see whole_call)."""
    before = _BEFORE_OBJECT.match(beginning)
    assert before is not None
    text = beginning[before.end() :]
    if not text:
        return True
    key = _FIRST_KEY.match(text)
    if key is None:
        return _BEGINNING.fullmatch(text) is not None
    if key[1] in _NAMES and key[2] is not None and json.loads(key[2]) not in schemas:
        return False
    # Behind the fence there is nothing else.
    return "\n```" not in text or not text.partition("\n```")[2].strip()


def is_json(text: str) -> bool:
    """Whether a text is JSON."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def json_object(text: str) -> dict[str, Any] | None:
    """A JSON object with numbers that JSON has; None for any other text."""
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
