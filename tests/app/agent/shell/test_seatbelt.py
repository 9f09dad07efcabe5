"""The profile for macOS, read as sandbox-exec is documented to: the last rule that fits decides. Not run here;
the same questions are put to bubblewrap in test_commands."""

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from app.agent.shell.seatbelt import Seatbelt, seatbelt_profile
from app.settings.settings import settings_file

_TOKEN = re.compile(r'#"((?:[^"\\]|\\.)*)"|"((?:[^"\\]|\\.)*)"|([()])|([^\s()"]+)')


def parsed(profile: str) -> list[Any]:
    """The profile's expressions: lists of words, texts (as ("text", …)) and lists."""
    stack: list[list[Any]] = [[]]
    for pattern, text, bracket, word in _TOKEN.findall(profile):
        if bracket == "(":
            stack.append([])
        elif bracket == ")":
            inner = stack.pop()
            stack[-1].append(inner)
        else:
            stack[-1].append(word or pattern or re.sub(r"\\(.)", r"\1", text))
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
        if item[0] in ("local", "remote"):  # an end of a connection: (local unix-socket (subpath …))
            yield from _pairs([item[2]])
            continue
        assert item[0] in _FILTERS, f"a filter unknown here: {item}"
        yield item[0], item[1]


def _fits(name: str, value: str, place: str) -> bool:
    if name == "subpath":
        return Path(place).is_relative_to(value)
    if name == "regex":
        return re.search(value, place) is not None
    if name.endswith("-prefix"):
        return place.startswith(value)
    return place == value


_FILTERS = (
    *("subpath", "literal", "regex", "target", "global-name", "sysctl-name", "sysctl-name-prefix"),
    *("ipc-posix-name-prefix", "socket-domain"),
)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    # On macOS the folder for temporary files is the user's own; here it would be this very one.
    monkeypatch.setattr("app.agent.shell.seatbelt.tempfile.gettempdir", lambda: "/var/folders/zz/abc/T")
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
        ("file-write-create", root / ".GIT" / "Hooks" / "pre-commit", "deny"),
        ("file-write-create", root / ".git" / "COMMONDIR", "deny"),
        ("file-write-create", root / ".git" / "commondirs", "allow"),
        # A rename unlinks the old name.
        ("file-write-unlink", root / ".git", "deny"),
        ("file-write-unlink", root / ".git" / "index.lock", "allow"),
        ("file-read-data", "/usr/lib/x", "allow"),
        ("file-read-data", home / ".ssh" / "id_ed25519", "deny"),
        ("file-read-data", home / ".aws" / "credentials", "deny"),
        ("file-read-data", settings_file(), "deny"),
        ("file-read-data", home / "Library" / "Keychains" / "login.keychain-db", "deny"),
        ("network-outbound", "", "deny"),
        ("network-bind", "", "deny"),
        ("process-exec", "/bin/ls", "allow"),
        ("mach-lookup", "com.apple.SecurityServer", "deny"),
        ("mach-lookup", "com.apple.SystemConfiguration.configd", "allow"),
        ("mach-lookup", "com.apple.PowerManagement.control", "deny"),
        ("pseudo-tty", "", "allow"),
        ("file-ioctl", "/dev/ptmx", "allow"),
        ("file-write-data", "/dev/ttys003", "allow"),
        ("file-write-data", "/dev/disk0", "deny"),
        ("file-write-data", "/dev/stderr", "allow"),
        ("file-write-data", "/dev/fd/2", "allow"),
        ("ipc-posix-shm-write-create", "/__KMP_REGISTERED_LIB_1234", "allow"),
        ("ipc-posix-shm-write-create", "/other", "deny"),
        ("ipc-posix-shm-read-data", "apple.cfprefs.501v1", "allow"),
        ("sysctl-write", "kern.grade_cputype", "allow"),
        ("sysctl-write", "kern.maxproc", "deny"),
        ("file-write-create", "/var/folders/zz/abc/C/clang/ModuleCache/x", "allow"),
        ("file-write-create", "/var/folders/zz/abc/T/x", "deny"),
        ("file-write-create", "/private/tmp/x", "deny"),
        ("file-read-data", home / "Library" / "Safari" / "History.db", "deny"),
        ("file-read-data", home / "Library" / "Application Support" / "Arc" / "x", "deny"),
        ("network-bind", root / "test.sock", "allow"),
        ("network-outbound", "/scratch/server.sock", "allow"),
        ("network-outbound", "/var/run/docker.sock", "deny"),
        ("iokit-open", "", "deny"),
        ("signal", "same-sandbox", "allow"),
        ("signal", "others", "deny"),
        ("process-info-pidinfo", "others", "deny"),
        ("sysctl-read", "hw.ncpu", "allow"),
        ("sysctl-read", "kern.procargs2.1", "deny"),
    ):
        assert decision(profile, operation, str(place)) == expected, (operation, place)


def test_keys_are_kept_where_the_home_directory_is_the_workspace_or_links_lead(root: Path) -> None:
    home = root.parent / "home"
    (home / "kept").mkdir(parents=True)
    (home / ".aws").symlink_to(home / "kept")
    profile = seatbelt_profile(home, Path("/scratch"))
    for operation, place, expected in (
        ("file-read-data", ".ssh/id_ed25519", "deny"),
        ("file-write-data", ".ssh/id_ed25519", "deny"),
        ("file-read-data", "kept/credentials", "deny"),
        ("file-write-data", "project/a.py", "allow"),
    ):
        assert decision(profile, operation, str(home / place)) == expected, (operation, place)
    inside = seatbelt_profile(home / ".docker", Path("/scratch"))
    assert decision(inside, "file-write-data", str(home / ".docker" / "x")) == "allow"


def test_what_the_rules_hide_is_neither_read_nor_written(root: Path) -> None:
    (root / "deep" / "er").mkdir(parents=True)
    hidden = [root / "secrets", root / ".env", root / "deep" / "er" / "key"]
    everything_else = Seatbelt().hide(["true"], hidden)[2]
    for profile in (seatbelt_profile(root, Path("/scratch"), (), hidden), everything_else):
        for place in (root / "secrets" / "a.txt", root / ".env"):
            assert decision(profile, "file-read-data", str(place)) == "deny"
            assert decision(profile, "file-write-unlink", str(place)) == "deny"
        assert decision(profile, "file-write-unlink", str(root / "deep" / "er")) == "deny"
        assert decision(profile, "file-write-unlink", str(root / "deep" / "er" / "other")) == "allow"
        assert decision(profile, "file-write-data", str(root / "a.py")) == "allow"
    assert decision(everything_else, "network-outbound") == "allow"
