"""The first minute on a machine without a model: the page that says so, the download, the first reply."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agent.fake_hub import FakeHub
from tests.support.processes import pids_of
from tests.support.ui.terminal import Terminal
from tests.support.weights.servable import make_brief, servable_checkpoint

TIDEGATE = Path(sys.executable).with_name("tidegate")
REPOSITORY = "mlx-community/Qwen3-Coder-Next-4bit"

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the engine's process by /proc")


@pytest.fixture
def hub(tmp_path: Path, home: Path) -> Iterator[FakeHub]:
    """A stand-in for the Hub that offers a small random model under the real one's name."""
    checkpoint = make_brief(servable_checkpoint(tmp_path / "published", max_position_embeddings=32768))
    with FakeHub(REPOSITORY, {file.name: file.read_bytes() for file in checkpoint.iterdir()}) as hub:
        yield hub
    for directory in (home / "data" / "models").glob("*"):
        for pid in pids_of(directory):
            os.kill(pid, signal.SIGKILL)


def test_from_no_model_to_a_reply(tmp_path: Path, hub: FakeHub) -> None:
    project = tmp_path / "project"
    project.mkdir()
    environment = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hub")}
    with Terminal([TIDEGATE, project], tmp_path, environment=environment) as terminal:
        page = terminal.wait_for(lambda text: "No model was found" in text and "8-bit 84.7 GB" in text)
        assert page.index("nothing to fetch") < page.index("4-bit 44.8 GB")
        terminal.press("down", "enter")  # the first row is practice
        # A machine with less memory than the model is asked first; what is fetched here is small.
        ready = "● mlx-community--Qwen3-Coder-Next-4bit"
        if "Fetch it (y)" in terminal.wait_for(lambda text: "Fetch it (y)" in text or ready in text):
            terminal.press("y")
        terminal.wait_for(ready)
        terminal.type("hello").press("enter")
        terminal.wait_for(lambda text: "tok/s" in text and "working" not in text)
        terminal.press("ctrl+q")
        terminal.wait_for(lambda text: "Stop it and quit" in text or not terminal.is_running)
        terminal.press("y")
        assert terminal.wait_closed() == 0
