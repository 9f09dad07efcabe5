"""The workspace with the engine itself behind it, and what happens when that dies."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.agent.scripted_server import ScriptedServer
from tests.support.processes import pids_of
from tests.support.review.real_project import real_project, tree
from tests.support.ui import journey
from tests.support.ui.terminal import Terminal
from tests.support.weights.servable import make_endless, servable_checkpoint

QUESTION = "Tell me a long story"
TIDEGATE = Path(sys.executable).with_name("tidegate")

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the engine's process by /proc")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Iterator[Path]:
    """A random model whose replies go on and on."""
    directory = servable_checkpoint(tmp_path / "endless", max_position_embeddings=65536)
    yield make_endless(directory)
    for pid in pids_of(directory):
        os.kill(pid, signal.SIGKILL)


def reply(text: str) -> str:
    """What the agent pane shows below the story's title, prompt progress excepted."""
    columns = [line.rsplit("││", 1)[-1].strip("│ ") for line in text.splitlines() if "││" in line]
    if QUESTION not in "".join(columns):
        return ""
    below = columns[next(row for row, line in enumerate(columns) if QUESTION in line) + 1 : -3]
    return "" if any(line.startswith("Reading") for line in below) else "".join(below)


def test_an_engine_killed_in_mid_reply_costs_no_file_message_or_decision(
    tmp_path: Path, checkpoint: Path, scripted_server: Callable[..., ScriptedServer]
) -> None:
    root = real_project(tmp_path)
    url = scripted_server(*journey.story()).url
    with Terminal([TIDEGATE, root, "--model", url, "--mode", "auto"], tmp_path) as terminal:
        terminal.wait_for("Ask, or say what to change")
        terminal.type(journey.PROMPT).press("enter")
        terminal.wait_for(lambda text: "2 to review" in text and "working" not in text)
        terminal.press("f4")
        terminal.wait_for(lambda text: "0 of 2 decided" in text and "a keep" in text)
        terminal.press("a")
        terminal.wait_for("1 of 2 decided")
        assert terminal.leave() == 0
    files = tree(root)

    with Terminal([TIDEGATE, root, "--model", checkpoint], tmp_path) as terminal:
        # The first frame is there before the engine is.
        first = terminal.wait_for("Ask, or say what to change")
        assert "● endless" not in first
        terminal.wait_for("● endless")
        terminal.type(QUESTION).press("enter")
        terminal.wait_for(lambda text: len(reply(text)) > 40)
        (pid,) = pids_of(checkpoint)
        os.kill(pid, signal.SIGKILL)
        terminal.wait_for("SIGKILL")
        terminal.wait_for(lambda _: bool(set(pids_of(checkpoint)) - {pid}))
        terminal.wait_for(lambda text: "● endless" in text or "◉ endless" in text)
        assert QUESTION in terminal.text
        assert "1 to review" in terminal.text
        terminal.press("f4")
        terminal.wait_for("1 of 2 decided")
        terminal.press("ctrl+q")
        terminal.wait_for("Stop it and quit")
        terminal.press("y")
        assert terminal.wait_closed() == 0
    assert tree(root) == files
