"""git status in every state a repository can be in, on real repositories."""

import asyncio
import os
import subprocess
from contextlib import aclosing
from pathlib import Path

import pytest

from app.git.errors import GitError
from app.workspace.model import FileStatus
from app.workspace.watch import ANYTHING, GIT_STATE
from app.workspace.workspace import Workspace
from tests.support.patience import LONGEST


def git(directory: Path, *arguments: str, check: bool = True) -> None:
    identity = {
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@b",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@b",
    }
    subprocess.run(
        ["git", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always", *arguments],
        cwd=directory, check=check, capture_output=True, env={**os.environ, **identity},
    )  # fmt: skip


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "sub dir").mkdir(parents=True)
    for name in ("a", "b", "c", "d", "sub dir/é"):
        (root / name).write_text(name * 50 + "\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


def test_outside_a_repository_and_before_the_first_commit(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert workspace.status() is None and "not in a git repository" in workspace.git.notice
    git(tmp_path, "init", "-q")
    (tmp_path / "x").write_text("")
    status = workspace.status()
    assert status is not None and (status.branch, status.head) == ("main", None)
    assert status.files == {"x": FileStatus(worktree="untracked")}
    assert workspace.git.notice == ""


def test_every_kind_of_change(repository: Path) -> None:
    (repository / "a").write_text("changed")
    git(repository, "mv", "b", "sub dir/new\tname")
    (repository / "c").unlink()
    git(repository, "rm", "-q", "d")
    (repository / "added").write_text("1")
    git(repository, "add", "added")
    (repository / "added").write_text("2")
    (repository / "sub dir/é").write_text("x")
    (repository / "un").mkdir()
    (repository / "un/tracked").write_text("")
    status = Workspace(repository).status()
    assert status is not None
    assert status.files == {
        "a": FileStatus(worktree="modified"),
        "sub dir/new\tname": FileStatus(index="renamed"),
        "c": FileStatus(worktree="deleted"),
        "d": FileStatus(index="deleted"),
        "added": FileStatus(worktree="modified", index="added"),
        "sub dir/é": FileStatus(worktree="modified"),
        "un/tracked": FileStatus(worktree="untracked"),
    }
    # A workspace that is a part of the repository sees its part, by its own names.
    part = Workspace(repository / "sub dir").status()
    assert part is not None
    assert part.files == {"new\tname": FileStatus(index="added"), "é": FileStatus(worktree="modified")}


def test_operations_conflicts_and_detached_heads(repository: Path) -> None:
    git(repository, "checkout", "-qb", "other")
    (repository / "a").write_text("other\n")
    git(repository, "commit", "-qam", "other")
    git(repository, "checkout", "-q", "main")
    (repository / "a").write_text("main\n")
    git(repository, "commit", "-qam", "main")
    workspace = Workspace(repository)
    for command, operation in (("merge", "merge"), ("rebase", "rebase"), ("cherry-pick", "cherry-pick")):
        git(repository, command, "other", check=False)
        status = workspace.status()
        assert status is not None and status.operation == operation
        assert status.files == {"a": FileStatus("conflicted", "conflicted")}
        for path in ("a", "."):
            with pytest.raises(GitError, match="a has conflicts"):
                workspace.git.stage(path)
        assert workspace.status() == status  # git still knows both sides
        git(repository, command, "--abort")
    git(repository, "checkout", "-q", "--detach")
    status = workspace.status()
    assert status is not None and status.branch is None and status.head and status.operation is None


def test_worktrees_submodules_and_distance_from_upstream(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    side = Workspace(tmp_path / "side")
    git(tmp_path / "side", "cherry-pick", "--no-commit", "HEAD", check=False)
    status = side.status()
    assert status is not None and status.branch == "side"
    assert side.git.directory is not None and side.git.directory.parent.name == "worktrees"

    git(tmp_path, "clone", "-q", str(repository), "clone")
    clone = tmp_path / "clone"
    git(clone, "submodule", "--quiet", "add", str(repository), "module")
    git(clone, "commit", "-qm", "with module")
    (clone / "module" / "a").write_text("inside\n")
    status = Workspace(clone).status()
    assert status is not None and (status.ahead, status.behind) == (1, 0)
    # What is changed within would be asked of the git configuration there, which anybody may have written.
    assert status.files == {}
    inner = Workspace(clone / "module").status()
    assert inner is not None and inner.files == {"a": FileStatus(worktree="modified")}
    git(clone / "module", "commit", "-qam", "another")
    status = Workspace(clone).status()
    assert status is not None and status.files == {"module": FileStatus(worktree="modified")}


def test_without_git_there_is_a_notice(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    workspace = Workspace(repository)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert workspace.status() is None
    assert "git was not found" in workspace.git.notice


async def test_changes_by_other_programs_are_noticed(repository: Path) -> None:
    (repository / ".gitignore").write_text("*.log\n")
    seen: set[str] = set()

    async def watch() -> None:
        async with aclosing(Workspace(repository).watch()) as changes:
            async for paths in changes:
                seen.update(paths)
                if {"a", "ready", GIT_STATE} <= seen:
                    return

    watching = asyncio.create_task(watch())
    # The watcher says nothing when it is up: knock until it answers.
    while "ready" not in seen and not watching.done():
        (repository / "ready").write_text("x")
        await asyncio.sleep(0.05)
    (repository / "noise.log").write_text("x")
    (repository / "a").write_text("x")
    await asyncio.to_thread(git, repository, "add", "a")
    await asyncio.wait_for(watching, LONGEST)
    assert "noise.log" not in seen
    assert not any(path.startswith(".git/") for path in seen)


async def test_watching_goes_on_after_a_name_that_is_no_utf8(repository: Path) -> None:
    seen: list[frozenset[str]] = []

    async def watch() -> None:
        async with aclosing(Workspace(repository).watch()) as changes:
            async for paths in changes:
                seen.append(paths)

    async def write_until_seen(name: str | bytes, path: str) -> None:
        count = len(seen)
        while not any(path in paths for paths in seen[count:]):
            assert not watching.done()
            with open(os.path.join(os.fsencode(repository), os.fsencode(name)), "w") as file:  # noqa: PTH118, PTH123, ASYNC230
                file.write("x")
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(watch())
    async with asyncio.timeout(LONGEST):
        await write_until_seen("before", "before")
        await write_until_seen(b"\xff", ANYTHING)
        await write_until_seen("after", "after")
    watching.cancel()
