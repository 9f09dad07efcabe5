"""Whether the status line tells the truth about what was cached, with the engine itself behind it."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.support.processes import pids_of
from tests.support.ui.terminal import Terminal
from tests.support.weights.servable import make_brief, servable_checkpoint

TIDEGATE = Path(sys.executable).with_name("tidegate")

pytestmark = [
    pytest.mark.slow,  # replies of random length, some of a thousand tokens
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the engine's process by /proc"),
]


def logged(home: Path) -> list[tuple[int, int, int]]:
    """Tokens of each request so far, by the engine's log: its prompt, those cached, its reply."""
    text = "".join(file.read_text() for file in (home / "log").glob("*"))
    found = re.findall(r"(\d+) prompt tokens \((\d+) cached\) in .* ms, (\d+) tokens", text)
    return [(int(prompt), int(cached), int(reply)) for prompt, cached, reply in found]


def short(count: int) -> str:
    """As the line writes it."""
    return str(count) if count < 1000 else f"{count / 1000:.1f}k"


@pytest.mark.timeout(600)
def test_cached_and_new_tokens_over_turns_and_a_restart(tmp_path: Path, home: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    checkpoint = make_brief(servable_checkpoint(tmp_path / "tiny", max_position_embeddings=65536))
    told = 0

    def ask(terminal: Terminal, text: str) -> None:
        nonlocal told
        told += 1
        terminal.type(text).press("enter")

        def is_said(screen: str) -> bool:
            rows = logged(home)
            if len(rows) < told or "◉ tiny" in screen:
                return False
            prompt, cached, _ = rows[-1]
            return f"{short(cached)} cached, {short(prompt - cached)} new" in screen

        terminal.wait_for(is_said)

    try:
        with Terminal([TIDEGATE, project, "--model", checkpoint], tmp_path, columns=150) as terminal:
            terminal.wait_for("● tiny")
            for text in ("Hello.", "And then?", "Go on."):
                ask(terminal, text)
            assert terminal.leave() == 0
        first, *later = logged(home)
        assert first[1] == 0
        for before, after in zip([first, *later], later, strict=False):
            assert after[1] == before[0] + before[2], "all that was said is known"
        for pid in pids_of(checkpoint):
            os.kill(pid, signal.SIGKILL)
        told = len(logged(home))
        with Terminal([TIDEGATE, project, "--model", checkpoint], tmp_path, columns=150) as terminal:
            terminal.wait_for("● tiny")
            ask(terminal, "Hello.")
            assert terminal.leave() == 0
        prompt, cached, _ = logged(home)[-1]
        assert prompt == first[0] and 0 < prompt - cached <= 16, "the very first request, after a restart"
    finally:
        for pid in pids_of(checkpoint):
            os.kill(pid, signal.SIGKILL)
