"""`tidegate run` as a script would use it: a real project, a real process, the real wire."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support import journey
from tests.support.real_project import git, real_project, tree
from tests.support.scripted_server import Drop, ScriptedServer, reply

TIDEGATE = Path(sys.executable).with_name("tidegate")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The console command, with nothing to read from."""
    return subprocess.run(
        [TIDEGATE, "run", *arguments], check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def test_agent_edits_a_real_project_and_runs_its_tests(
    tmp_path: Path, scripted_server: Callable[..., ScriptedServer]
) -> None:
    root = real_project(tmp_path)
    before = tree(root)
    server = scripted_server(*journey.story())

    ended = run(
        journey.PROMPT,
        "-C",
        str(root),
        "--model",
        server.url,
        "--mode",
        "auto",
        "--output-format",
        "stream-json",
    )

    assert ended.returncode == 0, ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert journey.LAST_WORDS in json.dumps(events[-1])
    text = before[journey.FILE].decode()
    expected = text.replace(journey.GOOD_BEFORE, journey.GOOD_AFTER).replace(
        journey.BAD_BEFORE, journey.BAD_AFTER
    )
    assert tree(root) == before | {journey.FILE: expected.encode()}
    assert git(root, "status", "--porcelain") == f" M {journey.FILE}\n"
    # The project's own tests really ran, and the model was told what they said of its second change.
    told = server.requests[-1]["messages"][-1]
    assert told["role"] == "tool"
    assert re.search(r"\d+ failed, \d+ passed", told["content"])


def test_exit_status_says_whether_the_agent_ended_by_itself(
    tmp_path: Path, scripted_server: Callable[..., ScriptedServer]
) -> None:
    server = scripted_server(reply("Half a sen", Drop()), *[reply("again", Drop())] * 4)
    ended = run("Hello", "-C", str(tmp_path), "--model", server.url)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.strip().splitlines()) >= 1


def test_asking_mode_refuses_what_nobody_can_approve(
    tmp_path: Path, scripted_server: Callable[..., ScriptedServer]
) -> None:
    root = real_project(tmp_path)
    before = tree(root)
    server = scripted_server(*journey.story())
    ended = run(journey.PROMPT, "-C", str(root), "--model", server.url, "--mode", "ask")
    assert ended.returncode == 0, ended.stderr
    assert tree(root) == before
