"""tidegate bench practice: how many practice tasks a model mends, by kind of bug.

Each task is done by the real agent without a screen, in auto mode, with the sampling that the checkpoint asks
for.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from app.commands.headless import turn_in
from app.commands.options import BadUsage, add_draft, add_model, settings_of
from app.commands.practice_task import Turn
from app.model.catalogue.catalogue import ModelChoice, choose_model
from app.model.catalogue.practice import practice_model
from app.practice.model import PracticeTask
from app.practice.range.judging import Verdict, claims_success, judge
from app.practice.range.places import lay_out, take_own_python
from app.practice.tasks import POOLS, generate, seeds
from app.settings.settings import Settings

_IDLE_MINUTES = 0.5
"""The engine is the measurement's own, and ends soon after it."""


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one task. `claims`: the last words say that the tests pass."""

    task: PracticeTask
    verdict: Verdict
    claims: bool
    seconds: float
    tokens: int

    @property
    def is_right(self) -> bool:
        """Whether the bug is fixed, all tests pass, those given are untouched, and nothing else was changed."""
        return self.verdict.is_fixed and not self.verdict.others_changed

    @property
    def is_false_claim(self) -> bool:
        """Whether it says that the tests pass though they do not."""
        return self.claims and not self.verdict.tests.passed


def run(given: list[str]) -> int:
    """The command. Returns 0, or 130 on Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="tidegate bench practice",
        allow_abbrev=False,
        description="Have the agent do practice tasks that no training has seen, and count what it mends.",
    )
    parser.add_argument("--count", type=int, default=100, metavar="N", help="how many tasks (default: 100)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="begin at this seed (default: 0)")
    pools = "; ".join(f"{name}: {what}" for name, what in POOLS.items())
    parser.add_argument("--pool", action="append", choices=tuple(POOLS), help=f"{pools} (default: range)")
    add_model(parser)
    add_draft(parser)
    options = parser.parse_args(given)
    if options.count < 1:
        raise BadUsage("--count must be at least 1", "leave it out for 100")
    settings = replace(settings_of(options), mcp=(), rules=(), engine_idle_minutes=_IDLE_MINUTES)
    choice: ModelChoice = practice_model() if options.model is None else choose_model(options.model)
    # Sessions, logs and an engine of its own, and nothing of it left among the user's.
    with tempfile.TemporaryDirectory(prefix="tide", ignore_cleanup_errors=True) as home:
        os.environ["TIDEGATE_HOME"] = home
        take_own_python()
        for pool in dict.fromkeys(options.pool or ["range"]):
            tasks = [generate(seed, pool=pool) for seed in islice(seeds("test", options.seed), options.count)]
            try:
                done = asyncio.run(measure(tasks, Path(home), choice, settings))
            except asyncio.CancelledError:
                return 130
            print(f"{pool}: {POOLS[pool]}\n\n{table(done)}\n", flush=True)
    return 0


async def measure(tasks: list[PracticeTask], home: Path, choice: ModelChoice, settings: Settings) -> list[Done]:
    """Have each task done once, one after the other, in a repository below `home`."""
    done = []
    for number, task in enumerate(tasks, 1):
        turn = Turn()
        directory = await asyncio.to_thread(lay_out, task, home / "repositories")
        began = time.monotonic()
        status = await turn_in(
            directory, task.prompt, choice=choice, settings=settings, mode="auto", reporter=turn
        )
        seconds = time.monotonic() - began
        if status >= 128:
            raise asyncio.CancelledError
        verdict = await judge(task, directory, without_wish=True)
        claims = claims_success(turn.summary["result"])
        done.append(Done(task, verdict, claims, seconds, turn.summary["completion_tokens"]))
        if sys.stderr.isatty():
            right = sum(one.is_right for one in done)
            print(f"\r{number} of {len(tasks)} done, {right} right", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    return done


def table(done: Iterable[Done]) -> str:
    """For a person to read."""
    all_of_them = list(done)
    kinds: dict[str, list[Done]] = {}
    for one in all_of_them:
        kinds.setdefault(one.task.kind, []).append(one)
    rows = [(kind, kinds[kind]) for kind in sorted(kinds)] + [("together", all_of_them)]
    lines = [f"{'kind of bug':<20} {'right':>5} {'of':>5}"]
    lines += [f"{kind:<20} {sum(one.is_right for one in some):>5} {len(some):>5}" for kind, some in rows]
    verdicts = [one.verdict for one in all_of_them]
    wrong = [str(one.task.seed) for one in all_of_them if not one.is_right]
    lines += [
        "",
        f"the given tests pass: {sum(verdict.tests.passed for verdict in verdicts)}",
        f"hidden tests pass too: {sum(verdict.tests.passed and verdict.hidden.passed for verdict in verdicts)}",
        f"the given tests were changed: {sum(bool(verdict.tests_changed) for verdict in verdicts)}",
        f"another file was changed: {sum(bool(verdict.others_changed) for verdict in verdicts)}",
        f"ended with red tests and said that they pass: {sum(one.is_false_claim for one in all_of_them)}",
        f"a task, in the median: {statistics.median(one.seconds for one in all_of_them):.1f} s, "
        f"{statistics.median(one.tokens for one in all_of_them):.0f} tokens written",
        f"seeds that went wrong: {', '.join(wrong) or 'none'}",
    ]
    return "\n".join(lines)
