"""Starting a command that may write in the workspace, and not what has git run other programs."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from app.agent.shell.confined import start_confined
from app.agent.shell.hidden import absent_triggers, linked_repository, remove_made
from app.agent.shell.process import CommandProcess
from app.agent.shell.sandbox import Sandbox
from app.workspace.workspace import Workspace


async def start_in_workspace(
    sandbox: Sandbox,
    arguments: Sequence[str],
    directory: Path,
    workspace: Workspace,
    scratch: Path,
    *,
    hidden: Sequence[Path] = (),
    local_servers: bool = False,
) -> tuple[CommandProcess, Callable[[], list[str]]]:
    """Start `arguments` in `directory` so that they can write only in the workspace and in `scratch`. With the
    process comes what is to be called when it has ended: it removes the files among those it made by which git
    would run something outside, and returns their names. Raises ToolFailure."""
    root = workspace.root
    git = await asyncio.to_thread(workspace.git.outer_directories, root)
    absent = await asyncio.to_thread(absent_triggers, root, git)
    link = linked_repository(root)
    process = await start_confined(
        lambda line: sandbox.wrap(line, root, scratch, git, hidden, local_servers=local_servers),
        arguments,
        directory,
    )
    return process, lambda: remove_made(absent, link)
