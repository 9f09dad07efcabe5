"""Commands that run in the background of a session."""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from app.agent.permission.commands.simple_commands import SimpleCommand, simple_commands_of
from app.agent.shell.process import CommandProcess, Outcome

_MAX_LOG_CHARACTERS = 2_000_000  # of a background job's output


@dataclass(slots=True)
class Job:
    """A background command; its output goes to `log`, which the agent may read."""

    number: int
    command: str
    group: int
    log: Path
    task: "asyncio.Task[Outcome]"
    is_reported: bool = False


def _signals_only(part: SimpleCommand, groups: Collection[int]) -> bool:
    """Whether `part` is `kill`, with any signal, aimed at process groups among `groups`."""
    words = list(part.words)
    if part.assigned or part.reads or any(word.value != "/dev/null" for word in part.writes):
        return False
    if words == ["true"] or words[:1] != ["kill"]:
        return words == ["true"]  # as in `kill … || true`
    del words[0]
    if words[:1] in (["-s"], ["-n"]):
        del words[:2]
    elif words and words[0] != "--" and (words[0] or "").startswith("-"):
        del words[0]
    if words[:1] == ["--"]:
        del words[0]
    return bool(words) and all(word in {f"-{group}" for group in groups} for word in words)


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

    def add(self, command: str, process: CommandProcess, after: Callable[[], object]) -> Job:
        """Keep `process`, which runs `command`, as a job; call `after` when it has ended."""
        number = len(self._jobs) + 1
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

        async def run() -> Outcome:
            try:
                return await process.run(output, None)
            finally:
                after()

        job = Job(number, command, process.group, log, asyncio.create_task(run()))
        self._jobs.append(job)
        return job

    def are_meant_by(self, command: str) -> bool:
        """Whether `command` does nothing but signal jobs that run. In a sandbox it could not: what runs there
        sees no processes but its own."""
        groups = {job.group for job in self._jobs if not job.task.done()}
        parts, is_certain = simple_commands_of(command)
        return is_certain and bool(groups) and all(_signals_only(part, groups) for part in parts)

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
