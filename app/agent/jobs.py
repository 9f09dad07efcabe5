"""Commands that run in the background of a session."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.agent.process import CommandProcess, Outcome

_MAX_LOG_CHARACTERS = 2_000_000


@dataclass(slots=True)
class Job:
    """A background command; its output goes to `log`, which the agent may read."""

    number: int
    command: str
    group: int
    log: Path
    task: "asyncio.Task[Outcome]"
    is_reported: bool = False


class Jobs:
    """The background commands of one session. `directory` holds their output."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._jobs: list[Job] = []

    def scratch(self) -> Path:
        """A folder for the temporary files of the session's commands."""
        place = self.directory / "scratch"
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        return place

    async def start(self, command: str, arguments: Sequence[str], directory: Path) -> Job:
        """Start `arguments`, which run `command`. Raises ToolFailure."""
        number = len(self._jobs) + 1
        process = await CommandProcess.start(arguments, directory)
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = self.directory / f"job-{number}.log"
        log.write_text("")
        written = 0

        async def output(text: str) -> None:
            nonlocal written
            if written < _MAX_LOG_CHARACTERS:
                written += len(text)
                text = (
                    text if written < _MAX_LOG_CHARACTERS else "\n[The log is full; more output is not kept.]\n"
                )
                with log.open("a", encoding="utf-8") as file:
                    file.write(text)

        job = Job(number, command, process.group, log, asyncio.create_task(process.run(output, None)))
        self._jobs.append(job)
        return job

    @property
    def are_running(self) -> bool:
        """Whether any has not ended yet."""
        return any(not job.task.done() for job in self._jobs)

    def news(self) -> str:
        """Which jobs ended since the last call, one a line; "" when none did."""
        lines = []
        for job in self._jobs:
            if job.task.done() and not job.is_reported and not job.task.cancelled():
                job.is_reported = True
                error = job.task.exception()
                how = f"failed ({error})" if error else f"ended with status {job.task.result().status}"
                lines.append(f"Background job {job.number} ({job.command}) {how}. Output: {job.log}")
        return "\n".join(lines)

    async def aclose(self) -> None:
        """End what still runs."""
        for job in self._jobs:
            job.task.cancel()
        for job in self._jobs:
            with contextlib.suppress(asyncio.CancelledError):
                await job.task
