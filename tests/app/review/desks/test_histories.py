"""Histories as they come: merges with changes of their own, and repositories of jj."""

from pathlib import Path

import pytest

from app.commands import review as command
from app.errors import TidegateError
from app.review.desks.source_desk import SourceDesk
from app.review.desks.sources import Sources, source_of
from app.review.errors import ReviewError
from app.review.review import Review
from tests.support.review.review_cases import git

SEVEN = [f"line {number}\n" for number in range(7)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "--quiet", "-b", "main")
    commit(root, SEVEN, "base")
    return root


def commit(root: Path, lines: list[str], message: str) -> str:
    (root / "a.txt").write_text("".join(lines))
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", message)
    return git(root, "rev-parse", "HEAD").decode().strip()


def merged(root: Path, resolved: list[str]) -> None:
    git(root, "checkout", "--quiet", "-b", "topic")
    commit(root, ["theirs\n", *SEVEN[1:]], "theirs")
    git(root, "checkout", "--quiet", "main")
    commit(root, [*SEVEN[:6], "ours\n"], "ours")
    git(root, "merge", "--no-commit", "--quiet", "topic", check=False)
    commit(root, resolved, "merge")


def desk_of(root: Path, what: str) -> SourceDesk:
    log = Review(root)
    return SourceDesk(source_of(root, what), Sources(root, log), log)


def test_of_a_merge_its_own_changes_are_shown(root: Path) -> None:
    merged(root, ["theirs\n", *SEVEN[1:3], "and this\n", *SEVEN[4:6], "ours\n"])
    (change,) = desk_of(root, "HEAD").changes()
    changed = [(line.kind, line.text) for line in change.hunks[0].lines if line.kind != "context"]
    assert (change.kind, changed) == ("modified", [("removed", "line 3"), ("added", "and this")])


def test_a_merge_without_changes_of_its_own_has_none(root: Path) -> None:
    merged(root, ["theirs\n", *SEVEN[1:6], "ours\n"])
    assert desk_of(root, "HEAD").changes() == ()


def test_a_conflict_that_was_resolved_is_what_the_merge_changed(root: Path) -> None:
    git(root, "checkout", "--quiet", "-b", "topic")
    commit(root, [*SEVEN[:3], "theirs\n", *SEVEN[4:]], "theirs")
    git(root, "checkout", "--quiet", "main")
    commit(root, [*SEVEN[:3], "ours\n", *SEVEN[4:]], "ours")
    git(root, "merge", "--quiet", "topic", check=False)
    commit(root, [*SEVEN[:3], "both\n", *SEVEN[4:]], "merge")
    (change,) = desk_of(root, "HEAD").changes()
    lines = change.hunks[0].lines
    assert [line.text for line in lines if line.kind == "added"] == ["both"]
    assert "<<<<<<<" in next(line.text for line in lines if line.kind == "removed")


def test_a_walk_ends_at_both_ends(root: Path) -> None:
    commit(root, SEVEN[1:], "one")
    commit(root, SEVEN[2:], "two")
    desk = desk_of(root, "HEAD^")
    assert desk.step(1).title.endswith("two (3 of 3)")
    with pytest.raises(ReviewError, match="last commit"):
        desk.step(1)
    assert desk.step(-1).title.endswith("one (2 of 3)")
    assert desk.step(-1).title.endswith("base (1 of 3)")
    with pytest.raises(ReviewError, match="nothing before"):
        desk.step(-1)
    empty = desk_of(root, "HEAD..HEAD")
    with pytest.raises(ReviewError, match="last commit"):
        empty.step(1)


def jj_of(root: Path, place: Path) -> Path:
    """A jj repository that is not colocated: the git store of `root` lies in it."""
    store = place / ".jj" / "repo" / "store"
    store.mkdir(parents=True)
    git(root, "clone", "--quiet", "--bare", str(root), str(store / "git"))
    (store / "git_target").write_text("git")
    return place


def test_commits_of_a_jj_repository_are_read_from_its_git_store(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = commit(root, SEVEN[1:], "one")
    here = jj_of(root, tmp_path / "jj")
    programs = tmp_path / "bin"
    programs.mkdir()
    jj = programs / "jj"
    jj.write_text(f'#!/bin/sh\ncase "$*" in *qpvuntsm*) echo {head};; *) exit 1;; esac\n')
    jj.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    titles = {
        "main": "main",
        "qpvuntsm": f"qpvuntsm ({head[:10]})",
        "main~1..qpvuntsm": f"main~1..qpvuntsm (main~1..{head[:10]})",
    }
    for what, title in titles.items():
        source, store = command.source_here(here, what)
        assert source.title == title
        changes = SourceDesk(source, Sources(store, log := Review(store)), log).changes()
        assert [change.path for change in changes] == ["a.txt"], what
    with pytest.raises(TidegateError, match="jj diff --git"):
        command.source_here(here, None)
    with pytest.raises(ReviewError, match="neither a commit nor"):
        command.source_here(here, "nothing")


def test_a_jj_repository_beside_a_git_repository_is_read_by_both_names(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / ".jj" / "repo").mkdir(parents=True)
    assert command.source_here(root, None)[1] == root
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(ReviewError, match="neither a commit nor"):
        command.source_here(root, "qpvuntsm")
