"""Processes whose start is cancelled."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from app.subprocesses import kill_group, start_process
from tests.support.patience import LONGEST


def is_there(group: int) -> bool:
    """Whether the group has a process, be it one that has ended and that nobody has asked after yet."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("steps", range(1, 5))
async def test_a_start_that_is_cancelled_at_any_step_ends_and_leaves_no_process(
    steps: int, tmp_path: Path
) -> None:
    # What it starts itself holds its pipes.
    command = ["/bin/sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 1000 & wait"]
    task = asyncio.create_task(start_process(command, os.environ, stdin=asyncio.subprocess.PIPE))
    for _ in range(steps):
        await asyncio.sleep(0)
    if task.done():
        await kill_group(task.result())
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=LONGEST)
    assert done, "it waits for ever"
    if (tmp_path / "pid").exists() and (pid := (tmp_path / "pid").read_text().strip()):
        deadline = time.monotonic() + LONGEST
        while is_there(int(pid)):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
