"""Takes are what the model would have written as well, put to the file as it is without the hunk."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from app.agent.errors import HunkWorkFailed
from app.agent.hunks.takes import ToWrite, difference
from app.review.model import FileImage
from tests.support.agent.agent_bench import Bench
from tests.support.agent.scripted_server import call, reply

MakeBench = Callable[..., Bench]
Files = dict[str, FileImage | None]
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
    hunk = to_write(made, [wrote.id], wish="shorter", is_hunk=True)
    found = await made.agent.hunks.takes(hunk, 7, 0.8)
    assert {data_of(take.after)["notes.md"]: take.difference for take in found.takes} == {
        b"one\ndeux\nthree\n": "`deux` instead of `zwei`",
        b"one\n2\n3\n": "`2` instead of `zwei`, and 1 more line",
    }
    assert (found.asked, found.unfit) == (7, 3)
    requests = made.server.requests[3:]
    assert all(request["messages"][:-1] == state for request in requests)
    assert all("shorter" in request["messages"][-1]["content"] for request in requests)
    assert len({request["seed"] for request in requests}) == 7 and requests[0]["temperature"] == 0.8
    assert made.agent.messages == messages


def to_write(
    made: Bench, calls: list[str], *, path: str = "notes.md", wish: str = "", is_hunk: bool = False
) -> ToWrite:
    """What `calls` made of BEFORE."""
    before: Files = {"notes.md": BEFORE}
    now: Files = {"notes.md": NOW}
    return ToWrite(made.agent.session_id, {"notes.md": calls}, before, now, path, is_hunk, wish)


def data_of(files: Mapping[str, FileImage | None]) -> dict[str, bytes | None]:
    return {path: image.data if image else None for path, image in files.items()}


async def written(bench: MakeBench) -> tuple[Bench, list[str], list[dict[str, Any]]]:
    """A turn that wrote into a file twice and ran a command in between; its writing calls, and what the model
    was sent before the first."""
    made = bench(
        reply(call("read_file", file_path="notes.md")),
        edit("zwei"),
        reply(call("run_shell_command", command="true")),
        edit("ZWEI", old="zwei"),
        reply("Done."),
    )
    await made.run()
    calls = [one for message in made.agent.messages for one in message.tool_calls]
    return made, [one.id for one in calls if one.name == "edit"], made.server.requests[1]["messages"]


async def test_a_file_is_written_again_by_the_loop_of_its_turn_in_memory(bench: MakeBench) -> None:
    made, calls, state = await written(bench)
    messages, disk = made.agent.messages, (made.root / "notes.md").read_bytes()
    made.server.add(
        edit("due"),
        reply(call("run_shell_command", command="touch ran"), call("read_file", file_path="notes.md")),
        edit("DUE", old="due"),
        reply(call("edit", file_path="src/a.py", old_string="", new_string="x")),
        reply("More, which nobody asks for."),
    )
    before = len(made.server.requests)
    found = await made.agent.hunks.takes(to_write(made, calls, wish="in Italian"), 1, 0.8)
    (take,) = found.takes
    assert data_of(take.after) == {"notes.md": b"one\nDUE\nthree\n"} and take.begun == {"notes.md": BEFORE}
    asked = made.server.requests[before:]
    # Nothing ran, the take read its own text, and it was over with what is not of this file.
    assert len(asked) == 4 and not (made.root / "ran").exists()
    assert asked[0]["messages"][:-1] == state and "in Italian" in asked[0]["messages"][-1]["content"]
    ran, read = asked[2]["messages"][-2:]
    assert "nothing is run" in ran["content"] and read["content"] == "one\ndue\nthree"
    assert (made.agent.messages, (made.root / "notes.md").read_bytes()) == (messages, disk)


async def test_a_turn_is_written_again_with_the_files_that_it_writes_now(bench: MakeBench) -> None:
    made, calls, _ = await written(bench)
    made.server.add(
        reply(call("write_file", file_path="new.md", content="new\n")),
        edit("due", old="not there"),
        edit("due"),
        reply("Done."),
    )
    found = await made.agent.hunks.takes(to_write(made, calls, path=""), 1, 1.0)
    (take,) = found.takes
    assert data_of(take.after) == {"notes.md": b"one\ndue\nthree\n", "new.md": b"new\n"}
    assert take.begun == {"notes.md": BEFORE, "new.md": None} and not (made.root / "new.md").exists()
    assert take.difference == "with `new` in new.md, and 1 more file"
    # One that does not fit and is not made good, and one that writes nothing.
    made.server.add(edit("due", old="not there"), reply("Done."))
    found = await made.agent.hunks.takes(to_write(made, calls, path=""), 1, 1.0)
    assert (found.takes, found.unfit) == ((), 1) and "old_string" in found.why
    made.server.add(reply("I would leave it."))
    found = await made.agent.hunks.takes(to_write(made, calls, path=""), 1, 1.0)
    assert (found.takes, found.why) == ((), "It writes nothing.")


async def test_what_a_command_did_cannot_be_written_again(bench: MakeBench) -> None:
    made = bench(reply(call("run_shell_command", command="true")), reply("Done."))
    await made.run()
    ran = made.agent.messages[1].tool_calls[0]
    for name, why in ((ran.id, "command"), ("gone", "not in its session")):
        for is_hunk in (True, False):
            with pytest.raises(HunkWorkFailed, match=why):
                await made.agent.hunks.takes(to_write(made, [name], is_hunk=is_hunk), 2, 1.0)


def test_a_difference_is_one_line() -> None:
    other = FileImage(b"one\nthree\n")
    assert difference(NOW, other) == "without `zwei`"
    assert difference(other, NOW) == "with `zwei`"
    assert difference(None, FileImage(b"a\nb\n")) == "with `a`, and 1 more line"
