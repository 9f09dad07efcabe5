"""The profile for macOS, read as sandbox-exec is documented to: the last rule that fits decides. Not run here;
the same questions are put to bubblewrap in test_commands."""

import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest

from app.agent.shell.seatbelt import Seatbelt, seatbelt_profile
from app.settings.settings import settings_file
from tests.support.places import ROOT

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
    """What the profile says to an operation on a path, an address or a name: allow or deny. "own:" marks a
    terminal that the command opened, "unix:" and "ip:" an end of a connection."""
    decided = ""
    for rule in parsed(profile):
        if rule[0] not in ("allow", "deny"):
            continue
        operations = [item for item in rule[1:] if isinstance(item, str)]
        filters = [item for item in rule[1:] if isinstance(item, list)]
        if not any(name == "default" or fnmatchcase(operation, name) for name in operations):
            continue
        if not filters or any(_fits(item, place) for item in filters):
            decided = rule[0]
    return decided


def _fits(condition: list[Any], place: str) -> bool:
    name, value = condition[0], condition[1]
    kind, _, rest = place.partition(":")
    if name == "require-all":
        return all(_fits(item, place) for item in condition[1:])
    if name in ("local", "remote"):  # an end of a connection
        if value == "ip":
            return kind == "ip" and fnmatchcase(rest, condition[2])
        return kind == "unix" and _fits(condition[2], rest)
    if name == "extension":
        return kind == "own" and value == "com.apple.sandbox.pty"
    place = place.removeprefix("own:")
    if name == "subpath":
        return Path(place).is_relative_to(value)
    if name == "regex":
        return re.search(value, place) is not None
    if name.endswith("-prefix"):
        return place.startswith(value)
    assert name in _EXACT, f"a filter unknown here: {condition}"
    return bool(place == value)


_EXACT = ("literal", "target", "global-name", "sysctl-name", "socket-domain")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    # On macOS the folder for temporary files is the user's own; here it would be this very one.
    monkeypatch.setattr("app.agent.shell.seatbelt.tempfile.gettempdir", lambda: "/var/folders/zz/abc/T")
    (tmp_path / 'a "project"' / ".git" / "hooks").mkdir(parents=True)
    return tmp_path / 'a "project"'


def questions() -> list[tuple[str, ...]]:
    """The rows of the table beside this file: settings, our answer, Codex's, operation, place and reason."""
    rows: list[tuple[str, ...]] = []
    for line in Path(__file__).with_name("seatbelt_answers.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            answers, operation, place, *why = [*re.split(r"\s{2,}", line), ""]
            setting, ours, codex = answers.rpartition(" ")[0].rpartition(" ")[0], *answers.split()[-2:]
            rows.append((setting, ours, codex, operation, place, "".join(why)))
    return rows


def test_the_profile_answers_as_the_table_says_and_the_table_says_why_where_codex_differs(root: Path) -> None:
    for number in range(2):
        (root / ".git" / "modules" / ("lib", "deep/er")[number]).mkdir(parents=True)
        (root / ".git" / "modules" / ("lib", "deep/er")[number] / "HEAD").touch()
    profiles = {
        setting: seatbelt_profile(root, Path("/scratch"), local_servers=bool(setting))
        for setting in ("", "local")
    }
    assert all(parsed(profile)[:2] == [["version", "1"], ["deny", "default"]] for profile in profiles.values())
    names = {
        "ROOT": root,
        "HOME": root.parent / "home",
        "BESIDE": root.parent,
        "SCRATCH": "/scratch",
        "TEMP": "/var/folders/zz/abc/T",
        "CACHE": "/var/folders/zz/abc/C",
        "SETTINGS": settings_file(),
    }
    rows = questions()
    assert len(rows) == len(set(rows)) >= 200
    differing = sum(ours != codex for _, ours, codex, *_ in rows)
    said = (ROOT / ".github" / "docs" / "macos.md").read_text()
    assert f"{len(rows)} of them, with a reason for each of the {differing} that differ" in said
    wrong = []
    for setting, ours, codex, operation, place, why in rows:
        assert {ours, codex} <= {"+", "-"}
        assert ours == codex or why, f"no reason for {operation} {place}"
        asked = re.sub("|".join(names), lambda match: str(names[match[0]]), place).removeprefix(".")
        if decision(profiles[setting], operation, asked) != {"+": "allow", "-": "deny"}[ours]:
            wrong.append((setting, operation, asked))
    assert wrong == []


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
