"""run_shell_command: a command line, run by bash."""

import sys
from collections.abc import Callable

from pydantic import Field

from app.agent.errors import ToolFailure
from app.agent.shell.confined import start_confined
from app.agent.shell.in_workspace import start_in_workspace
from app.agent.shell.process import CommandProcess, HeadAndTail
from app.agent.shell.refusals import was_confined, was_kept_from_serving
from app.agent.shell.sandbox import find_sandbox
from app.agent.tools.base import (
    MAX_RESULT_CHARACTERS,
    Access,
    Arguments,
    Tool,
    ToolContext,
    ToolResult,
    in_thread,
    locate,
)
from app.workspace.workspace import Workspace

_DEFAULT_MS = 120_000
"""Two minutes, where the model gives no limit."""
_MAX_MS = 600_000
"""Ten minutes: what runs longer belongs in the background."""


def shell_of(platform: str) -> str:
    """The shell that commands run in, as the model is told: macOS has bash of 2007."""
    return "bash (3.2, unless the user has a newer one)" if platform == "darwin" else "bash"


class RunShellCommandArguments(Arguments):
    """The arguments that the model gives."""

    command: str
    is_background: bool = Field(default=False, description="For servers and watchers: return at once")
    timeout: int = Field(default=_DEFAULT_MS, ge=1, description=f"Milliseconds, at most {_MAX_MS}")
    description: str = Field(default="", description="What it does, in a few words")
    directory: str = Field(default="", description="Where to run; default: the project root")


class RunShellCommand(Tool[RunShellCommandArguments]):
    """The command has no terminal and no input; everything it starts ends with it."""

    name = "run_shell_command"
    description = f"Run a command with {shell_of(sys.platform)}. It gets no input; output is captured."
    arguments = RunShellCommandArguments

    def access(self, arguments: RunShellCommandArguments, workspace: Workspace) -> Access:
        """The command and where it runs."""
        return Access("command", locate(arguments.directory, workspace), arguments.command)

    def summary(self, arguments: RunShellCommandArguments) -> str:
        """The command itself, never a description in its place."""
        return f"$ {arguments.command}" + (f"  (in {arguments.directory})" if arguments.directory else "")

    async def run(self, arguments: RunShellCommandArguments, context: ToolContext) -> ToolResult:
        """The exit status and output; or the job's number and where its output goes."""
        directory = locate(arguments.directory, context.workspace).absolute
        if not directory.is_dir():
            raise ToolFailure(f"{arguments.directory} is not a directory.")
        if not arguments.command.strip():
            raise ToolFailure("The command is empty.")
        line = ["bash", "-c", arguments.command]
        is_sandboxed = context.is_sandboxed and not context.jobs.are_meant_by(arguments.command)
        sandbox = await in_thread(find_sandbox) if is_sandboxed or context.hidden else None
        clean: Callable[[], list[str]] = list
        if sandbox is not None and is_sandboxed:
            process, clean = await start_in_workspace(
                sandbox,
                line,
                directory,
                context.workspace,
                context.jobs.scratch(),
                hidden=context.hidden,
                local_servers=context.has_local_servers,
            )
        elif sandbox is not None:
            process = await start_confined(lambda line: sandbox.hide(line, context.hidden), line, directory)
        else:
            process = await CommandProcess.start(line, directory)
        if arguments.is_background:
            job = context.jobs.add(arguments.command, process, clean)
            return ToolResult(
                f"Job {job.number} runs in the background. Its output goes to {job.log} (use read_file). "
                f"Stop it with this alone: kill -- -{job.group}",
                f"job {job.number}",
            )
        kept = HeadAndTail(MAX_RESULT_CHARACTERS)

        async def output(text: str) -> None:
            kept.add(text)
            await context.print(text)

        milliseconds = min(arguments.timeout, _MAX_MS)
        try:
            outcome = await process.run(output, milliseconds / 1000)
        finally:
            made = clean()
        said = kept.text.rstrip("\n")
        notes = []
        if outcome.timed_out:
            notes.append(
                f"[It was ended after {milliseconds} ms. Give a longer timeout, or use is_background.]"
            )
        elif outcome.status < 0:
            notes.append(f"[It was ended by signal {-outcome.status}.]")
        elif outcome.status:
            notes.append(f"[Exit status {outcome.status}]")
        if outcome.has_escaped:
            notes.append("[It left processes in sessions of their own, which still run.]")
        elif outcome.left_running:
            notes.append("[Processes it left running were ended. Use is_background for those.]")
        failed_by = said if outcome.status != 0 else ""
        confined_by = sandbox if is_sandboxed else None
        is_confined = confined_by is not None and was_confined(failed_by)
        if is_confined:
            notes.append("[The command ran in a sandbox: no network, no writing outside the project.]")
        if context.hidden and sandbox is not None and "permission denied" in failed_by.lower():
            notes.append("[Files that the user's rules keep from you are kept from commands too.]")
        if made:
            notes.append(f"[Removed, because it would have git run other programs: {', '.join(made)}.]")
        text = "\n".join(part for part in (said or "[No output]", *notes) if part)
        ok = outcome.status == 0 and not outcome.timed_out
        return ToolResult(
            text,
            said[-2000:],
            ok,
            was_confined=is_confined,
            was_kept_from_serving=is_confined
            and confined_by is not None
            and not (confined_by.has_own_loopback or context.has_local_servers)
            and was_kept_from_serving(failed_by),
            ends_matter=True,
        )
