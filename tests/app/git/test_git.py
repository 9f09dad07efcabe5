"""Repositories in trouble, and what git starts: it neither reads the screen's terminal nor is waited for."""

import os
import pty
from pathlib import Path

import pytest

from app.git.errors import GitError
from app.git.git import Git
from app.review.desks.sources import Sources, source_of
from app.review.errors import ReviewError
from app.review.review import Review
from app.workspace.git import GitRepository
from tests.support.review.review_cases import git


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "gitconfig").write_text("[user]\nname = A\nemail = a@localhost\n")
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "--quiet", "-b", "main")
    (root / "a.txt").write_text("one\n")
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "one")
    (root / "a.txt").write_text("two\n")
    git(root, "add", "-A")
    return root


def hook(root: Path, name: str, script: str) -> None:
    path = root / ".git" / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def sources(root: Path) -> Sources:
    return Sources(root, Review(root))


def test_a_hook_cannot_read_the_terminal(repository: Path, tmp_path: Path) -> None:
    hook(repository, "pre-commit", "read -r answer < /dev/tty && echo got it >&2")
    child, terminal = pty.fork()
    if not child:  # a process whose controlling terminal is the other end of `terminal`, as the screen has one
        try:
            sources(repository).commit("two")
        except ReviewError as error:
            (tmp_path / "said").write_text(str(error))
        finally:
            os._exit(0)
    os.write(terminal, b"typed by the user\n")
    os.waitpid(child, 0)
    os.close(terminal)
    assert "git refused the commit" in (tmp_path / "said").read_text()
    assert git(repository, "log", "--format=%s").split() == [b"one"]


def test_what_a_hook_leaves_running_is_not_waited_for(repository: Path) -> None:
    hook(repository, "post-commit", "sleep 1000 & echo $! > ../pid")
    assert sources(repository).commit("two").startswith("Committed")
    pid = int((repository.parent / "pid").read_text())
    os.kill(pid, 9)  # it is still there


def test_reviewing_a_partial_clone_fetches_nothing(repository: Path, tmp_path: Path) -> None:
    git(repository, "commit", "--quiet", "-m", "two")
    git(repository, "config", "uploadpack.allowFilter", "true")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--filter=blob:none", "--no-checkout", f"file://{repository}", str(clone))
    with pytest.raises(GitError, match="partial clone"):
        sources(clone).changes(source_of(clone, "HEAD"))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda root: (root / ".git" / "config").write_text("[core\n"), "bad config"),
        (lambda root: [os.chown(place, 12345, 12345) for place in (root, root / ".git")], "dubious ownership"),
    ],
)
def test_git_s_own_words_are_told(repository: Path, damage, said: str) -> None:
    if os.geteuid() and said == "dubious ownership":
        pytest.skip("only root can give a folder to somebody else")
    damage(repository)
    with pytest.raises(ReviewError) as refused:
        sources(repository).commit("two")
    assert said in str(refused.value)


def test_a_turn_begins_beside_a_damaged_index(repository: Path) -> None:
    (repository / ".git" / "index").write_bytes(b"damaged")
    review = Review(repository)
    review.begin_turn(1)
    review.command_started()
    (repository / "a.txt").write_text("three\n")
    review.command_finished()
    review.end_turn(1)
    assert [change.path for change in review.changes()] == ["a.txt"]
    status = GitRepository(repository)
    assert status.status() is None
    assert "index" in status.notice


def test_the_command_that_failed_is_named_and_not_an_option_before_it(repository: Path) -> None:
    with pytest.raises(GitError, match="git add failed"):
        Git(repository).run("-C", str(repository), "--literal-pathspecs", "add", "--", "gone.txt")
