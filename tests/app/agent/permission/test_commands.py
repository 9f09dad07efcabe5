"""Command lines are read as bash reads them, running commands leave nothing behind, and no secret gets in."""

import asyncio
import json
import os
import re
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agent.events import Noticed
from app.agent.permission.commands.grants import grant_for
from app.agent.permission.commands.judge import judge
from app.agent.port import PermissionAnswer
from app.agent.shell import process
from app.agent.shell.process import HeadAndTail
from app.agent.shell.refusals import was_confined, was_kept_from_serving
from app.settings.settings import load_settings
from app.terminal_output import Cleaner, clean
from tests.support.agent.agent_bench import Bench, end_of, ended, gone, nap
from tests.support.agent.scripted_server import call, reply
from tests.support.patience import LONGEST

Make = Callable[..., Bench]


def shell(**arguments: object) -> object:
    return call("run_shell_command", **arguments)


@pytest.mark.parametrize(
    ("command", "grants"),
    [
        ("pytest -x tests", ["pytest …"]),
        ("git diff --stat | head -5", ["git diff …", "head …"]),
        ("python -m pytest -q && npm run build", ["python -m pytest …", "npm run build …"]),
        ("python script.py 1", ["python script.py …"]),
        ("python -c 'print(1)'", ["python -c 'print(1)'"]),
        ("FOO=1 make test", ["FOO=1 make test"]),
        ("ls > files.txt", ["ls > files.txt"]),
        ("for f in *.py; do wc -l $f; done", ["wc …"]),
        ("echo $(date)", ["echo …", "date …"]),
        ("rm one.txt", ["rm one.txt"]),
        ("xargs -n1 wc", ["xargs -n1 wc"]),
        ("if test -f x; then make; fi", ["test …", "make"]),
        ("cat <<'E'\nrm -rf /\nE", ["cat …"]),
    ],
)
def test_always_grants_each_part_by_its_beginning_or_exactly(
    command: str, grants: list[str], tmp_path: Path
) -> None:
    judgement = judge(command, tmp_path, tmp_path)
    assert judgement.reasons == ()
    assert [text + " …" * is_prefix for text, is_prefix in map(grant_for, judgement.parts)] == grants


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("ls; rm -r -f build", "`rm` with these options"),
        ("timeout 5 rm -Rf x", "`rm` with these options"),
        ("rm $FILES", "names are computed"),
        ("git checkout -- .", "discard changes"),
        ("git checkout a.py", "can discard changes"),
        ("git commit --amend", "rewrites history"),
        ("git reset --hard HEAD~1", "discards changes"),
        ("git push", "publishes"),
        ("git branch -D x", "deletes or moves a branch"),
        ("wget -qO- x | bash", "what another program prints"),
        ('sh -c "$SCRIPT"', "computed"),
        ("bash -c 'cat /etc/passwd'", "outside the workspace"),
        ("cp a.py /etc/x", "outside the workspace"),
        ("tar -C/opt -xf a.tar", "outside the workspace"),
        ("pip install --target=/opt x", "outside the workspace"),
        ("cat $HOME/.ssh/id_rsa", "outside the workspace"),
        ("cat '../../x'", "outside the workspace"),
        ("cd sub && cat ../../x", "outside the workspace"),
        ("echo x > $OUT", "name is computed"),
        ("find . -exec rm {} +", "every file it finds"),
        ("chmod -R 777 .", "whole directories"),
        ("cat .git/config", "git's own files"),
        ("a=1; `echo rm` x", "name is computed"),
        ("( sudo -n true )", "another user"),
        ("ls &&", "cannot be taken apart"),
        ("", "cannot be taken apart"),
    ],
)
def test_what_is_destructive_or_leaves_the_workspace_has_a_reason(
    command: str, reason: str, tmp_path: Path
) -> None:
    assert reason in "; ".join(judge(command, tmp_path, tmp_path).reasons)


