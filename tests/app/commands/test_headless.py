"""`tidegate run` as a user runs it: another process, a scripted server behind real HTTP, files on disk."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.agent.scripted_server import Call, Gate, HttpError, Raw, ScriptedServer, call, reply
from tests.support.patience import LONGEST


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "app.cli", *arguments]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.py").write_text("one = 1\ntwo = 2\n")
    return project


@pytest.fixture
def run(project: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(
        server: ScriptedServer, prompt: str, *options: str, piped: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command("run", prompt, "-C", str(project), "--model", server.url, *options),
            input=piped,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
            env={**os.environ, **environment},
        )

    return run


HALF = Raw(b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\n\n')
NAMELESS = r"touch $'\xff.txt'"


def test_what_is_no_text_and_what_is_no_argument_end_nothing(scripted_server, run):
    deep = Call("read_file", '{"file_path": ' + "[" * 5_000)
    shell = call("run_shell_command", command=NAMELESS)
    server = scripted_server(reply(HALF, "x", deep), reply(shell), reply("漢字"))
    done = run(server, "Go", "--mode", "auto", "--output-format", "json", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stdout
    result = json.loads(done.stdout)
    assert result["result"] == "漢字" and len(result["files_changed"]) == 1
    assert "not valid JSON" in server.requests[1]["messages"][-1]["content"]


EDIT = (
    reply("I will look.", call("read_file", file_path="a.py")),
    reply(call("edit", file_path="a.py", old_string="two = 2", new_string="two = 22")),
    reply("Changed it."),
)


def test_text_a_pipe_and_an_edit(scripted_server, run, project: Path):
    server = scripted_server(*EDIT)
    done = run(server, "Change two", "--mode", "auto", piped="from the pipe\n")
    assert (done.returncode, done.stdout) == (0, "I will look.\nChanged it.\n"), done.stderr
    assert "a.py" in done.stderr
    assert (project / "a.py").read_text() == "one = 1\ntwo = 22\n"
    asked = json.dumps(server.requests[0]["messages"])
    assert "Change two" in asked and "from the pipe" in asked


def test_thoughts_are_no_part_of_what_is_said_or_sent_back(scripted_server, run):
    apart = {"choices": [{"index": 0, "delta": {"reasoning_content": "HMM"}}]}
    server = scripted_server(
        reply("<think>HMM</think>\n\nI will look.", call("read_file", file_path="a.py")),
        reply("HMM.\n</think>\n\n", call("read_file", file_path="a.py", offset=1)),
        reply(Raw(f"data: {json.dumps(apart)}\n\n".encode()), "It is short."),
    )
    done = run(server, "Look")
    assert (done.returncode, done.stdout) == (0, "I will look.\nIt is short.\n"), done.stderr
    assert "HMM" not in json.dumps(server.requests)


def test_json_lines_for_every_event_and_the_sum_at_the_end(scripted_server, run):
    done = run(scripted_server(*EDIT), "Change two", "--mode", "auto", "--output-format", "stream-json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = [line["type"] for line in lines]
    assert kinds[0] == "turn_started" and kinds[-2:] == ["turn_ended", "result"]
    assert {"text_streamed", "tool_started", "tool_finished", "files_changed"} <= set(kinds)
    result = lines[-1]
    assert (result["reason"], result["result"], result["files_changed"]) == ("done", "Changed it.", ["a.py"])
    assert result["replies"] == 3 and result["completion_tokens"] > 0


def test_json_says_only_the_result(scripted_server, run):
    done = run(scripted_server(reply("Four.")), "2+2?", "--output-format", "json")
    assert json.loads(done.stdout)["result"] == "Four." and done.returncode == 0


def test_what_would_need_asking_is_denied_and_told(scripted_server, run, project: Path):
    titled = call("edit", file_path="a.py", old_string="two = 2", new_string="\x1b]0;two\x07")
    server = scripted_server(EDIT[0], reply(titled), reply("I may not."))
    done = run(server, "Change two", "--mode", "ask")
    assert done.returncode == 0
    assert "denied, as nobody can be asked" in done.stderr and "\x1b" not in done.stderr
    assert (project / "a.py").read_text() == "one = 1\ntwo = 2\n"
    assert "Nobody is here to be asked" in server.requests[2]["messages"][-1]["content"]


def test_an_agent_that_did_not_end_by_itself_is_status_1(scripted_server, run):
    done = run(scripted_server(reply("cut", reason="length")), "Go")
    assert done.returncode == 1 and done.stdout == "cut\n" and "cut off" in done.stderr
    done = run(scripted_server(HttpError(400, "too many tokens")), "Go")
    assert done.returncode == 1 and "too many tokens" in done.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_in_mid_reply(scripted_server, project: Path, number: int, status: int):
    gate = Gate()
    server = scripted_server(reply("half a word", gate))
    process = subprocess.Popen(
        command("run", "Go", "-C", str(project), "--model", server.url, "--output-format", "json"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert gate.reached.wait(LONGEST)
    process.send_signal(number)
    said, complaints = process.communicate(timeout=LONGEST)
    assert process.returncode == status, complaints
    assert json.loads(said)["reason"] == "cancelled"
    assert "Traceback" not in complaints


def test_a_second_interrupt_ends_what_hangs(scripted_server, project: Path):
    hanging = (
        "import sys, threading, app.commands.headless; from app.cli import main\n"
        "app.commands.headless.Review = lambda _: (print('hangs', flush=True), threading.Event().wait())\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["run", "Go", "-C", str(project), "--model", scripted_server().url]
    with subprocess.Popen(
        [sys.executable, "-c", hanging, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "hangs\n"
        for _ in range(100):
            process.send_signal(signal.SIGINT)
            try:
                assert process.wait(0.2) == 130
                break
            except subprocess.TimeoutExpired:
                continue
        assert process.poll() is not None
