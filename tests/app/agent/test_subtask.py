"""The sub-agent that searches: what it may, what of it is kept, and what it costs."""

import asyncio
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.agent import subtask
from app.agent.events import SubtaskReplied, SubtaskStep, ToolFinished, TurnStarted
from app.agent.port import PermissionAnswer
from app.agent.prompt.prompt import SYSTEM_PROMPT
from app.agent.session.records import MessageAdded, SubtaskStepped, TurnBegan, TurnClosed
from app.agent.session.session import open_journal, read_session, session_path
from app.agent.tools.toolbox import specifications
from app.model.catalogue.catalogue import choose_model
from app.model.engine.open import open_engine
from app.model.events import Finished
from app.model.messages import ChatRequest, Message
from app.settings.settings import Settings
from tests.support.agent.agent_bench import Bench, check_well_formed, end_of
from tests.support.agent.scripted_server import Gate, HttpError, call, reply
from tests.support.processes import pids_of
from tests.support.weights.servable import servable_checkpoint

MakeBench = Callable[..., Bench]
TASK = call("task", description="Find f", prompt="Where is f defined?")


def head(request: dict[str, Any]) -> str:
    return json.dumps([request["messages"][0], request["tools"]])


async def test_a_summary_comes_back_and_nothing_else(bench: MakeBench) -> None:
    made = bench(
        reply("I will have it found.", TASK),
        reply(call("grep_search", pattern="def f"), call("read_file", file_path="src/a.py")),
        reply("f is in src/a.py, line 1."),
        reply("It is in src/a.py."),
    )
    events = await made.run()
    assert end_of(events).reason == "done"
    assert made.results() == ["f is in src/a.py, line 1."]
    asked, first, second, last = made.server.requests
    # The same head, so that what the engine has read of it serves both; of the conversation, nothing.
    assert head(asked) == head(first) == head(second) == head(last)
    assert len(first["messages"]) == 2 and first["messages"][1]["content"].endswith("Where is f defined?")
    assert "Do it." not in json.dumps(first["messages"])
    assert "read and search only" in first["messages"][1]["content"]
    check_well_formed(second["messages"][1:])
    # The parent goes on as if nothing had come between: its own prompt is only ever added to.
    assert last["messages"][: len(asked["messages"])] == asked["messages"]
    steps = [event.summary for event in events if isinstance(event, SubtaskStep)]
    assert len(steps) == 2 and "def f" in steps[0] and steps[1] == "Read src/a.py"
    assert sum(isinstance(event, SubtaskReplied) for event in events) == 2
    (done,) = [event for event in events if isinstance(event, ToolFinished)]
    assert done.display == f"· {steps[0]}\n· {steps[1]}\n\nf is in src/a.py, line 1."


async def test_it_only_reads_whatever_the_mode_and_starts_no_other(bench: MakeBench) -> None:
    made = bench(
        reply(TASK),
        reply(
            call("write_file", file_path="new.txt", content="x"),
            call("run_shell_command", command="touch new.txt"),
            call("task", prompt="Another"),
            call("todo_write", todos=[{"content": "mine", "status": "pending"}]),
        ),
        reply("I could not."),
        reply("So be it."),
        mode="auto",
    )
    await made.run()
    told = [message["content"] for message in made.server.requests[2]["messages"] if message["role"] == "tool"]
    assert all(text.startswith("Not done: a sub-task only reads and searches.") for text in told[:2])
    assert told[2].startswith("A sub-task cannot start another.")
    assert not (made.root / "new.txt").exists() and not made.recorder.records
    assert made.agent.todos == ()


async def test_what_it_read_its_parent_has_not(bench: MakeBench) -> None:
    edit = call("write_file", file_path="notes.md", content="all new\n")
    alone = bench(reply(edit), reply("Hm."))
    await alone.run()
    (refused,) = alone.results()
    made = bench(
        reply(TASK),
        reply(call("read_file", file_path="notes.md")),
        reply("It has three lines."),
        reply(edit),
        reply("Hm."),
    )
    await made.run()
    assert made.results() == ["It has three lines.", refused]
    assert "read" in refused.lower() and (made.root / "notes.md").read_text() == "one\ntwo\nthree\n"


async def test_a_question_of_its_own_is_asked_for_the_call_that_began_it(bench: MakeBench) -> None:
    made = bench(
        reply(TASK),
        reply(call("read_file", file_path="../outside.txt")),
        reply("private"),
        reply("So."),
        mode="ask",
    )
    made.asker.answers.append(PermissionAnswer("always"))
    await made.run()
    (request,) = made.asker.requests
    assert request.call_id == made.sent[1]["tool_calls"][0]["id"]
    assert request.is_part and request.reason.endswith("is outside the workspace (a sub-task asks)")
    assert made.results() == ["private"]
    made.server.add(reply(call("read_file", file_path="../outside.txt")), reply("Read."))
    await made.run("Again.")  # what was granted holds for both


async def test_steps_have_an_end_and_then_it_must_answer(
    bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subtask, "_MOST_REPLIES", 3)
    look = [reply(call("read_file", file_path="notes.md", offset=n)) for n in range(3)]
    made = bench(reply(TASK), *look, reply("As far as I came."), reply("Good."))
    await made.run()
    assert made.results() == ["As far as I came."]
    assert made.server.requests[4]["messages"][-1]["content"].startswith("There are no steps left.")
    made.server.add(reply(TASK), *look, reply(call("glob", pattern="*")), reply("Then I look."))
    await made.run("Again.")
    assert made.results()[-1].startswith("The sub-task came to no answer.")


