"""Processes whose start is cancelled."""

import asyncio
import os
from pathlib import Path

import pytest

from app.subprocesses import start_process
from tests.support.patience import LONGEST


@pytest.mark.parametrize("steps", range(8))
async def test_a_start_that_is_cancelled_at_any_step_ends_and_leaves_no_process(
    steps: int, tmp_path: Path
) -> None:
    command = ["/bin/sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 1000"]
    task = asyncio.create_task(start_process(command, os.environ, stdin=asyncio.subprocess.PIPE))
    for _ in range(steps):
        await asyncio.sleep(0)
    if task.done():
        os.killpg(task.result().pid, 9)
        await task.result().wait()
        return
    task.cancel()
    await asyncio.wait_for(asyncio.wait({task}), LONGEST)
    assert task.cancelled()
    if (tmp_path / "pid").exists() and (pid := (tmp_path / "pid").read_text().strip()):
        with pytest.raises(ProcessLookupError):
            os.killpg(int(pid), 0)
