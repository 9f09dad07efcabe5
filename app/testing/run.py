"""Running the tests: a command in the sandbox, like the user's own in the message field."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.agent.shell.in_workspace import start_in_workspace
from app.agent.shell.process import CommandProcess, HeadAndTail
from app.agent.shell.refusals import was_confined
from app.agent.shell.sandbox import find_sandbox
from app.testing.failures import report_of
from app.testing.model import Report
from app.testing.scratch import remove_abandoned, scratch
from app.workspace.workspace import Workspace

_SCRATCH = "tidegate-tests-"
_MOST_OUTPUT = 4_000_000  # characters of which a report is made, from the beginning and the end


@dataclass(frozen=True, slots=True)
class TestRun:
    """How a run ended. `status` is the command's exit status, negative for a signal. `was_confined`: it failed,
    as it seems, because of the sandbox. `notes` are what else the user should know, a sentence each."""

    __test__ = False  # for pytest, which takes it for a class of tests

    status: int
    report: Report
    seconds: float
    was_confined: bool
    notes: tuple[str, ...] = ()


async def run_tests(
    line: str,
    workspace: Workspace,
    output: Callable[[str], Awaitable[None]],
    *,
    is_sandboxed: bool = True,
    local_servers: bool = False,
) -> TestRun:
    """Run the command `line` in the workspace's root; what it writes goes to `output` as it comes. Cancelled,
    it ends the command first. Raises ToolFailure when it cannot be started."""
    began = time.monotonic()
    kept = HeadAndTail(_MOST_OUTPUT)
    notes: list[str] = []

    async def keep(text: str) -> None:
        kept.add(text)
        await output(text)

    arguments = ["bash", "-c", line]
    sandbox = await asyncio.to_thread(find_sandbox) if is_sandboxed else None
    await asyncio.to_thread(remove_abandoned, _SCRATCH)
    with scratch(_SCRATCH) as place:
        clean: Callable[[], list[str]] = list
        if sandbox is not None:
            process, clean = await start_in_workspace(
                sandbox,
                arguments,
                workspace.root,
                workspace,
                place,
                local_servers=local_servers,
            )
        else:
            process = await CommandProcess.start(arguments, workspace.root)
            if is_sandboxed:
                notes.append("There is no sandbox here: the tests ran with all your rights.")
        try:
            outcome = await process.run(keep, None)
        finally:
            if made := clean():
                notes.append(f"Removed, because it would have git run other programs: {', '.join(made)}.")
    if outcome.has_escaped:
        notes.append("It left processes in sessions of their own, which still run.")
    elif outcome.left_running:
        notes.append("Processes that it left running were ended.")
    has_failed = outcome.status != 0
    text = kept.text
    report = await asyncio.to_thread(report_of, text, workspace.root, failed=has_failed)
    confined = has_failed and sandbox is not None and await asyncio.to_thread(was_confined, text)
    return TestRun(outcome.status, report, time.monotonic() - began, confined, tuple(notes))
