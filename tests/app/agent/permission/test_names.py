"""A file has one name for every rule, however it is spelled, and keeps it."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.agent.permission.permissions import Permissions
from app.agent.shell.hidden import git_triggers
from app.agent.shell.sandbox import Sandbox, find_sandbox
from app.agent.tools.base import Access
from app.settings.settings import Rule
from app.workspace.names import folds_case, is_git_name, spelled_on_disk
from app.workspace.workspace import Location, Workspace


@pytest.mark.parametrize("name", [".git", ".GIT", ".Git", ".g\u200cit", "GIT~1"])
def test_git_is_git_in_any_spelling(name: str, tmp_path: Path) -> None:
    assert is_git_name(name)
    permissions = Permissions(Workspace(tmp_path), "auto")
    hook = Location(tmp_path / name / "hooks" / "pre-commit", f"{name}/hooks/pre-commit", True)
    assert permissions.judge(Access("write", hook), "write_file").decision == "ask"
    assert not is_git_name(".github")


def test_a_rule_holds_for_every_spelling_where_the_disk_folds_case(tmp_path: Path) -> None:
    rules = [Rule("deny", path=".env"), Rule("deny", path=f"{tmp_path}/Kept")]
    for folds, expected in ((True, "deny"), (False, "allow")):
        workspace = Workspace(tmp_path)
        workspace.folds_case = folds
        permissions = Permissions(workspace, "auto", rules=rules)
        for name in (".ENV", "kept/KEY", "sub/.Env"):
            location = Location(tmp_path / name, name, True)
            assert permissions.judge(Access("read", location), "read_file").decision == expected, (folds, name)


def test_a_path_is_spelled_as_the_disk_has_it() -> None:
    tree = {
        "/": ["Users"],
        "/Users": ["me"],
        "/Users/me": ["Projekt-e\u0301", "src"],
        "/Users/me/src": ["A.py", "a.py"],
    }

    def names(place: Path) -> list[str]:
        try:
            return tree[str(place)]
        except KeyError:
            raise FileNotFoundError(place) from None

    for asked, there in (
        ("/USERS/Me/SRC/New.py", "/Users/me/src/New.py"),
        ("/users/me/src/a.py", "/Users/me/src/a.py"),
        ("/users/me/projekt-\u00e9/x", "/Users/me/Projekt-e\u0301/x"),
    ):
        assert spelled_on_disk(Path(asked), names) == Path(there)


@pytest.mark.skipif(sys.platform != "linux", reason="on a Mac the answer depends on the volume")
def test_this_disk_tells_capitals_apart(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert not folds_case(tmp_path) and not folds_case(tmp_path / "none")


WAYS_ROUND = [
    "mv .git g && cp -r g .git; echo x > .git/hooks/pre-commit",
    "mv .git/hooks h; mkdir .git/hooks; echo x > .git/hooks/pre-commit",
    "cp -r .git g && rm -rf .git; mv g .git; echo x > .git/hooks/pre-commit",
    "ln -s $PWD/.git link; echo x > link/hooks/pre-commit",
    "echo x > /proc/self/root$PWD/.git/hooks/pre-commit",
    "echo x > /proc/self/cwd/.git/hooks/pre-commit",
    "unshare -Urm sh -c 'mkdir other; mount --bind . other && echo x > other/.git/hooks/pre-commit'",
    "unshare -Urm sh -c 'umount .git/hooks; umount .git; echo x > .git/hooks/pre-commit'",
    "cd ..; mv work w; mkdir work; cp -r w/. work; echo x > work/.git/hooks/pre-commit",
    "git config core.hooksPath $PWD/evil",
    "mv .git/worktrees w; cp -r w .git/worktrees; echo /tmp/evil > .git/worktrees/side/commondir",
    "mv .git/worktrees/side s; cp -r s .git/worktrees/side; echo /tmp/evil > .git/worktrees/side/commondir",
    "git --git-dir .git/modules/lib config core.fsmonitor /tmp/evil",
    "echo x > .git/modules/lib/hooks/pre-commit",
    "mv .git/modules m; cp -r m .git/modules; echo x > .git/modules/lib/config",
    "ln secrets/key k && cat k && cp k shown",
    "mv secrets s && cp s/key shown",
    "mv secrets s; mkdir secrets; echo fake > secrets/key",
    "mv deep d; mkdir -p deep/er; echo fake > deep/er/key",
]


@pytest.mark.skipif(
    sys.platform != "linux" or find_sandbox() is None, reason="NO SANDBOX: bubblewrap is missing"
)
@pytest.mark.parametrize("way", WAYS_ROUND)
def test_no_way_leads_round_what_is_kept(way: str, tmp_path: Path) -> None:
    root, scratch = tmp_path / "work", tmp_path / "scratch"
    for directory in (root / "secrets", root / "deep" / "er", scratch):
        directory.mkdir(parents=True)
    for key in (root / "secrets" / "key", root / "deep" / "er" / "key"):
        key.write_text("private")
    for command in (
        ["init", "-q"],
        ["commit", "-q", "--allow-empty", "-m", "one"],
        ["worktree", "add", "-q", "../side"],
        ["init", "-q", "--bare", ".git/modules/lib"],
    ):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *command], cwd=root, check=True)
    (root / ".git" / "hooks").mkdir(exist_ok=True)
    common = root / ".git" / "worktrees" / "side" / "commondir"
    module = root / ".git" / "modules" / "lib"
    kept = (root / ".git" / "config", common, module / "config")
    before = [file.read_bytes() for file in kept]
    sandbox: Sandbox | None = find_sandbox()
    assert sandbox is not None
    hidden = [root / "secrets" / "key", root / "deep" / "er"]
    line = sandbox.wrap(["bash", "-c", way], root, scratch, (), hidden)
    subprocess.run(line, cwd=root, capture_output=True, check=False)
    assert not any((place / "hooks" / "pre-commit").exists() for place in (root / ".git", module))
    assert [file.read_bytes() for file in kept] == before
    assert (root / "secrets" / "key").read_text() == (root / "deep" / "er" / "key").read_text() == "private"
    assert not (root / "shown").exists() or (root / "shown").read_text() != "private"
    assert git_triggers(root, ()), "there was something to keep"
