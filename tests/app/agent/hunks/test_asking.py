"""A question on a hunk is put where the hunk was written, and leaves everything else as it was."""

import json
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from app.agent.agent import Agent
from app.agent.errors import HunkWorkFailed
from app.agent.hunks.asking import HunkQuestion, ask
from app.agent.session.records import MessageAdded, Record, SessionBegan, TurnBegan
from app.agent.session.session import new_journal, read_session, session_path
from app.agent.tools.toolbox import specifications
from app.model.catalogue.catalogue import choose_model
from app.model.engine.open import open_engine
from app.model.events import Finished
from app.model.messages import ChatRequest, Message, ToolCall
from app.model.port import ModelPort
from app.settings.settings import Settings
from app.workspace.workspace import Workspace
from mlx_model.chat.tokenizer import Tokenizer
from tests.support.agent.agent_bench import Asker, Bench, Recorder, check_well_formed
from tests.support.agent.scripted_server import call, reply
from tests.support.processes import pids_of
from tests.support.weights.servable import make_brief, servable_checkpoint

MakeBench = Callable[..., Bench]
EDIT = call("edit", file_path="notes.md", old_string="two", new_string="zwei")


def question(made: Bench, call_id: str, words: str = "Why?") -> HunkQuestion:
    return HunkQuestion(words, "notes.md", 2, "zwei", "-two\n+zwei", made.agent.session_id, call_id)


async def unheard(anew: int, total: int) -> None:
    assert 0 <= anew <= total


async def test_it_is_asked_where_the_hunk_was_written_and_changes_nothing(bench: MakeBench) -> None:
    made = bench(
        reply(call("read_file", file_path="notes.md")), reply("So.", EDIT), reply("Done."), reply("Bye.")
    )
    await made.run()
    await made.run("Something else.")
    wrote = next(call for message in made.agent.messages for call in message.tool_calls if call.name == "edit")
    state = made.server.requests[2]["messages"]  # what the model knew when the edit was made
    journal = session_path(made.root, made.agent.session_id)
    before = (journal.read_bytes(), made.agent.messages, made.recorder.records[:], made.recorder.turns[:])
    made.server.add(
        reply(call("read_file", file_path="notes.md"), call("write_file", file_path="new", content="x")),
        reply("Because it is German."),
    )
    answer = await made.agent.hunks.ask(question(made, wrote.id), unheard)
    assert answer == "Because it is German."
    asked, looked = (request["messages"] for request in made.server.requests[-2:])
    assert asked[:-1] == state
    assert asked[-1] == {"role": "user", "content": "About notes.md:2, `zwei`: Why?"}
    assert made.server.requests[-1]["tools"] == made.server.requests[0]["tools"]
    results = [message["content"] for message in looked if message["role"] == "tool"][-2:]
    assert "zwei" in results[0] and results[1].startswith("Not done: a question")
    check_well_formed(looked[1:])
    after = (journal.read_bytes(), made.agent.messages, made.recorder.records, made.recorder.turns)
    assert after == before and not (made.root / "new").exists()
    made.server.add(reply("Then so."))
    await made.agent.hunks.ask(replace(question(made, wrote.id, "And?"), earlier=(("Why?", answer),)), unheard)
    assert made.server.requests[-1]["messages"][len(state) :] == [
        {"role": "user", "content": "Why?"},
        {"role": "assistant", "content": answer},
        {"role": "user", "content": "About notes.md:2, `zwei`: And?"},
    ]


async def test_without_its_session_the_hunk_comes_along(bench: MakeBench) -> None:
    made = bench(reply("It is German."))
    answer = await made.agent.hunks.ask(replace(question(made, "gone"), session="none"), unheard)
    assert answer == "It is German."
    (_, asked) = made.server.requests[0]["messages"]
    assert asked["content"] == "-two\n+zwei\n\nAbout notes.md:2, `zwei`: Why?"


async def test_a_model_that_only_calls_tools_is_made_to_answer(bench: MakeBench) -> None:
    looks = [reply(call("read_file", file_path="notes.md", offset=n)) for n in range(8)]
    last = reply("It has three lines.\n\n<tool_call>\n<function=glob>")
    made = bench(*looks, last, *looks, reply("<tool_call>\n<function=glob>"))
    asked = replace(question(made, "gone"), session="none")
    assert await made.agent.hunks.ask(asked, unheard) == "It has three lines."
    choices = [request.get("tool_choice") for request in made.server.requests]
    assert choices == [None] * 8 + ["none"]
    with pytest.raises(HunkWorkFailed, match="no answer"):
        await made.agent.hunks.ask(asked, unheard)


def long_session(turns: int) -> list[Record]:
    """A session in which each turn writes a file."""
    records: list[Record] = [SessionBegan(1, "/", "")]
    for number in range(turns):
        made = ToolCall(
            f"c{number}", "write_file", json.dumps({"file_path": f"f{number}.py", "content": "x = 1"})
        )
        records += [
            TurnBegan(number + 1, "Go on."),
            MessageAdded(Message("user", f"Write file {number}, which is not long.")),
            MessageAdded(Message("assistant", "", (made,))),
            MessageAdded(Message("tool", f"Created f{number}.py (1 lines).", tool_call_id=made.id)),
            MessageAdded(Message("assistant", "It is there.")),
        ]
    return records


async def read(model: ModelPort, records: Sequence[Record]) -> Finished:
    """Has the model go on where the session ended."""
    said = tuple(record.message for record in records if isinstance(record, MessageAdded))
    request = ChatRequest((*said, Message("user", "And now?")), specifications(), temperature=0, max_tokens=3)
    events = [event async for event in model.stream(request)]
    assert isinstance(events[-1], Finished)
    return events[-1]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the engine's process by /proc")
async def test_ten_turns_back_only_the_question_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = make_brief(servable_checkpoint(tmp_path / "tiny", max_position_embeddings=32768))
    monkeypatch.setattr("app.agent.turn.SYSTEM_PROMPT", "You write files.")
    system = MessageAdded(Message("system", "You write files."))
    engine = open_engine(choose_model(str(checkpoint)), Settings(engine_idle_minutes=1))
    (root := tmp_path / "project").mkdir()
    agent = Agent(Workspace(root), engine, Recorder(root), Asker(), new_journal(root))
    records = long_session(11)
    words = "Why is this one written like that, and what if x were two?"
    asked = HunkQuestion(words, "f0.py", 1, "x = 1", "+x = 1", "s", "c0")
    heard: list[int] = []

    async def told(anew: int, total: int) -> None:
        heard.append(anew)
        assert total > 1000

    try:
        for turn in range(1, 12):
            await read(engine, [system, *records[: 1 + 5 * turn]])
        known = await read(engine, [system, *records])
        assert await ask(agent.hunks.hands, records, asked, told)
        # The message as the template writes it: this tokenizer makes several tokens of "user".
        own = len(Tokenizer.from_directory(checkpoint).encode(f"user\nAbout f0.py:1, `x = 1`: {words}\n"))
        assert heard[0] <= own + 16
        again = await read(engine, [system, *records])
        assert (again.prompt_tokens, again.cached_tokens) == (known.prompt_tokens, known.cached_tokens)
        assert read_session(root, agent.session_id)[1:] == ()
    finally:
        await agent.aclose()
        await engine.aclose()
        for pid in pids_of(checkpoint):
            os.kill(pid, signal.SIGKILL)
