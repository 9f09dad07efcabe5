"""`tidegate run` as a script would use it: a real project, a real process, the real wire."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.agent.scripted_server import Drop, ScriptedServer, call, reply
from tests.support.patience import LONGEST
from tests.support.review.real_project import git, real_project, tree
from tests.support.ui import journey

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


RULES = """
[[rules]]
decision = "deny"
tool = "write_file"
[[rules]]
decision = "deny"
path = "secret*"
[[rules]]
decision = "deny"
command = "git log"
[[rules]]
decision = "ask"
path = "notes.md"
[[rules]]
decision = "allow"
tool = "edit"
path = "src/**"
[[rules]]
decision = "allow"
command = "echo"
"""


def test_every_kind_of_rule_in_every_mode(
    tmp_path: Path, home: Path, scripted_server: Callable[..., ScriptedServer]
) -> None:
    """What became of a call, by the mode: done, denied by the rule, refused by the mode, or asked about."""
    calls = {
        call("write_file", file_path="new.txt", content="x"): "rule rule rule",
        call("read_file", file_path="secret.txt"): "rule rule rule",
        call("grep_search", pattern="hush"): "hidden hidden hidden",
        call("run_shell_command", command="true; git log"): "rule rule rule",
        call("read_file", file_path="notes.md"): "asked asked asked",
        call("edit", file_path="src/a.py", old_string="a", new_string="b"): "mode done done",
        call("edit", file_path="b.py", old_string="a", new_string="b"): "mode asked done",
        call("run_shell_command", command="echo done"): "mode done done",
        call("run_shell_command", command="echo done > out"): "mode asked done",
        call("run_shell_command", command="rm -rf src"): "mode asked asked",
        call("run_shell_command", command="cat s*.t?t"): "mode hidden hidden",
        call("read_file", file_path="src/a.py"): "done done done",
    }
    signs = {
        "rule": "settings denies",
        "mode": "plan mode",
        "asked": "the user declined",
        "hidden": "rules keep",
    }
    (home / "config").mkdir()
    (home / "config" / "settings.toml").write_text(RULES)
    servers, running = {}, {}
    for mode in ("plan", "ask", "auto"):
        root = tmp_path / mode
        (root / "src").mkdir(parents=True)
        for name in ("src/a.py", "b.py", "notes.md"):
            (root / name).write_text("a = 1\n")
        (root / "secret.txt").write_text("hush\n")
        servers[mode] = scripted_server(reply(*calls), reply("Done."))
        line = [TIDEGATE, "run", "Go.", "-C", root, "--model", servers[mode].url, "--mode", mode]
        running[mode] = subprocess.Popen(line, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    for index, (mode, process) in enumerate(running.items()):
        _out, complaints = process.communicate(timeout=LONGEST)
        assert process.returncode == 0, complaints
        told = [m["content"] for m in servers[mode].requests[-1]["messages"] if m["role"] == "tool"]
        became = [next((name for name, sign in signs.items() if sign in text), "done") for text in told]
        assert became == [expected.split()[index] for expected in calls.values()], told
        assert "hush" not in "".join(told)
        assert (tmp_path / mode / "secret.txt").read_text() == "hush\n" and (tmp_path / mode / "src").is_dir()
