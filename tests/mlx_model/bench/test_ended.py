"""However a measurement is ended, what it started ends with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.patience import LONGEST
from tests.support.places import ROOT
from tests.support.weights.servable import make_endless, servable_checkpoint

STARTS = {
    "decode": (["--turns", "1000"], "-m mlx_model serve"),
    "residency": (["--tokens", "1,2,3", "--max-tokens", "4000"], "spawn_main"),
}
"""By measurement, its options, and what stands in the command line of the process that it starts."""


def descendants(process: int) -> dict[int, str]:
    """The command lines of everything that a process started, and what that started, by process."""
    parents: dict[int, int] = {}
    lines: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                status = (entry / "stat").read_text()
                lines[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            parents[int(entry.name)] = int(status.rpartition(")")[2].split()[1])
    found: dict[int, str] = {}
    above = {process}
    while above:
        above = {one for one, parent in parents.items() if parent in above}
        found |= {one: lines[one] for one in above if one in lines}
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are found in Linux's /proc")
@pytest.mark.parametrize(
    ("measurement", "number"),
    [("decode", signal.SIGTERM), ("decode", signal.SIGKILL), ("residency", signal.SIGTERM)],
)
def test_what_a_measurement_started_is_gone_after_it(
    measurement: str, number: signal.Signals, tmp_path: Path
) -> None:
    options, started = STARTS[measurement]
    model = make_endless(servable_checkpoint(tmp_path / "model"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "-m", "mlx_model", "bench", measurement, "--model", str(model), *options]
    bench = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "TMPDIR": str(scratch)})
    children: dict[int, str] = {}

    def has_started() -> bool:
        assert bench.poll() is None, "it ended before its time"
        children.update(descendants(bench.pid))
        return any(started in line for line in children.values())

    try:
        wait_until(has_started)
        bench.send_signal(number)
        status = bench.wait(LONGEST)
        wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    finally:
        for child in (bench.pid, *children):
            if Path(f"/proc/{child}").exists():
                os.kill(child, signal.SIGKILL)
    if number is not signal.SIGKILL:
        assert status == 128 + number
        assert not list(scratch.iterdir())
