"""The user's own rules for calls, from the settings: which of them apply to one call, and what they say."""

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from pathspec import GitIgnoreSpec

from app.agent.commands.parts import Part
from app.agent.commands.wrapped import unwrap
from app.agent.tools.base import Access
from app.config import Rule


def in_words(rule: Rule) -> str:
    """The rule as a person would say it."""
    parts = [rule.tool] if rule.tool else []
    parts += [f"`{rule.command} …`"] if rule.command else []
    parts += [rule.path] if rule.path else []
    return " ".join(parts) or "every call"


def applying(rules: Sequence[Rule], tool: str, access: Access, parts: Sequence[Part]) -> list[Rule]:
    """The rules that deny or ask about the call, and those that allow it. A command is denied or asked about
    where any of its parts is meant; whether all of them are allowed is asked part by part (`allows`)."""
    found = []
    for rule in rules:
        if (rule.tool and not fnmatchcase(tool, rule.tool)) or (rule.path and not _is_at(rule, access)):
            continue
        if rule.command and not any(
            _is_prefix(rule.command, form) for part in parts for form in (part, unwrap(part))
        ):
            continue
        found.append(rule)
    return found


def allows(rules: Sequence[Rule], part: Part) -> bool:
    """Whether one of `rules`, which apply, lets this part of a command run. What it assigns or writes is not
    shown by how it begins: a part that does either is not allowed by its beginning."""
    return any(
        not rule.command or (_is_prefix(rule.command, part) and not part.assigned and not part.writes)
        for rule in rules
        if rule.decision == "allow"
    )


def _is_prefix(prefix: str, part: Part) -> bool:
    words = tuple(prefix.split())
    return part.words[: len(words)] == words


def _is_at(rule: Rule, access: Access) -> bool:
    location = access.location
    if location is None:
        return False
    if rule.path.startswith(("/", "~")):
        place = Path(os.path.realpath(Path(rule.path).expanduser()))
        return location.absolute.is_relative_to(place)
    return location.is_inside and GitIgnoreSpec.from_lines([rule.path]).match_file(location.path or ".")
