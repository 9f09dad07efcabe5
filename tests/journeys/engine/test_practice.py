"""The main job from end to end, with nothing scripted: the practice model in the real engine, the real agent,
its sandbox and its tools, a test that passes in the end, and a patch that is reviewed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.model.catalogue.practice import has_practice_model, practice_model
from tests.support.processes import pids_of
from tests.support.ui.terminal import Terminal

TIDEGATE = Path(sys.executable).with_name("tidegate")
SEEDS = (21, 1, 81)
"""Of tasks that the model mends. Sums depend on the machine, and a token may: so one of them is enough."""

pytestmark = [
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the engine's process by /proc"),
    pytest.mark.skipif(not has_practice_model(), reason="the practice model is not here yet"),
]


@pytest.fixture(autouse=True)
def no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing on this machine but what is part of Tidegate; the test's engine ends with it, and takes the BLAS
    that a user's takes."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.delenv("TIDEGATE_BLAS")
    before = set(pids_of(practice_model().path))
    yield
    for pid in set(pids_of(practice_model().path)) - before:
        os.kill(pid, signal.SIGKILL)


def practice(seed: int) -> subprocess.CompletedProcess[str]:
    line = [TIDEGATE, "practice", "--headless", "--json", "--seed", str(seed)]
    return subprocess.run(line, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def test_a_bug_is_fixed_without_a_screen() -> None:
    for seed in SEEDS:
        done = practice(seed)
        said = json.loads(done.stdout)
        assert said.keys() == {
            "seed",
            "kind",
            "directory",
            "test_command",
            "fixed",
            "files_changed",
            "seconds",
            "tokens",
            "session",
        }, done.stderr
        assert done.returncode == (0 if said["fixed"] else 1) and said["tokens"] > 0
        if said["fixed"]:
            break
    assert said["fixed"], "the model mends none of them"
    tests = subprocess.run(
        said["test_command"], shell=True, cwd=said["directory"], capture_output=True, check=False
    )
    assert tests.returncode == 0
    changed = subprocess.run(
        ["git", "diff", "--name-only"], cwd=said["directory"], capture_output=True, text=True, check=True
    )
    assert changed.stdout.split() == said["files_changed"]


def test_the_first_minute(tmp_path: Path) -> None:
    """No model is named and none is found: what opens is the range."""
    with Terminal([TIDEGATE], tmp_path, environment={"PWD": str(tmp_path)}) as terminal:
        page = terminal.wait_for("sends the task")
        assert "F7" in page and "practice model" in page
        assert terminal.leave() == 0
    # The same with a task that the model is known to mend.
    line = [TIDEGATE, "practice", "--seed", str(SEEDS[0])]
    with Terminal(line, tmp_path, environment={"PWD": str(tmp_path)}) as terminal:
        terminal.wait_for("sends the task")
        terminal.wait_for("● practice")
        terminal.press("enter")
        terminal.wait_for("decided. a keeps")
        terminal.press("a")
        terminal.wait_for("hidden test")
        assert terminal.leave() == 0