async def test_its_context_is_short_whatever_the_models_is(bench: MakeBench) -> None:
    for number in range(8):
        (root := bench().root).joinpath(f"long{number}.txt").write_text(f"{number} " * 20_000)
    reads = [reply(call("read_file", file_path=f"long{number}.txt")) for number in range(8)]
    made = bench(reply(TASK), *reads, reply("Numbers."), reply("Good."), context_length=262_144)
    assert made.root == root
    await made.run()
    sizes = [len(json.dumps(request["messages"])) for request in made.server.requests[1:9]]
    assert max(sizes) < 110_000, "it is summed up before it holds 32,768 tokens"
    assert "Where is f defined?" in json.dumps(made.server.requests[8]["messages"])


async def test_cancelled_it_ends_with_the_turn_and_the_session_goes_on(bench: MakeBench) -> None:
    gate = Gate()
    made = bench(reply(TASK), reply(call("read_file", file_path="notes.md")), reply("half", gate))
    running = asyncio.create_task(made.run())
    await gate.wait_reached(60)
    made.agent.cancel()
    assert end_of(await running).reason == "cancelled"
    await made.server.wait_for(lambda server: server.disconnects == 1)
    made.server.add(reply("Here."))
    await made.run("Go on.")
    check_well_formed(made.sent)
    assert made.results() == ["Cancelled by the user."]


async def test_cut_off_by_a_crash_it_can_be_asked_again_and_nothing_is_twice(bench: MakeBench) -> None:
    gate = Gate()
    made = bench(
        reply(call("read_file", file_path="notes.md"), TASK),
        reply(call("glob", pattern="*")),
        reply("half", gate),
    )
    running = asyncio.create_task(made.run())
    await gate.wait_reached(60)
    left = session_path(made.root, made.agent.session_id).read_bytes()
    made.agent.cancel()
    await running
    await made.close()
    # What a crash at that moment would have left.
    session_path(made.root, made.agent.session_id).write_bytes(left)
    made.open(open_journal(made.root, made.agent.session_id))
    made.server.add(reply(TASK), reply("In a.py."), reply("There."))
    assert end_of(await made.run(None)).reason == "done"
    check_well_formed(made.sent)
    read, lost, found = made.results()
    assert read == "one\ntwo\nthree" and "call it again" in lost and found == "In a.py."
    kept = [
        type(record.record)
        for record in read_session(made.root, made.agent.session_id)
        if isinstance(record, SubtaskStepped)
    ]
    assert kept == [TurnBegan, *[MessageAdded] * 3, TurnBegan, MessageAdded, MessageAdded, TurnClosed]


async def test_a_model_that_fails_in_it_ends_the_turn_which_can_go_on(bench: MakeBench) -> None:
    made = bench(reply(TASK), HttpError(400, "too many tokens"))
    end = end_of(await made.run())
    assert end.reason == "error" and "too many tokens" in end.message
    made.server.add(reply("Without it, then."))
    assert end_of(await made.run(None)).reason == "done"
    check_well_formed(made.sent)


async def test_its_steps_are_in_the_session_and_the_session_goes_on(bench: MakeBench) -> None:
    made = bench(
        reply(TASK), reply(call("read_file", file_path="notes.md")), reply("Three lines."), reply("Done.")
    )
    await made.run()
    name = made.agent.session_id
    kept = [record.record for record in read_session(made.root, name) if isinstance(record, SubtaskStepped)]
    assert [type(record) for record in kept] == [TurnBegan, *[MessageAdded] * 4, TurnClosed]
    assert isinstance(read := kept[3], MessageAdded) and read.message.content == "one\ntwo\nthree"
    before, shown = made.agent.messages, made.agent.history()
    assert sum(isinstance(event, TurnStarted) for event in shown) == 1
    assert any(
        isinstance(event, ToolFinished) and event.display.startswith("· Read notes.md") for event in shown
    )
    await made.close()
    again = made.open(open_journal(made.root, name))
    assert again.messages == before


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the engine's process by /proc")
async def test_the_engine_has_read_its_head_already(tmp_path: Path) -> None:
    checkpoint = servable_checkpoint(tmp_path / "tiny")
    engine = open_engine(choose_model(str(checkpoint)), Settings(engine_idle_minutes=1))
    head, tools = (
        Message("system", SYSTEM_PROMPT[:600]),
        specifications()[:2],
    )  # the tiny model's context is short

    async def cached(*messages: Message) -> tuple[int, int]:
        request = ChatRequest((head, *messages), tools, temperature=0, max_tokens=4)
        events = [event async for event in engine.stream(request)]
        assert isinstance(events[-1], Finished)
        return events[-1].prompt_tokens or 0, events[-1].cached_tokens or 0

    asked = Message("user", "Something rather long that only the parent knows. " * 5)
    try:
        await cached(asked)
        prompt, known = await cached(Message("user", "Where is f?"))
        assert known > 0.9 * prompt, "a sub-task begins from system prompt and tools"
        prompt, known = await cached(asked, Message("assistant", "Found it."), Message("user", "Go on."))
        assert known > 0.9 * prompt, "and its parent goes on from where it stood"
    finally:
        await engine.aclose()
        for pid in pids_of(checkpoint):
            os.kill(pid, signal.SIGKILL)
