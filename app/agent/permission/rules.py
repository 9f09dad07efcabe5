"""The user's own rules for calls, from the settings: which of them apply to one call, and what they say."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

from pathspec import GitIgnoreSpec

from app.agent.permission.commands.forms import forms
from app.agent.permission.commands.judge import Judgement
from app.agent.permission.commands.leaving import is_there
from app.agent.permission.commands.named import named_locations
from app.agent.permission.commands.simple_commands import SimpleCommand
from app.agent.permission.commands.wrapped import unwrap
from app.agent.tools.base import Access
from app.paths import expanded
from app.settings.settings import Rule
from app.workspace.names import folded
from app.workspace.workspace import Location, Workspace

_ANYWHERE = ("/", "~")  # how a pattern begins that is a directory anywhere
_MOST_HIDDEN = 500  # files; each is an option on the command line of the sandbox
_MOST_LOOKED_AT = 300_000  # directory entries


def in_words(rule: Rule) -> str:
    """The rule as a person would say it."""
    parts = [rule.tool] if rule.tool else []
    parts += [f"`{rule.command} …`"] if rule.command else []
    parts += [rule.path] if rule.path else []
    return " ".join(parts) or "every call"


def applying(
    rules: Sequence[Rule], tool: str, access: Access, judgement: Judgement, folds: bool = False
) -> list[Rule]:
    """The rules that deny or ask about the call, and those that allow it; on a disk that `folds` case, a path's
    capitals do not matter. A command is denied or asked about
    where any of its parts is meant; whether all of them are allowed is asked part by part (`allows`)."""
    found = []
    seen = [form for part in (*judgement.parts, *judgement.inner) for form in forms(part)]
    for rule in rules:
        # What is hidden in a command may forbid it, but not let it run.
        parts = judgement.parts if rule.decision == "allow" else seen
        if (rule.tool and not fnmatchcase(tool, rule.tool)) or (
            rule.path and not _is_at(rule, access, parts, folds)
        ):
            continue
        if rule.command and not any(
            _is_prefix(rule.command, form) for part in parts for form in (part, unwrap(part))
        ):
            continue
        found.append(rule)
    return found


def allows(rules: Sequence[Rule], part: SimpleCommand) -> bool:
    """Whether one of `rules`, which apply, lets this part of a command run. What it assigns or writes is not
    shown by how it begins: a part that does either is not allowed by its beginning."""
    return any(
        not rule.command or (_is_prefix(rule.command, part) and not part.assigned and not part.writes)
        for rule in rules
        if rule.decision == "allow"
    )


def _is_prefix(prefix: str, part: SimpleCommand) -> bool:
    words = tuple(prefix.split())
    return part.words[: len(words)] == words


def hidden(rules: Sequence[Rule], tool: str, workspace: Workspace) -> Callable[[str], bool]:
    """Whether the file at a path, relative to the root or absolute, is kept from what `tool` finds in folders
    around it: a rule denies reading it, or asks first."""
    held = [_matcher(pattern, workspace.folds_case) for pattern in _held(rules, tool)]
    if not held:
        return lambda _path: False

    def is_hidden(path: str) -> bool:
        location = workspace.locate(path)
        return any(matches(location) for matches in held)

    return is_hidden


def _held(rules: Sequence[Rule], tool: str) -> list[str]:
    """The patterns of the files that `tool` must not find."""
    return [
        rule.path
        for rule in rules
        if rule.path and not rule.command and rule.decision != "allow"
        if any(fnmatchcase(name, rule.tool or "*") for name in (tool, "read_file"))
    ]


def hidden_places(rules: Sequence[Rule], tool: str, root: Path, folds: bool = False) -> tuple[Path, ...] | None:
    """The files and directories that `hidden` speaks of, as far as they exist now, links followed; a directory
    stands for all in it. None where they are too many to name, or the workspace is too large to be looked
    through. Blocks on the disk."""
    patterns = _held(rules, tool)
    outside = [expanded(pattern) for pattern in patterns if pattern.startswith(_ANYWHERE)]
    found = [Path(os.path.realpath(place)) for place in outside if is_there(place)]
    spell = folded if folds else str
    specs = [GitIgnoreSpec.from_lines([spell(_whole(p))]) for p in patterns if not p.startswith(_ANYWHERE)]
    waiting = [""] if specs else []
    looked_at = 0
    while waiting:
        directory = waiting.pop()
        entries: list[os.DirEntry[str]] = []
        with suppress(OSError):  # what cannot be listed now, no command will list either
            entries = list(os.scandir(root / directory))
        for entry in entries:
            path = directory + entry.name
            is_directory = _is_directory(entry)
            shown = f"{path}/" if is_directory else path
            if any(spec.match_file(spell(shown)) for spec in specs):
                found.append(Path(os.path.realpath(root / path)))
            elif is_directory and not entry.is_symlink() and entry.name != ".git":
                waiting.append(shown)
        looked_at += len(entries)
        if looked_at > _MOST_LOOKED_AT or len(found) > _MOST_HIDDEN:
            return None
    return tuple(dict.fromkeys(found))


def _is_directory(found: "os.DirEntry[str] | Path") -> bool:
    """Whether it is one or leads to one; False for a name that is too long or a directory that is closed."""
    try:
        return found.is_dir()
    except OSError:
        return False


def _whole(pattern: str) -> str:
    """`pattern`, or the directory where it means everything in one."""
    return f"/{pattern.lstrip('/').removesuffix('**')}" if pattern.endswith("/**") else pattern


def _is_at(rule: Rule, access: Access, parts: Sequence[SimpleCommand], folds: bool) -> bool:
    if access.location is None:
        return False
    matches = _matcher(rule.path, folds)
    if matches(access.location):
        return True
    root = Path(str(access.location.absolute).removesuffix(access.location.path))
    return any(matches(location) for location in named_locations(parts, access.location.absolute, root))


def _matcher(pattern: str, folds: bool) -> Callable[[Location], bool]:
    spell = folded if folds else str
    if pattern.startswith(_ANYWHERE):
        place = spell(os.path.realpath(expanded(pattern)))
        return lambda location: Path(spell(str(location.absolute))).is_relative_to(place)
    spec = GitIgnoreSpec.from_lines([spell(pattern)])

    def matches(location: Location) -> bool:
        names = [location.path or "."] if location.is_inside else []
        return any(
            spec.match_file(spell(name))
            or (spec.match_file(spell(f"{name}/")) and _is_directory(location.absolute))
            for name in (*names, location.named)
            if name
        )

    return matches
