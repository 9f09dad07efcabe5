"""Takes are what the model would have written as well, put to the file as it is without the hunk."""

from collections.abc import Callable

import pytest

from app.agent.errors import NothingCameOfIt
from app.agent.hunks.takes import HunkToWrite, difference
from app.review.model import FileImage
from tests.support.agent_bench import Bench
from tests.support.scripted_server import call, reply

MakeBench = Callable[..., Bench]
BEFORE, NOW = FileImage(b"one\ntwo\nthree\n"), FileImage(b"one\nzwei\nthree\n")


def edit(new: str, old: str = "two", path: str = "notes.md"):
    return reply("I write it.", call("edit", file_path=path, old_string=old, new_string=new))


async def test_each_is_sampled_from_the_state_before_the_call(bench: MakeBench) -> None:
    made = bench(reply(call("read_file", file_path="notes.md")), edit("zwei"), reply("Done."))
    await made.run()
    wrote = next(one for message in made.agent.messages for one in message.tool_calls if one.name == "edit")
    state, messages = made.server.requests[1]["messages"], made.agent.messages
    made.server.add(
        edit("deux"),
        edit("zwei"),  # as it is
        edit("deux"),  # as another
        edit("due", path="src/a.py"),
        edit("due", old="not there"),
        reply("No, I do not."),
        reply(call("write_file", file_path="notes.md", content="one\n2\n3\n")),
    )
    hunk = HunkToWrite("notes.md", made.agent.session_id, wrote.id, BEFORE, NOW, "shorter")
    found = await made.agent.hunks.takes(hunk, 7, 0.8)
    assert {take.after.data: take.difference for take in found.takes} == {
        b"one\ndeux\nthree\n": "`deux` instead of `zwei`",
        b"one\n2\n3\n": "`2` instead of `zwei`, and 1 more line",
    }
    assert (found.asked, found.unfit) == (7, 3)
    requests = made.server.requests[3:]
    assert all(request["messages"][:-1] == state for request in requests)
    assert all("shorter" in request["messages"][-1]["content"] for request in requests)
    assert len({request["seed"] for request in requests}) == 7 and requests[0]["temperature"] == 0.8
    assert made.agent.messages == messages


async def test_what_a_command_did_cannot_be_written_again(bench: MakeBench) -> None:
    made = bench(reply(call("run_shell_command", command="true")), reply("Done."))
    await made.run()
    ran = made.agent.messages[1].tool_calls[0]
    for name, why in ((ran.id, "command"), ("gone", "not in its session")):
        with pytest.raises(NothingCameOfIt, match=why):
            hunk = HunkToWrite("notes.md", made.agent.session_id, name, BEFORE, NOW)
            await made.agent.hunks.takes(hunk, 2, 1.0)


def test_a_difference_is_one_line() -> None:
    other = FileImage(b"one\nthree\n")
    assert difference(NOW, other) == "without `zwei`"
    assert difference(other, NOW) == "with `zwei`"
    assert difference(None, FileImage(b"a\nb\n")) == "with `a`, and 2 more lines"