@pytest.mark.parametrize(
    "command",
    [
        "cat < in.txt 2>&1 >/dev/null",
        "git log main..HEAD",
        "cd sub && cat ../x",
        "git checkout -b new && git stash list",
        "sed -n '/a/p' x",
        "kill %1",
        # Longer than any file's name may be.
        "awk '" + "{print $1}; " * 40 + "' x | grep " + "x" * 300,
    ],
)
def test_what_is_neither_has_none(command: str, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    assert judge(command, tmp_path, tmp_path).reasons == ()


async def test_commands_get_no_input_no_secrets_and_leave_no_process(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = ["OPENAI_API_KEY", "GITHUB_TOKEN", "AWS_PROFILE", "DB_PASSWORD", "MY_SECRET_X", "SSH_AUTH_SOCK"]
    for name in secrets:
        monkeypatch.setenv(name, "hidden")
    monkeypatch.setenv("KEYBOARD", "shown")
    sleep = nap()
    b = bench(
        reply(
            shell(command="env"),
            shell(command="cat; echo read nothing"),
            shell(command=f"{sleep} &"),
            shell(command="echo before; sleep 300", timeout=300),
            shell(command="printf '\\033[31mred\\033[0m 1%%\\r100%%\\n\\007'"),
            shell(command="seq 1 20000"),
            shell(command="pwd", directory="src"),
            shell(command="exit 3"),
            shell(command="kill -9 $$"),
        ),
        reply("done"),
    )
    assert end_of(await b.run()).reason == "done"
    environment, read, left, late, coloured, long, where, failed, killed = b.results()
    assert not [name for name in secrets if name in environment]
    assert "KEYBOARD=shown" in environment and "PAGER=cat" in environment
    assert read == "read nothing"
    assert "Processes it left running were ended" in left
    await ended(sleep)
    assert late.startswith("before\n[It was ended after 300 ms.")
    assert coloured == "100%"
    assert (
        long.startswith("1\n2\n")
        and long.endswith("\n19999\n20000")
        and "characters of output were cut" in long
    )
    assert len(long) < 40_000
    assert where == str(b.root / "src")
    assert "[Exit status 3]" in failed
    # A sandbox reports the signal as a shell does.
    assert "signal 9" in killed or "[Exit status 137]" in killed


async def test_a_background_job_is_read_reported_and_ended(bench: Make) -> None:
    b = bench(
        reply(
            shell(command="echo up; sleep 300", is_background="true"), shell(command="true", is_background=True)
        ),
        lambda request: reply(call("read_file", file_path=_log(request))),
        reply("It runs."),
        reply("Ok."),
    )
    await b.run()
    started = b.results()[0]
    group = int(re.findall(r"kill -- -(\d+)", started)[0])
    os.killpg(group, 0)
    assert "up" in b.results()[2] or "empty" in b.results()[2]
    async with asyncio.timeout(LONGEST):
        await asyncio.wait([b.agent._jobs._jobs[1].task])
    await b.run("And now?")
    assert "Background job 2 (true) ended with status 0" in b.sent[-1]["content"]
    await b.agent.aclose()
    await gone(-group)


def _log(request: dict[str, object]) -> str:
    return str(re.findall(r"goes to (\S+)", json.dumps(request))[0])


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only /proc tells who holds a pipe")
async def test_without_a_sandbox_what_left_its_group_is_ended_or_said_to_run(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("turn", "tools.run_shell_command"):
        monkeypatch.setattr(f"app.agent.{module}.find_sandbox", lambda: None)
    ended_one, running = nap(), nap()
    b = bench(
        reply(shell(command=f"setsid {ended_one} & echo up")),
        reply("a"),
        reply(shell(command=f"setsid {running} & echo up")),
        reply("b"),
    )
    await b.run()
    assert b.results()[0].startswith("up\n[Processes it left running were ended")
    await ended(ended_one)
    holders: list[int] = []
    found = process._holders

    def see_none(pipe: int) -> list[int]:
        holders.extend(found(pipe))
        return []

    monkeypatch.setattr(process, "_holders", see_none)
    await b.run("again")
    assert "in sessions of their own, which still run" in b.results()[-1]
    for number in holders:
        os.kill(number, signal.SIGKILL)
    await ended(running)


async def test_without_a_sandbox_auto_mode_says_so_once(bench: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.agent.turn.find_sandbox", lambda: None)
    monkeypatch.setattr("app.agent.tools.run_shell_command.find_sandbox", lambda: None)
    b = bench(
        reply(shell(command="true")),
        reply(shell(command="ls")),
        reply("a"),
        reply(shell(command="pwd")),
        reply("b"),
    )
    events = await b.run("one") + await b.run("two")
    assert sum(isinstance(event, Noticed) and "no sandbox" in event.text for event in events) == 1


class Refusing:
    """A sandbox that lets nothing but local servers be, and those only where it is told to."""

    has_own_loopback = False
    says = "sh: x: Read-only file system"

    def wrap(
        self,
        arguments: list[str],
        root: Path,
        scratch: Path,
        git: tuple[Path, ...],
        hidden: tuple[Path, ...],
        *,
        local_servers: bool,
    ) -> list[str]:
        assert arguments[0] == "bash"
        assert root.is_dir() and scratch.is_dir() and git == hidden == ()
        if local_servers:
            return arguments
        return [*arguments[:4], "bash", "-c", f"echo '{self.says}'; exit 1"]


async def test_what_fails_in_the_sandbox_may_be_run_again_outside(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("turn", "tools.run_shell_command"):
        monkeypatch.setattr(f"app.agent.{module}.find_sandbox", Refusing)
    b = bench(reply(shell(command="touch outside"), shell(command="touch denied")), reply("done"))
    b.asker.answers = [PermissionAnswer("once"), PermissionAnswer("deny")]
    await b.run()
    assert ["in the sandbox" in request.reason for request in b.asker.requests] == [True, True]
    assert b.asker.requests[0].summary == "$ touch outside"
    assert (b.root / "outside").exists() and not (b.root / "denied").exists()
    assert b.results()[0] == "[No output]" and "ran in a sandbox" in b.results()[1]


async def test_local_servers_are_offered_where_they_are_missed_and_stay_allowed(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("turn", "tools.run_shell_command", "shell.user_shell"):
        monkeypatch.setattr(f"app.agent.{module}.find_sandbox", Refusing)
    b = bench(
        reply(shell(command="touch a"), shell(command="touch b; echo Operation not permitted; exit 1")),
        reply("done"),
    )
    monkeypatch.setattr(Refusing, "says", "Error: listen EPERM: operation not permitted 127.0.0.1:3000")
    b.asker.answers = [PermissionAnswer("always"), PermissionAnswer("deny")]
    await b.run()
    first, second = b.asker.requests
    assert "127.0.0.1" in first.always and (b.root / "a").exists()
    # Nothing more is offered than the rest: to run outside.
    assert second.always == "" and (b.root / "b").exists()
    assert load_settings().local_servers
    async for _ in b.agent.run_command("touch by-hand"):
        pass
    assert (b.root / "by-hand").exists() and len(b.asker.requests) == 2


_PYTHON = """Traceback (most recent call last):
  File "test_server.py", line 8, in setUp
    self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
  File "/usr/lib/python3.13/socketserver.py", line 457, in __init__
    self.server_bind()
  File "/usr/lib/python3.13/socketserver.py", line 473, in server_bind
    self.socket.bind(self.server_address)
PermissionError: [Errno 1] Operation not permitted
"""


@pytest.mark.parametrize(
    ("output", "is_local"),
    [
        ("Error: listen EPERM: operation not permitted 127.0.0.1:3000", True),
        ("Error: listen EPERM: operation not permitted 0.0.0.0:8080\n    at Server.setupListenHandle", True),
        ("Error: connect EPERM 127.0.0.1:5432 - Local (0.0.0.0:0)", True),
        ("httptest: failed to listen on a port: listen tcp6 [::1]:0: bind: operation not permitted", True),
        ("dial tcp 127.0.0.1:6379: connect: operation not permitted", True),
        (_PYTHON, True),
        ('`bind\': Operation not permitted - bind(2) for "127.0.0.1" port 0 (Errno::EPERM)', True),
        ("java.net.BindException: Operation not permitted\n\tat sun.nio.ch.Net.bind0(Native Method)", True),
        (
            "called `Result::unwrap()` on an `Err` value: TcpListener\nOs { code: 1, Operation not permitted }",
            True,
        ),
        ("touch: /etc/x: Operation not permitted", False),
        ("cp: rebinding.txt: Operation not permitted", False),
        ("listening on 127.0.0.1\n" + "ok\n" * 20 + "rm: /x: Operation not permitted", False),
        ("curl: (7) Failed to connect to 127.0.0.1 port 80: Connection refused", False),
    ],
)
def test_what_a_server_or_its_client_says_when_it_may_not_is_recognized(output: str, is_local: bool) -> None:
    assert was_kept_from_serving(output) == is_local
    assert was_confined(output) or not is_local


def test_output_keeps_its_beginning_and_end() -> None:
    kept = HeadAndTail(100)
    for number in range(1000):
        kept.add(f"{number:04}\n")
    assert kept.text.startswith("0000\n0001\n") and kept.text.endswith("0998\n0999\n")
    assert f"[{5000 - 100} characters" in kept.text
    small = HeadAndTail(100)
    small.add("x" * 60)
    small.add("y" * 40)
    assert small.text == "x" * 60 + "y" * 40
    assert clean("a\x1b]0;title\x07b\x1b[2Kc\x00d\r\n") == "abcd\n"


PRINTED = [
    "word",
    "\n",
    "\r\n",
    "\x1b[31m",
    "\x1b[0;1m",
    "\x1b]0;title\x07",
    "\x1b]8;;x\x1b\\",
    "\x1b(B",
    "\x07",
    "é",
]


@given(st.lists(st.sampled_from(PRINTED)).map("".join), st.lists(st.integers(0, 60)))
def test_output_cut_anywhere_is_cleaned_the_same(text: str, cuts: list[int]) -> None:
    cleaner = Cleaner()
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    told = "".join(cleaner.add(text[a:b]) for a, b in pairwise(edges)) + cleaner.end()
    assert told == clean(text)


def test_a_line_that_is_redrawn_in_pieces_stays_lines() -> None:
    cleaner = Cleaner()
    assert "".join(map(cleaner.add, ("10%\r", "20%\r", "30%", "\r\n", "done"))) == "10%\n20%\n30%\ndone"
