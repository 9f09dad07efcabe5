"""`tidegate run --continue` and `--resume`: the same conversation, from one process to the next."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from app.paths import data_directory
from tests.support.agent.scripted_server import ScriptedServer, reply

TIDEGATE = Path(sys.executable).with_name("tidegate")


def run(root: Path, server: ScriptedServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [TIDEGATE, "run", *arguments, "-C", str(root), "--model", server.url, "--output-format", "json"]
    return subprocess.run(line, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def test_a_run_goes_on_where_another_ended(
    tmp_path: Path, scripted_server: Callable[..., ScriptedServer]
) -> None:
    server = scripted_server(reply("Forty-two."), reply("Forty-eight."), reply("Fifty-four."))
    refused = run(tmp_path, server, "More?", "--continue")
    assert refused.returncode == 2 and "no earlier session" in refused.stderr and not server.requests
    first = json.loads(run(tmp_path, server, "Six by seven?", "--mode", "plan").stdout)["session"]
    assert json.loads(run(tmp_path, server, "And eight?", "--continue").stdout)["session"] == first
    assert json.loads(run(tmp_path, server, "And nine?", "--resume", first).stdout)["session"] == first
    told = server.requests[-1]["messages"]
    assert [message["content"].rpartition("</context>")[2].strip() for message in told[1:]] == [
        "Six by seven?",
        "Forty-two.",
        "And eight?",
        "Forty-eight.",
        "And nine?",
    ]
    assert "Mode: plan" in told[-1]["content"], "the session's own mode"
    assert run(tmp_path, server, "x", "--resume", "nothing").returncode == 2


def test_json_output_has_what_was_noticed(
    tmp_path: Path, scripted_server: Callable[..., ScriptedServer]
) -> None:
    server = scripted_server(reply("Forty-two."), reply(""))
    assert json.loads(run(tmp_path, server, "Six by seven?").stdout)["notices"] == []
    (session,) = data_directory().glob("sessions/*/*.jsonl")
    before, _, after = session.read_bytes().partition(b"Forty-two")
    session.write_bytes(before + b"Forty-tww" + after)
    ended = run(tmp_path, server, "And eight?", "--continue")
    assert ended.returncode == 0 and json.loads(ended.stdout)["notices"] == [
        f"Line {before.count(10) + 1} of {session} is damaged: what was said or done there is missing",
        "The model ended its reply without a word.",
    ]
    told = [message["content"] for message in server.requests[-1]["messages"]]
    assert "Forty" not in str(told) and any("missing here" in content for content in told)
