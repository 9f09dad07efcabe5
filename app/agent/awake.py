"""Keeping the machine awake while a turn runs."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_CAFFEINATE = "/usr/bin/caffeinate"


def awake_command(platform: str, pid: int) -> list[str]:
    """The command that keeps a machine from sleeping by itself until it or the process `pid` ends; empty where
    there is none. A lid that is closed still puts a MacBook to sleep."""
    return [_CAFFEINATE, "-i", "-w", str(pid)] if platform == "darwin" else []


@asynccontextmanager
async def kept_awake(wanted: bool) -> AsyncIterator[None]:
    """The machine stays awake inside, where that is `wanted` and possible."""
    command = awake_command(sys.platform, os.getpid()) if wanted else []
    process = None
    if command:
        with suppress(OSError):  # without it the turn runs all the same
            process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL)
    try:
        yield
    finally:
        if process is not None:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
