"""One practice task without a screen: what happens as text, or what came of it as one line of JSON."""

import asyncio
import json
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.agent.events import AgentEvent
from app.commands.headless import Reporter, TextReporter, turn_in
from app.git.errors import GitError
from app.git.git import Git
from app.model.catalogue.catalogue import ModelChoice
from app.model.catalogue.practice import DESCRIPTION, practice_model
from app.practice.model import PracticeTask
from app.practice.range.drawing import fresh_seed, range_task
from app.practice.range.judging import Verdict, judge, run_tests
from app.practice.range.places import find_home, lay_out, take_own_python
from app.settings.settings import Settings


class Turn:
    """A Reporter that remembers how the turn ended, and tells another one what happens."""

    def __init__(self, teller: Reporter | None = None) -> None:
        self._teller = teller
        self.summary: dict[str, Any] = {}

    def event(self, event: AgentEvent) -> None:
        """See Reporter."""
        if self._teller is not None:
            self._teller.event(event)

    def end(self, summary: dict[str, Any]) -> None:
        """See Reporter."""
        self.summary = summary
        if self._teller is not None:
            self._teller.end(summary)


def do_one(
    seed: int | None, kind: str | None, *, choice: ModelChoice, settings: Settings, as_json: bool
) -> int:
    """Have the agent do the task of `seed` (one by chance) in auto mode. Returns 0 when the bug is fixed, 1
    when it is not, 130 on Ctrl-C and 143 when told to terminate.

    Raises TidegateError when it cannot begin: no such task, no usable model, nowhere to write.
    """
    task = range_task(fresh_seed() if seed is None else seed, kind)
    notice = find_home()
    take_own_python()
    if notice:
        print(notice, file=sys.stderr)
    directory = lay_out(task)
    doing = (
        _as_json(task, directory, choice, settings) if as_json else _as_text(task, directory, choice, settings)
    )
    try:
        return asyncio.run(doing)
    except asyncio.CancelledError:
        return 128 + signal.SIGINT


async def _as_json(task: PracticeTask, directory: Path, choice: ModelChoice, settings: Settings) -> int:
    began = time.monotonic()
    turn = Turn()
    status = await _turn(task, directory, choice, settings, turn)
    if status >= 128:
        return status
    seconds = time.monotonic() - began
    verdict = await judge(task, directory, without_wish=True)
    said = {
        "seed": task.seed,
        "kind": task.kind,
        "directory": str(directory),
        "test_command": task.test_command,
        "fixed": verdict.is_fixed,
        "files_changed": turn.summary["files_changed"],
        "seconds": round(seconds, 2),
        "tokens": turn.summary["completion_tokens"],
        "session": turn.summary["session"],
    }
    print(json.dumps(said), flush=True)
    return 0 if verdict.is_fixed else 1


async def _as_text(task: PracticeTask, directory: Path, choice: ModelChoice, settings: Settings) -> int:
    print(f"A practice task: a small Python project with a failing test, in {directory}\n")
    first = await run_tests(directory, task.test_command)
    print(f"$ {task.test_command}\n{first.output}\n[Exit status {first.status}]\n")
    if choice == practice_model():
        print(f"The agent works by itself, with {DESCRIPTION}. It is told: {task.prompt}\n", flush=True)
    else:
        print(f"The agent works by itself. It is told: {task.prompt}\n", flush=True)
    turn = Turn(TextReporter(sys.stdout, sys.stdout))
    status = await _turn(task, directory, choice, settings, turn)
    if status >= 128:
        return status
    try:
        print("\n" + Git(directory).run("diff", "--no-color", "--no-ext-diff").decode(errors="replace"))
    except GitError:
        print()  # without git there is no diff to show
    verdict = await judge(task, directory, without_wish=True)
    print(_words(task, verdict))
    print("\nTo review such changes hunk by hunk, run it in a terminal.")
    return 0 if verdict.is_fixed else 1


async def _turn(
    task: PracticeTask, directory: Path, choice: ModelChoice, settings: Settings, turn: Turn
) -> int:
    return await turn_in(
        directory, task.prompt, choice=choice, settings=replace(settings, mcp=()), mode="auto", reporter=turn
    )


def _words(task: PracticeTask, verdict: Verdict) -> str:
    passed, total = verdict.hidden.counts
    tests = "test" if total == 1 else "tests"
    hidden = f"{passed} of {total} hidden {tests} {'passes' if passed == 1 else 'pass'}."
    said = f"{task.test_command}: exit status {verdict.tests.status}. {hidden}"
    if task.wrong_wish is not None:
        said += " In the review, one hunk would be to reject."
    return said
