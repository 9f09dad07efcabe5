"""Practice tasks: the same everywhere, red with their bug, green without, and what is held back held back."""

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
from git import Repo

from app.practice.bugs.kinds import KINDS, SHOWN
from app.practice.draw import Draw
from app.practice.expert.running import run_tests
from app.practice.functions.compositions import composed
from app.practice.functions.function import is_held_out, templates, training_templates
from app.practice.hunks import without_rest
from app.practice.mastery import MASTERED, is_mastered
from app.practice.model import PracticeTask
from app.practice.tasks import NoSuchTask, generate, seeds, write

_SOME = """
import hashlib
from app.practice.tasks import POOLS, generate
tasks = [generate(seed, pool=pool) for pool in POOLS for seed in range(3)]
print(hashlib.sha256(repr(tasks).encode()).hexdigest())
"""


def _passes(directory: Path, files: dict[str, str]) -> bool:
    directory.mkdir()
    for path, text in files.items():
        (directory / path).write_text(text)
    return run_tests(directory)[0]


def _with_hidden(task: PracticeTask, files: dict[str, str]) -> dict[str, str]:
    return {path: text for path, text in files.items() if not path.startswith("test_")} | dict(task.hidden)


def test_a_seed_gives_the_same_task_in_every_process() -> None:
    digests = {
        subprocess.run(
            [sys.executable, "-c", _SOME],
            env={**os.environ, "PYTHONHASHSEED": hashing},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashing in ("1", "2")
    }
    assert len(digests) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_bug_shows_in_the_tests_and_its_fix_mends_it(kind: str, tmp_path: Path) -> None:
    task = generate(7, kind, "all")
    assert task.kind == kind
    assert not _passes(tmp_path / "bug", dict(task.files))
    assert not _passes(tmp_path / "bug_hidden", _with_hidden(task, dict(task.files)))
    assert _passes(tmp_path / "fixed", task.fixed)
    assert _passes(tmp_path / "fixed_hidden", _with_hidden(task, task.fixed))


def test_the_hidden_tests_reject_a_wrong_wish(tmp_path: Path) -> None:
    task = generate(5, pool="reject")
    assert task.wrong_wish is not None
    path = task.wrong_wish.path
    wished = {**task.fixed, path: task.wrong_wish.applied(task.fixed[path])}
    assert _passes(tmp_path / "right", _with_hidden(task, task.fixed))
    assert _passes(tmp_path / "visible", wished)
    assert not _passes(tmp_path / "wished", _with_hidden(task, wished))


def test_there_is_as_much_to_practise_as_promised() -> None:
    draw = Draw("compositions")
    compositions = {composed(draw, held_out=False).template for _ in range(1500)}
    assert len(KINDS) >= 16
    assert len(MASTERED) >= 10 and set(MASTERED) <= set(SHOWN)
    assert sum(map(is_mastered, training_templates())) >= 60
    assert sum(map(is_mastered, compositions)) >= 60
    assert len(templates()) >= 150
    assert len(compositions) >= 200
    assert 0.12 < len(training_templates(held_out=True)) / len(templates()) < 0.28


def test_the_range_has_what_the_model_masters() -> None:
    for seed in range(12):
        for pool in ("range", "reject"):
            task = generate(seed, pool=pool)
            assert is_mastered(task.template) and {bug.kind for bug in task.bugs} <= set(MASTERED)


def test_what_is_held_back_is_in_no_training() -> None:
    numbers = {split: set(islice(seeds(split), 300)) for split in ("train", "validation", "test")}
    assert not numbers["train"] & numbers["validation"] | numbers["train"] & numbers["test"]
    assert not numbers["validation"] & numbers["test"]
    for seed in range(12):
        assert not any(is_held_out(bug.template) for bug in generate(seed, pool="dense").bugs)
        assert is_held_out(generate(seed, pool="unseen-templates").template)
        assert is_held_out(generate(seed, pool="unseen-compositions").template)


def test_a_written_task_is_a_clean_repository(tmp_path: Path) -> None:
    task = generate(3)
    write(task, tmp_path / "task")
    with Repo(tmp_path / "task") as repository:
        assert not repository.is_dirty(untracked_files=True)
        assert len(list(repository.iter_commits())) == 1
    assert {path.name for path in (tmp_path / "task").glob("*.py")} == set(task.files)


def test_a_kind_that_a_pool_lacks_is_named() -> None:
    with pytest.raises(NoSuchTask, match="has no kind wrong-constant"):
        generate(1, "wrong-constant", "range")


@pytest.mark.parametrize(
    ("old", "new", "short"),
    [
        ("    return toal * count", "    return total * count", ("    return toal", "    return total")),
        (
            "    return len(things)",
            "    return len(self.things)",
            ("    return len(things", "    return len(self.things"),
        ),
        ("    if value < 2:", "    if value > 2:", ("    if value < 2", "    if value > 2")),
        ("    values", "    return values", ("    values", "    return values")),
        ("def f(a)", "def f(a):", ("def f(a)", "def f(a):")),
        ("    return x + 1", "    return x", ("    return x + 1", "    return x")),
    ],
)
def test_an_edit_ends_with_what_differs(old: str, new: str, short: tuple[str, str]) -> None:
    text = f"{old}\n    if value < 3:\n        pass\n" if "value <" in old else f"{old}\n"
    assert without_rest(text, old, new) == short
