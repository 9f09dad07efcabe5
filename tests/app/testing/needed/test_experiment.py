"""The search carried out on scratch copies, with commands as a project's tests."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.review.desks.source_desk import SourceDesk
from app.review.desks.sources import STAGED, WORK_TREE, Source, Sources
from app.review.needed.subsets import Subsets
from app.review.review import Review
from app.testing.model import Report
from app.testing.needed import experiment
from app.testing.needed.experiment import Experiment, Finding, Undecidable
from app.testing.run import TestRun
from app.workspace.workspace import Workspace
from tests.support.review.review_cases import git
from tests.support.ui.screen import edit

PASSES = 'test "$(cat fix.txt)" = right && test ! -e harm.txt'
RIGHT = {"fix.txt": "needed", "harm.txt": "breaks the tests", "other.txt": "tests indifferent"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / ".gitignore").write_text("*.log\nvenv/\n")
    (root / "kept.log").write_text("forced")
    (root / "big.log").write_text("ignored")
    (root / "fix.txt").write_text("wrong")
    (root / "venv").mkdir()
    (root / "venv" / "tool").write_text("there")
    (root / "link").symlink_to("fix.txt")
    git(root, "init", "--quiet")
    git(root, "add", "-A")
    git(root, "add", "-f", "kept.log")
    git(root, "commit", "--quiet", "-m", "one")
    edit(Review(root), root, fix__txt="right", harm__txt="harm", other__txt="other")
    return root


def tree(root: Path) -> Mapping[str, object]:
    """All of a folder: what is there, and when it was last written."""
    return {
        str(path.relative_to(root)): (facts.st_mtime_ns, facts.st_ino, facts.st_size)
        for path in root.rglob("*")
        if (facts := path.lstat())
    }


def verdicts(one: Experiment, subsets: Subsets) -> dict[str, str]:
    return {subsets.hunks[name][0]: said for name, said in one.search.verdicts.items()}


async def tried(root: Path, line: str, seconds: float = 600) -> tuple[Experiment, Subsets, Finding, int]:
    subsets = Review(root).subsets()
    runs = [0]
    one = Experiment(
        Workspace(root), subsets, line, seconds, lambda progress: runs.__setitem__(0, progress.runs)
    )
    return one, subsets, await one.run(), runs[0]


async def test_hunks_are_tried_on_copies_and_nothing_else_is_touched(root: Path) -> None:
    before = tree(root)
    # A copy has no git, what is tracked though ignored, links as such, the environment; and each is new.
    copy = "test ! -e .git && test -e kept.log && test ! -e big.log && test -L link && test -L venv"
    line = f"{copy} && test ! -e left && touch left && {PASSES}"
    one, subsets, finding, runs = await tried(root, line)
    assert verdicts(one, subsets) == RIGHT
    smallest = one.search.smallest or set()
    assert {subsets.hunks[name][0] for name in smallest} == {"fix.txt"}
    assert finding.is_whole and "pass without 1 hunk." in finding.sentence and runs > 4
    assert tree(root) == before
    # Known by the content of the copies: nothing runs again, and with another command all does.
    again, _, _, runs = await tried(root, line)
    assert again.search.verdicts == one.search.verdicts and runs == 0
    _, _, _, runs = await tried(root, f"{line} # other")
    assert runs > 4


@pytest.mark.parametrize("kind", ["commit", "staged", "work tree"])
async def test_hunks_of_what_git_shows_are_tried_on_the_files_of_that(root: Path, kind: str) -> None:
    if kind != "work tree":
        git(root, "add", "-A")
        if kind == "commit":
            git(root, "commit", "--quiet", "-m", "two")
        # What the work tree has since counts for neither.
        (root / "fix.txt").write_text("wrong again")
    review = Review(root)
    source = {"commit": Source("commit", "HEAD", "HEAD"), "staged": STAGED, "work tree": WORK_TREE}[kind]
    desk, before = SourceDesk(source, Sources(root, review), review), tree(root)
    subsets = desk.subsets()
    one = Experiment(
        Workspace(root),
        subsets,
        f"test -e kept.log && test ! -e big.log && test -L venv && {PASSES}",
        600,
        lambda _: None,
        write_tree=desk.write_tree,
    )
    await one.run()
    assert {subsets.hunks[name][0]: said for name, said in one.search.verdicts.items()} == RIGHT
    assert {path: facts for path, facts in tree(root).items() if not path.startswith(".git/")} == {
        path: facts for path, facts in before.items() if not path.startswith(".git/")
    }


async def test_what_fails_with_and_without_the_hunks_decides_nothing(root: Path) -> None:
    with pytest.raises(Undecidable, match="fail with these hunks and without them"):
        await tried(root, "false")


async def test_a_command_that_names_the_project_would_run_elsewhere(root: Path) -> None:
    with pytest.raises(Undecidable, match="names the project's own folder"):
        await tried(root, f"cd {root} && true")


async def test_what_a_run_leaves_behind_is_gone_and_a_word_is_said_where_nothing_matters(root: Path) -> None:
    # A folder that cannot be written any more is in nobody's way.
    line = "test ! -e left && mkdir -p left/in && touch left/in/file && chmod a-w left/in left"
    one, subsets, finding, _ = await tried(root, line)
    assert set(verdicts(one, subsets).values()) == {"tests indifferent"}
    assert "None makes a difference" in finding.sentence


async def test_flaky_tests_decide_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 0

    async def runs(*_arguments: object, **_options: object) -> TestRun:
        nonlocal count
        count += 1
        return TestRun(count % 2, Report(), 0.1, was_confined=False)

    monkeypatch.setattr(experiment, "run_tests", runs)
    with pytest.raises(Undecidable, match="flaky"):
        await tried(root, "flaky")


@pytest.mark.parametrize("last", [0, 2, 5])
async def test_when_the_time_is_up_what_was_said_is_right(
    root: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    count = 0

    async def runs(_line: str, workspace: Workspace, *_: object, **_options: object) -> TestRun:
        nonlocal count
        count += 1
        if count > last:
            await asyncio.Event().wait()
        copy = workspace.root
        passes = (copy / "fix.txt").read_text() == "right" and not (copy / "harm.txt").exists()
        return TestRun(int(not passes), Report(), 0.1, was_confined=False)

    monkeypatch.setattr(experiment, "run_tests", runs)
    one, subsets, finding, _ = await tried(root, f"slow {last}", seconds=0.2)
    assert not finding.is_whole and "not decided" in finding.sentence
    assert verdicts(one, subsets).items() <= RIGHT.items()
