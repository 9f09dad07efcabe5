"""The search for what each hunk is to the tests, carried out: copies, runs, and a limit of time."""

import asyncio
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.agent.tools.base import in_thread
from app.errors import TidegateError
from app.review.needed.of_diff import DiffSubsets
from app.review.needed.search import Search
from app.review.needed.subsets import Subsets
from app.review.needed.test_files import is_test_file
from app.testing.needed.copies import Copies
from app.testing.needed.results import Results
from app.testing.run import run_tests
from app.testing.scratch import remove_abandoned, scratch
from app.workspace.workspace import Workspace

_LEAST_SECONDS = 20.0
"""That every run may take; a hunk may leave the tests in an endless loop."""
_TIMES_AS_LONG = 5
"""As the first run took, that every other may take. Both chosen, not measured."""
_SCRATCH = "tidegate-needed-"


class Undecidable(TidegateError):
    """Nothing can be said of the hunks, and why."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a search is: runs of the tests that were begun, hunks that are decided, and all."""

    runs: int
    decided: int
    total: int


@dataclass(frozen=True, slots=True)
class Finding:
    """How a search ended. `sentence` says it; `is_whole`: nothing more can be found by going on."""

    sentence: str
    is_whole: bool


class Experiment:
    """One search over the hunks of `subsets`, with the tests run by the command `line`, for `seconds` at most;
    `changed` is called as it goes on. What is found is in `search`, also while it runs and when it is
    cancelled."""

    def __init__(
        self,
        workspace: Workspace,
        subsets: Subsets | DiffSubsets,
        line: str,
        seconds: float,
        changed: Callable[[Progress], None],
        *,
        local_servers: bool = False,
        write_tree: Callable[[Path], Path | None] = lambda _: None,
    ) -> None:
        """`write_tree` writes the files that the hunks are in; None: they are the workspace's."""
        self._workspace = workspace
        self._subsets = subsets
        self._line = line
        self._seconds = seconds
        self._changed = changed
        self._local_servers = local_servers
        self._write_tree = write_tree
        movable = [name for name in subsets.hunks if name in subsets.movable]
        tests = frozenset(name for name, (path, _) in subsets.hunks.items() if is_test_file(path))
        self.search = Search(movable, subsets.rests_on, tests)
        self._total = len(movable)
        self._runs = 0
        self._limit: float | None = None  # seconds for one run, once one was made
        self._notes: list[str] = []
        self._was_confined = False

    async def run(self) -> Finding:
        """Search. Raises Undecidable, and what else keeps the tests from running; cancelled, it ends the run
        first and takes the copy away."""
        if str(self._workspace.root) in self._line:
            raise Undecidable(
                f"The command names the project's own folder ({self._line})",
                "the tests are to run on copies of it: let the command do with relative paths",
            )
        await asyncio.to_thread(remove_abandoned, _SCRATCH)
        with scratch(_SCRATCH) as place:
            results = await asyncio.to_thread(Results, self._line)
            copies = await asyncio.to_thread(self._copies, place)
            try:
                async with asyncio.timeout(self._seconds):
                    await self._search(copies, results)
            except TimeoutError:
                return self._finding(is_whole=False)
        return self._finding(is_whole=True)

    def _copies(self, place: Path) -> Copies:
        tree = self._write_tree(place / "tree")
        return Copies(self._workspace, place, self._subsets.paths, tree)

    async def _search(self, copies: Copies, results: Results) -> None:
        steps = self.search.steps()
        try:
            kept = next(steps)
            while True:
                passes = await self._passes(kept, copies, results)
                kept = steps.send(passes)
                self._tell()
        except StopIteration:
            return

    def _tell(self) -> None:
        self._changed(Progress(self._runs, len(self.search.verdicts), self._total))

    async def _passes(self, kept: frozenset[str], copies: Copies, results: Results) -> bool:
        """Whether the tests pass with these hunks. The first set, which is all of them, is tried twice, and so
        is every one with which they fail: what differs then is no word on any hunk."""
        files = await asyncio.to_thread(self._subsets.files, kept)
        name = copies.name(files)
        known = results.get(name)
        if known is not None:
            return known
        is_first = self._limit is None
        passes, is_over = await self._try(lambda: copies.make(files))
        # What did not come to an end would not the next time either.
        if not is_over and (is_first or not passes):
            again, _ = await self._try(lambda: copies.make(files))
            if again != passes:
                raise Undecidable(
                    "The tests are flaky: on the same files they passed once and failed once",
                    "nothing more is said of any hunk",
                )
        await asyncio.to_thread(results.put, name, passes)
        return passes

    async def _try(self, make: Callable[[], Path]) -> tuple[bool, bool]:
        """Run the tests on a new copy: whether they pass, and whether their time was up."""
        self._runs += 1
        self._tell()
        root = await in_thread(make)  # to its end also when cancelled, for its folder is removed next
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._limit):
                workspace = await asyncio.to_thread(Workspace, root)
                run = await run_tests(
                    _with_sources(self._line, root), workspace, _unheard, local_servers=self._local_servers
                )
        except TimeoutError:
            return False, True
        if self._limit is None:
            self._limit = max(_LEAST_SECONDS, _TIMES_AS_LONG * (time.monotonic() - began))
        self._was_confined |= run.was_confined
        self._notes += [note for note in run.notes if note not in self._notes]
        return run.status == 0, False

    def _finding(self, *, is_whole: bool) -> Finding:
        search = self.search
        left = self._total - len(search.verdicts)
        runs = f"{self._runs} run{'' if self._runs == 1 else 's'}" if self._runs else "as tried before"
        if is_whole and search.reference is None:
            confined = "; the sandbox, it seems, kept them from something" if self._was_confined else ""
            raise Undecidable(
                "The tests fail with these hunks and without them, on a copy of the project",
                f"nothing can be said of any hunk{confined}",
            )
        parts: list[str] = []
        needed = sum(verdict == "needed" for verdict in search.verdicts.values())
        broken = sum(verdict == "breaks the tests" for verdict in search.verdicts.values())
        if search.reference is not None and broken:
            parts.append(f"The tests fail, but pass without {_hunks(broken)}.")
        if search.reference is not None:
            parts.append(f"The tests need {needed} of {_hunks(self._total)} ({runs}).")
        if is_whole and search.reference is not None and set(search.verdicts.values()) == {"tests indifferent"}:
            parts.append("None makes a difference; if that cannot be, they test code from elsewhere.")
        if not is_whole:
            minutes = self._seconds / 60
            parts.append(f"The {minutes:g} min were up after {runs}: {_hunks(left)} not decided.")
        elif left:
            parts.append(f"{_hunks(left)} not decided: without what breaks the tests there is no trying.")
        return Finding(" ".join([*parts, *self._notes]), is_whole)


async def _unheard(_text: str) -> None:
    """What the tests print does not matter here."""


def _with_sources(line: str, root: Path) -> str:
    """`line` with Python's imports from the copy first: a project that is installed in place (pip install -e)
    would be imported from the work tree."""
    source = root / "src"
    place = shlex.quote(str(source if source.is_dir() else root))
    return f"export PYTHONPATH={place}${{PYTHONPATH:+:$PYTHONPATH}}\n{line}"


def _hunks(number: int) -> str:
    return f"{number} hunk{'' if number == 1 else 's'}"
