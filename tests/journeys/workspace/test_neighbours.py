"""A session with an MCP server and a sub-task, as its user has it: on a terminal, and without a screen."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.agent.scripted_server import Reply, ScriptedServer, call, reply
from tests.support.patience import LONGEST
from tests.support.ui.terminal import Terminal

TIDEGATE = Path(sys.executable).with_name("tidegate")
PROMPT = "What time is it, and where is f?"


def story() -> tuple[Reply, ...]:
    return (
        reply(
            "I will ask the clock.",
            call("time__get_current_time", timezone="Etc/UTC"),
            call("task", description="Find f", prompt="Where is f defined?"),
        ),
        reply(call("grep_search", pattern="def f"), call("read_file", file_path="a.py")),
        reply("f is in a.py, line 1."),
        reply("It is late, and f is in a.py."),
    )


@pytest.fixture
def project(tmp_path: Path, home: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "a.py").write_text("def f():\n    return 1\n")
    (home / "config").mkdir()
    (home / "config" / "settings.toml").write_text(
        f'mode = "auto"\n[mcp.time]\ncommand = {sys.executable!r}\nargs = ["-m", "mcp_server_time"]\n'
        '[mcp.gone]\ncommand = "no-such-server"\n'
    )
    return root


@pytest.mark.slow
def test_on_a_terminal(tmp_path: Path, project: Path, scripted_server: Callable[..., ScriptedServer]) -> None:
    server = scripted_server(*story())
    with Terminal([TIDEGATE, project, "--model", server.url], tmp_path) as terminal:
        terminal.wait_for("Ask, or say what to change")
        terminal.type(PROMPT).press("enter")
        terminal.wait_for("It is late, and f is in a.py.")
        folded = terminal.wait_for("● Task: Find f")
        assert "line 1" not in folded, "the sub-task's words are folded"
        terminal.type("/mcp").wait_for("The MCP servers")
        terminal.press("enter", "enter")
        terminal.wait_for("time · ready, about")
        terminal.wait_for("time__convert_time")
        assert terminal.leave() == 0


def test_without_a_screen(project: Path, scripted_server: Callable[..., ScriptedServer]) -> None:
    server = scripted_server(*story())
    done = subprocess.run(
        [TIDEGATE, "run", PROMPT, "-C", project, "--model", server.url],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
        env=dict(os.environ),
    )
    assert (done.returncode, done.stdout) == (0, "I will ask the clock.\nIt is late, and f is in a.py.\n")
    assert done.stderr.splitlines() == [
        "Waiting for the MCP servers: time, gone.",
        done.stderr.splitlines()[1],
        "The MCP server gone cannot be used: its command no-such-server was not found.",
        '· time: get_current_time(timezone="Etc/UTC")',
        "· Task: Find f",
        "  · Search def f",
        "  · Read a.py",
    ]
    assert done.stderr.splitlines()[1].startswith("Tools of MCP servers: time 2; about ")
    sub, parent = server.requests[1]["messages"], server.requests[3]["messages"]
    assert len(sub) == 2 and sub[0] == parent[0]
    assert parent[-1]["content"] == "f is in a.py, line 1."
