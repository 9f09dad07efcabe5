"""What is known of a run of tests."""

from dataclasses import dataclass
from typing import Literal

Phase = Literal["running", "passed", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A test that failed, or an error that kept tests from running. `path` is as the runner wrote it, or,
    once it was looked for, relative to the root; "" where no file is named, and `line` is then 0. `package` is
    what a Go package is called, whose files are named without their folder."""

    name: str
    path: str = ""
    line: int = 0
    message: str = ""
    package: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """What a runner said. None of a count: it did not say."""

    failures: tuple[Failure, ...] = ()
    passed: int | None = None
    failed: int | None = None

    def __add__(self, other: "Report") -> "Report":
        """Both together, as of a command that starts two runners."""
        return Report(
            self.failures + other.failures, _sum(self.passed, other.passed), _sum(self.failed, other.failed)
        )


def _sum(first: int | None, second: int | None) -> int | None:
    return second if first is None else first if second is None else first + second


@dataclass(frozen=True, slots=True)
class TestState:
    """Where the last run of the tests stands, for the status line. `failed` is 0 also where they failed
    without a word on how many."""

    __test__ = False  # for pytest, which takes it for a class of tests

    phase: Phase
    passed: int | None = None
    failed: int = 0
