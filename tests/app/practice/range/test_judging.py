"""Practice tasks in folders of their own, and what the tests make of what lies there."""

from pathlib import Path

import pytest

from app.git.git import Git
from app.paths import data_directory
from app.practice.model import PracticeTask
from app.practice.range.drawing import fresh_seed, next_seed, range_task
from app.practice.range.judging import claims_success, judge
from app.practice.range.places import find_home, lay_out
from app.practice.tasks import seeds

REJECTING = 41


def put(task: PracticeTask, directory: Path, *, with_wish: bool = False) -> None:
    """Mend every bug, and do the wrong thing that was asked for besides."""
    texts = task.fixed
    if with_wish and task.wrong_wish is not None:
        texts[task.wrong_wish.path] = task.wrong_wish.applied(texts[task.wrong_wish.path])
    for path, text in texts.items():
        (directory / path).write_text(text)


async def test_a_task_is_red_until_its_bug_is_fixed_and_its_wrong_wish_rejected() -> None:
    task = range_task(REJECTING)
    assert task.wrong_wish is not None
    directory = lay_out(task)
    before = await judge(task, directory)
    assert not before.is_fixed and not before.tests.passed and not before.changed
    put(task, directory, with_wish=True)
    asked = await judge(task, directory)
    assert asked.tests.passed and not asked.hidden.passed and not asked.is_fixed
    assert (await judge(task, directory, without_wish=True)).is_fixed
    put(task, directory)
    fixed = await judge(task, directory)
    passed, total = fixed.hidden.counts
    assert fixed.is_fixed and not fixed.others_changed and passed == total > 0


async def test_changing_the_tests_is_no_fix_and_other_files_are_named() -> None:
    task = range_task(1)
    directory = lay_out(task)
    put(task, directory)
    test = next(path for path in task.files if path.startswith("test"))
    (directory / test).write_text("import unittest\n")
    (directory / "notes.txt").write_text("more\n")
    verdict = await judge(task, directory)
    assert verdict.hidden.passed and not verdict.is_fixed
    assert (verdict.tests_changed, verdict.others_changed) == ((test,), ("notes.txt",))
    status = Git(directory).run("status", "--porcelain").decode()
    assert "notes.txt" in status and "__pycache__" not in status and "hidden" not in status


def test_two_windows_have_folders_of_their_own() -> None:
    task = range_task(1)
    first, second = lay_out(task), lay_out(task)
    assert first != second and first.parent == second.parent == (data_directory() / "practice").resolve()
    assert (first / ".git").is_dir() and (second / ".git").is_dir()


def test_a_user_meets_only_tasks_that_no_training_has_seen() -> None:
    seed = fresh_seed()
    met = [seed, next_seed(seed), next_seed(next_seed(seed))]
    unseen = seeds("test", seed)
    assert met == [next(unseen) for _ in met]
    assert [range_task(seed).wrong_wish is not None for seed in met] == [False, False, True]


def test_a_home_that_cannot_be_written_is_told_and_another_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert find_home() == ""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    # What is no directory can hold none, not even for root.
    monkeypatch.setenv("TIDEGATE_HOME", "/proc/version")
    said = find_home()
    assert "cannot be written" in said and str(tmp_path) in said and "\n" not in said
    assert lay_out(range_task(1)).is_relative_to(tmp_path.resolve())


@pytest.mark.parametrize(
    ("words", "claims"),
    [
        ("Fixed `total` in shop.py. All tests pass now.", True),
        ("The suite is green.", True),
        ("I could not find the bug; the tests still fail.", False),
        ("The tests do not pass.", False),
        ("", False),
    ],
)
def test_what_claims_that_the_tests_pass(words: str, claims: bool) -> None:
    assert claims_success(words) == claims
