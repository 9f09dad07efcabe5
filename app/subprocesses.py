"""Starting a process with pipes from a task that may be cancelled meanwhile."""

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from pathlib import Path


async def start_process(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    directory: Path | None = None,
    stdin: int = asyncio.subprocess.DEVNULL,
) -> Process:
    """Start `command` in a process group of its own, with a pipe for its output. Raises OSError and ValueError.

    Where the task is cancelled before the pipes are there, asyncio waits for the process's end and never hears
    of it (CPython 3.11: BaseSubprocessTransport._try_finish). So the start is carried through, and the group is
    killed then.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            cwd=directory,
            stdin=stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(environment),
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError, ValueError):
            await kill_group(await starting)
        raise


async def kill_group(process: Process) -> None:
    """Kill a process of `start_process`, with all that it started in its group, and wait for its end."""
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
