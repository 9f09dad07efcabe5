"""SIGKILL at random moments of a whole session: what was done is there when it goes on, nothing is done twice,
and files, session and review agree."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.agent.session.index import sessions
from app.agent.session.records import MessageAdded
from app.agent.session.session import read_session
from app.review.review import Review
from tests.support.agent.agent_bench import check_well_formed
from tests.support.agent.scripted_server import Reply, ScriptedServer, call, reply
from tests.support.review.real_project import git
from tests.support.review.review_cases import reject_all

TIDEGATE = Path(sys.executable).with_name("tidegate")
STEPS = 9
LOST = "Tidegate was closed before"


def step(request: dict[str, Any]) -> Reply:
    """The next step after those that have a result, whatever it says."""
    number = sum(message["role"] == "tool" for message in request["messages"])
    if number >= STEPS:
        return reply("Done.")
    if number % 3 == 0:
        return reply("A file.", call("write_file", file_path=f"new-{number}.txt", content=f"{number}\n"))
    if number % 3 == 1:
        return reply(call("edit", file_path="list.txt", old_string="end\n", new_string=f"item {number}\nend\n"))
    return reply(call("run_shell_command", command=f"echo {number} >> log.txt"))


def times_done(root: Path, number: int) -> int:
    """How often the disk says that a step was taken."""
    if number % 3 == 0:
        return int((root / f"new-{number}.txt").exists())
    file, line = ("list.txt", f"item {number}") if number % 3 == 1 else ("log.txt", str(number))
    return (root / file).read_text().splitlines().count(line) if (root / file).exists() else 0


def results(root: Path) -> list[str]:
    """What the session's file says of the calls, in order."""
    summary = next(sessions(root), None)
    records = read_session(root, summary.id) if summary else ()
    messages = [record.message for record in records if isinstance(record, MessageAdded)]
    return [message.content for message in messages if message.role == "tool"]


def start(root: Path, server: ScriptedServer, *options: str) -> "subprocess.Popen[bytes]":
    line = [TIDEGATE, "run", "Go.", "-C", root, "--model", server.url, "--mode", "auto", *options]
    return subprocess.Popen(
        line,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def project(place: Path) -> Path:
    place.mkdir()
    git(place, "init", "--quiet")
    (place / "list.txt").write_text("begin\nend\n")
    return place


def kill_and_go_on(place: Path, server: ScriptedServer, moment: float) -> int:
    """One session, killed `moment` seconds after its start; returns how many steps it had taken."""
    root = project(place)
    process = start(root, server)
    assert process.stderr is not None
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = results(root)
    for number in range(STEPS):
        is_recorded = number < len(done)
        assert times_done(root, number) in ((1,) if is_recorded else (0, 1)), (moment, number)
    again = start(root, server, *(["--continue"] if next(sessions(root), None) else []))
    said = again.communicate()[1].decode()
    assert again.returncode == 0, (moment, said)
    told = results(root)
    assert told[: len(done)] == done and len(told) == STEPS, moment
    for number, result in enumerate(told):
        assert times_done(root, number) in ((0, 1) if LOST in result else (1,)), (moment, number, result)
    assert sum(LOST in result for result in told) <= 1
    check_well_formed(server.requests[-1]["messages"][1:])
    # Review knows of every edit that is on disk: put back, none is left.
    reject_all(Review(root))
    assert (root / "list.txt").read_text() == "begin\nend\n", moment
    assert not list(root.glob("new-*.txt")), moment
    return len(done)


@pytest.fixture
def server(scripted_server: Callable[..., ScriptedServer]) -> Iterator[ScriptedServer]:
    yield scripted_server(*[step] * 5000)


def check(tmp_path: Path, server: ScriptedServer, count: int, seed: int) -> set[int]:
    began = time.monotonic()
    assert start(project(tmp_path / "whole"), server).wait() == 0
    whole = time.monotonic() - began
    chance = random.Random(seed)
    return {
        kill_and_go_on(tmp_path / f"p{number}", server, chance.uniform(0.2, 1) * whole)
        for number in range(count)
    }


@pytest.mark.timeout(900)
def test_killed_at_random_moments(tmp_path: Path, server: ScriptedServer) -> None:
    check(tmp_path, server, 3, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_at_two_hundred_random_moments(tmp_path: Path, server: ScriptedServer) -> None:
    reached = check(tmp_path, server, 200, seed=2)
    assert len(reached) > STEPS // 2, "killed at few different steps"
