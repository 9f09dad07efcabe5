"""Going round in circles, replies and turns without end: the model is told, then the user is asked."""

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.agent.agent_bench import Bench, check_well_formed, end_of
from tests.support.agent.scripted_server import Hang, ScriptedServer, call, reply

Make = Callable[..., Bench]
TIDEGATE = Path(sys.executable).with_name("tidegate")
LOOK = reply(call("read_file", file_path="notes.md"))


async def test_the_same_call_with_the_same_result_is_pointed_out_and_then_stopped(bench: Make) -> None:
    b = bench(*[LOOK] * 5, reply("Better now."))
    end = end_of(await b.run())
    assert (end.reason, "same call 5 times" in end.message) == ("limit", True)
    told = ["Do something else" in result for result in b.results()]
    assert told == [False, False, True, True], "the fifth result is for the user"
    assert end_of(await b.run("Go on.")).reason == "done"
    check_well_formed(b.sent)


async def test_what_changes_something_in_between_is_no_circle(bench: Make) -> None:
    steps = [
        step
        for number in range(6)
        for step in (LOOK, reply(call("write_file", file_path=f"{number}.txt", content=f"{number}\n")))
    ]
    assert end_of(await bench(*steps, reply("Done.")).run()).reason == "done"


async def test_a_change_made_and_taken_back_again_and_again_is_a_circle(bench: Make) -> None:
    steps = [
        reply(call("write_file", file_path="a.txt", content=f"{word}\n"))
        for _ in range(6)
        for word in ("one", "other")
    ]
    b = bench(*steps, reply("Done."))
    end = end_of(await b.run())
    assert (end.reason, "same call 5 times" in end.message) == ("limit", True)
    assert sum("Do something else" in result for result in b.results()) == 4


async def test_a_turn_without_end_asks_whether_to_go_on(bench: Make) -> None:
    steps = [reply(call("glob", pattern=f"{number}*")) for number in range(102)]
    b = bench(*steps, reply("Done."))
    end = end_of(await b.run())
    # System prompt and tools are the same to the byte, and each request goes on from the one before.
    requests = b.server.requests
    assert len({json.dumps([request["messages"][0], request["tools"]]) for request in requests}) == 1
    for before, after in pairwise(requests):
        assert after["messages"][: len(before["messages"])] == before["messages"]
    assert (end.reason, "took 100 steps" in end.message, 'say "go on"' in end.message) == ("limit", True, True)
    assert end_of(await b.run("Go on.")).reason == "done"
    check_well_formed(b.sent)


@pytest.mark.parametrize(
    "runaway", [reply("la " * 400, Hang()), reply(call("write_file", file_path="x", content="x" * 900), Hang())]
)
async def test_a_reply_without_end_is_stopped(
    bench: Make, monkeypatch: pytest.MonkeyPatch, runaway: object
) -> None:
    monkeypatch.setattr("app.agent.turn._MAX_CHARACTERS", 500)
    b = bench(runaway, reply("Done."))
    end = end_of(await b.run())
    assert (end.reason, "came to no end" in end.message) == ("limit", True)
    assert not (b.root / "x").exists()
    await b.server.wait_for(lambda server: server.disconnects == 1)
    assert end_of(await b.run("Go on.")).reason == "done"
    check_well_formed(b.sent)


def test_without_a_screen_the_limit_is_told_and_the_status_says_so(
    tmp_path: Path, scripted_server: Callable[..., ScriptedServer]
) -> None:
    (tmp_path / "notes.md").write_text("one\n")
    line = [TIDEGATE, "run", "Go.", "-C", tmp_path, "--model", scripted_server(*[LOOK] * 9).url]
    ended = subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert ended.returncode == 1
    assert "tidegate: The agent made the same call 5 times with the same result" in ended.stderr
