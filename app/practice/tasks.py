"""Practice tasks: a small Python project with a planted bug, the right fix, and tests that judge one."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from git import Actor, Repo

from app.errors import TidegateError
from app.practice.bugs.kinds import KINDS, SHOWN
from app.practice.draw import Draw
from app.practice.mastery import MASTERED
from app.practice.model import PracticeTask
from app.practice.planting import drawn

POOLS: Mapping[str, str] = {
    "range": "what users meet: the kinds of bugs and the functions that the model masters",
    "shown": "kinds of bugs whose place the tests print, on functions that training knows",
    "all": "every kind of bug, on functions that training knows",
    "unseen-compositions": "every kind of bug, on compositions that no training uses",
    "unseen-templates": "every kind of bug, on templates that no training uses",
    "dense": "every kind of bug, one in most functions: for training, where each is one more to learn from",
    "reject": "as range, but the user also asks for a change that a comment in the file forbids",
}
_KINDS = {"range": MASTERED, "reject": MASTERED, "shown": SHOWN}
"""Of pools that do not have them all."""
_SPLITS = 20
_MOST_TRIES = 5000


class NoSuchTask(TidegateError):
    """There is no such kind of bug, pool or split."""


def seeds(split: str, start: int = 0) -> Iterator[int]:
    """The seeds of "train", "validation" or "test" from `start` on; no seed is in two. Raises NoSuchTask."""
    wanted = {"validation": (0,), "test": (1,), "train": tuple(range(2, _SPLITS))}.get(split)
    if wanted is None:
        raise NoSuchTask(f"there is no split {split}", "name train, validation or test")
    seed = start
    while True:
        if seed % _SPLITS in wanted:
            yield seed
        seed += 1


def generate(seed: int, kind: str | None = None, pool: str = "range") -> PracticeTask:
    """The task of that seed: the same on every machine. `kind` is one of KINDS, None for any that the pool has.

    Raises NoSuchTask for a kind or pool that does not exist, or a kind that the pool does not have.
    """
    if pool not in POOLS:
        raise NoSuchTask(f"there is no pool {pool}", f"name one of {', '.join(POOLS)}")
    kinds = _KINDS.get(pool, tuple(KINDS))
    if kind is not None and kind not in kinds:
        raise NoSuchTask(f"the pool {pool} has no kind {kind}", f"name one of {', '.join(kinds)}")
    draw = Draw("task", pool, kind or "", seed)
    for _ in range(_MOST_TRIES):
        chosen = kind or draw.weighted({name: KINDS[name].weight for name in kinds})
        # A kind that fits few functions gets several tries, so that it is not rarer than it should be.
        for _ in range(30):
            task = drawn(seed, pool, chosen, kinds, draw)
            if task is not None:
                return replace(task, only_kind=kind)
    raise AssertionError(f"no task for seed {seed}, kind {kind}, pool {pool}")


def write(task: PracticeTask, directory: Path) -> None:
    """Make the task's project in `directory`, which is created or empty: a git repository with one commit."""
    directory.mkdir(parents=True, exist_ok=True)
    for path, text in task.files.items():
        (directory / path).write_text(text, encoding="utf-8", newline="\n")
    with Repo.init(directory) as repository:
        repository.index.add(sorted(task.files))
        author = Actor("Tidegate", "practice@localhost")
        repository.index.commit("A practice task", author=author, committer=author)
