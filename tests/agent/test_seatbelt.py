"""The profile for macOS, read as sandbox-exec is documented to: the last rule that fits decides. Not run here;
the same questions are put to bubblewrap in test_commands."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from app.agent.sandbox import seatbelt_profile

_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"|([()])|([^\s()"]+)')


def parsed(profile: str) -> list[Any]:
    """The profile's expressions: lists of words, texts (as ("text", …)) and lists."""
    stack: list[list[Any]] = [[]]
    for text, bracket, word in _TOKEN.findall(profile):
        if bracket == "(":
            stack.append([])
        elif bracket == ")":
            inner = stack.pop()
            stack[-1].append(inner)
        else:
            stack[-1].append(word or re.sub(r"\\(.)", r"\1", text))
    assert len(stack) == 1, "brackets that do not match"
    return stack[0]


def decision(profile: str, operation: str, place: str = "") -> str:
    """What the profile says to an operation on a path: allow or deny."""
    decided = ""
    for rule in parsed(profile):
        if rule[0] not in ("allow", "deny"):
            continue
        operations = [item for item in rule[1:] if isinstance(item, str)]
        filters = [item for item in rule[1:] if isinstance(item, list)]
        if not any(name == "default" or fnmatchcase(operation, name) for name in operations):
            continue
        if not filters or any(_fits(name, value, place) for name, value in _pairs(filters)):
            decided = rule[0]
    return decided


def _pairs(filters: list[list[str]]) -> Iterator[tuple[str, str]]:
    for item in filters:
        assert item[0] in ("subpath", "literal", "target", "global-name"), f"a filter unknown here: {item}"
        yield item[0], item[1]


def _fits(name: str, value: str, place: str) -> bool:
    if name == "subpath":
        return Path(place).is_relative_to(value)
    return name == "literal" and place == value


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    # On macOS the folder for temporary files is the user's own; here it would be this very one.
    monkeypatch.setattr("app.agent.sandbox.tempfile.gettempdir", lambda: "/temporary")
    (tmp_path / 'a "project"' / ".git" / "hooks").mkdir(parents=True)
    return tmp_path / 'a "project"'


def test_the_profile_allows_the_workspace_and_little_else(root: Path) -> None:
    profile = seatbelt_profile(root, Path("/scratch"))
    home = root.parent / "home"
    assert parsed(profile)[:2] == [["version", "1"], ["deny", "default"]]
    for operation, place, expected in (
        ("file-write-data", root / "src" / "a.py", "allow"),
        ("file-write-data", "/scratch/x", "allow"),
        ("file-write-data", root.parent / "beside", "deny"),
        ("file-write-data", home / ".bashrc", "deny"),
        ("file-write-data", "/etc/hosts", "deny"),
        ("file-write-data", root / ".git" / "hooks" / "pre-commit", "deny"),
        ("file-write-data", root / ".git" / "config", "deny"),
        ("file-write-data", root / ".git" / "index", "allow"),
        ("file-read-data", "/usr/lib/x", "allow"),
        ("file-read-data", home / ".ssh" / "id_ed25519", "deny"),
        ("file-read-data", home / ".aws" / "credentials", "deny"),
        ("file-read-data", home / "Library" / "Keychains" / "login.keychain-db", "deny"),
        ("network-outbound", "", "deny"),
        ("network-bind", "", "deny"),
        ("process-exec", "/bin/ls", "allow"),
        ("mach-lookup", "com.apple.SecurityServer", "deny"),
        ("iokit-open", "", "deny"),
    ):
        assert decision(profile, operation, str(place)) == expected, (operation, place)
