"""What a practice task is."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.practice.hunks import Hunk

TEST_COMMAND = "python3 -m unittest"


@dataclass(frozen=True, slots=True)
class PlantedBug:
    """One bug of a task: its kind, the template and name of the function it is in, and what undoes it."""

    kind: str
    template: str
    function: str
    fix: Hunk


@dataclass(frozen=True, slots=True)
class PracticeTask:
    """A project with a bug. `files` are its texts by path, `prompt` what the user asks of the agent.

    With the fixes of `bugs`, once each in any order, the tests in `files` and those in `hidden` pass.
    As it is, some of either fail. In the pool "reject", `prompt` asks for the change `wrong_wish` as well.
    A comment in the file forbids it and the hidden tests fail with it: it is to be rejected in review.
    `only_kind` is the kind of bug that was asked for, None for any: with `seed` and `pool` it names the task.
    """

    seed: int
    pool: str
    prompt: str
    files: Mapping[str, str]
    bugs: tuple[PlantedBug, ...]
    hidden: Mapping[str, str]
    wrong_wish: Hunk | None = None
    test_command: str = TEST_COMMAND
    only_kind: str | None = None

    @property
    def kind(self) -> str:
        """The kind of the first bug."""
        return self.bugs[0].kind

    @property
    def template(self) -> str:
        """The template or composition of the first bug's function."""
        return self.bugs[0].template

    @property
    def fixed(self) -> dict[str, str]:
        """The files with every bug fixed and no wrong wish fulfilled."""
        files = dict(self.files)
        for bug in self.bugs:
            files[bug.fix.path] = bug.fix.applied(files[bug.fix.path])
        return files
