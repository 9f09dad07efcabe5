"""Sessions on disk: found again, shown again, forked, renamed, exported; compaction forgets no word."""

import asyncio
import errno
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.agent import budget
from app.agent.agent import open_agent
from app.agent.errors import AgentBusy, SessionError
from app.agent.events import (
    AgentEvent,
    Noticed,
    TextStreamed,
    TodosChanged,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    TurnStarted,
)
from app.agent.session.conversation import Conversation
from app.agent.session.history import events_of, to_markdown
from app.agent.session.index import last_said, sessions
from app.agent.session.records import (
    MessageAdded,
    SessionBegan,
    SteeringGiven,
    TitleSet,
    TurnBegan,
    TurnClosed,
)
from app.agent.session.session import (
    fork_session,
    new_journal,
    open_journal,
    read_session,
    rename_session,
)
from app.model.messages import Message, ToolCall
from tests.support.agent.agent_bench import Bench, check_well_formed, end_of
from tests.support.agent.scripted_server import Drop, call, reply
from tests.support.patience import LONGEST

Make = Callable[..., Bench]
SHOWN = (TurnStarted, TextStreamed, ToolStarted, ToolFinished, TodosChanged, TurnEnded)


def shown(events: list[AgentEvent]) -> list[str]:
    """What the transcript shows of `events`, streamed words put together."""
    told: list[tuple[type, object]] = []
    for event in events:
        if isinstance(event, TextStreamed) and told and told[-1][0] is TextStreamed:
            told[-1] = (TextStreamed, str(told[-1][1]) + event.text)
        elif isinstance(event, TextStreamed):
            told.append((TextStreamed, event.text))
        elif isinstance(event, SHOWN):
            told.append((type(event), event))
    return [f"{kind.__name__} {value}" for kind, value in told]


async def test_a_session_is_shown_again_as_it_was_seen(bench: Make) -> None:
    b = bench(
        reply("Look. ", call("read_file", file_path="notes.md"), call("read_file", file_path="nowhere")),
        reply(
            call("edit", file_path="notes.md", old_string="two", new_string="2"),
            call("todo_write", todos=[{"id": "1", "content": "test", "status": "in_progress"}]),
        ),
        reply("Done **well**."),
        reply("Half a sen", Drop()),
        reply("Half a sen", Drop()),
    )
    seen = await b.run("Change notes.\nPlease.") + await b.run("And more.")
    again = list(events_of(read_session(b.root, b.agent.session_id)))
    assert [line for line in shown(again) if "Half" not in line] == [
        line for line in shown(seen) if "Half" not in line
    ]
    assert any("Half a sen" in line for line in shown(again))
    diffs = [event.display for event in again if isinstance(event, ToolFinished) and "+2" in event.display]
    assert len(diffs) == 1, "a change is shown as a diff again"
    assert [event.ok for event in again if isinstance(event, ToolFinished)] == [True, False, True, True]


async def test_mode_and_todos_come_back_and_another_window_is_kept_out(bench: Make) -> None:
    b = bench(
        reply(call("todo_write", todos=[{"id": "1", "content": "test", "status": "pending"}])),
        reply("one"),
        reply("two"),
        mode="ask",
    )
    await b.run("first")
    b.agent.mode = "auto"
    with pytest.raises(SessionError, match="another window"):
        open_journal(b.root, b.agent.session_id)
    await b.close()
    agent = b.open(open_journal(b.root, b.agent.session_id))
    assert (agent.mode, agent.todos) == ("auto", (("test", "pending"),))
    assert end_of(await b.run("second")).turn == 2
    check_well_formed(b.sent)


async def test_sessions_are_found_by_words_forked_renamed_and_exported(bench: Make) -> None:
    b = bench(reply("The Answer is ```42```."), reply("other"), reply("forked on"))
    await b.run("What is six by seven?\nThink.")
    first = b.agent.session_id
    await b.close()
    b.open(open_journal(b.root, fork_session(b.root, first)))
    await b.run("And eight?")
    fork = b.agent.session_id
    assert [m["content"].partition("</context>")[2].strip() for m in b.sent if m["role"] == "user"] == [
        "What is six by seven?\nThink.",
        "And eight?",
    ]
    b.agent.rename("Sums")
    assert isinstance(read_session(b.root, first)[-1], TurnClosed), "the original is as it was"
    assert [(found.id, found.title, found.turns) for found in sessions(b.root)] == [
        (fork, "Sums", 2),
        (first, "What is six by seven?", 1),
    ]
    rename_session(b.root, first, "Old sums")
    assert {found.id for found in sessions(b.root, "ANSWER six")} == {first, fork}
    assert [found.id for found in sessions(b.root, "eight")] == [fork]
    assert [found.id for found in sessions(b.root, "old sums")] == [first]
    assert list(sessions(b.root, "nonsense")) == []
    assert sorted(set(last_said(b.root, 9))) == ["And eight?", "What is six by seven?\nThink."]
    assert len(last_said(b.root, 1)) == 1
    markdown = to_markdown(read_session(b.root, fork))
    for part in ("# Sums\n", "> What is six by seven?\n> Think.", "The Answer is ```42```.", "> And eight?"):
        assert part in markdown
    with pytest.raises(SessionError, match="no session"):
        fork_session(b.root, "../elsewhere")


def test_results_in_the_export_cannot_end_their_code_block() -> None:
    records = (
        SessionBegan(1, "/x", "today"),
        TurnBegan(1, "go"),
        MessageAdded(Message("assistant", "", (ToolCall("1", "glob", '{"pattern": "*"}'),))),
        MessageAdded(Message("tool", "```\n# Not a heading", (), "1")),
    )
    assert "````\n```\n# Not a heading\n````" in to_markdown(records)


async def test_compaction_twice_keeps_words_files_and_todos_and_the_screen_keeps_all(bench: Make) -> None:
    filler = "x" * 9_000
    b = bench(
        reply(call("todo_write", todos=[{"id": "1", "content": "the plan", "status": "pending"}])),
        reply(call("edit", file_path="notes.md", old_string="two", new_string="2")),
        *[reply(f"answer {number} {filler}") for number in range(12)],
        context_length=16_384,
    )
    events: list[AgentEvent] = []
    for number in range(10):
        events += await b.run(f"wish {number}: {'please ' * 40}")
    assert sum(isinstance(event, Noticed) for event in events) >= 2, "it was compacted more than once"
    told = json.dumps(b.sent)
    for number in range(10):
        assert f"wish {number}:" in told
    assert "the plan [pending]" in told and "notes.md (changed)" in told
    check_well_formed(b.sent)
    on_screen = [event.text for event in b.agent.history() if isinstance(event, TextStreamed)]
    assert [text.split(" x")[0] for text in on_screen] == [f"answer {number}" for number in range(10)]
    # What is read from the disk again is what was in memory.
    await b.close()
    before = b.agent.messages
    assert b.open(open_journal(b.root, b.agent.session_id)).messages == before


async def test_stopped_in_a_compaction_and_spoken_to_during_one(
    bench: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = bench(*[reply(f"answer {number} {'x' * 9_000}") for number in range(5)], context_length=16_384)
    wishes = [f"wish {number}" for number in range(5)]
    for wish in wishes:
        if any(isinstance(event, Noticed) for event in await b.run(wish, lambda e: isinstance(e, Noticed))):
            break
    b.server.add(reply("And on."))
    assert end_of(await b.run("Go on.")).reason == "done"
    check_well_formed(b.sent)
    told = json.dumps(b.sent)
    assert wish != wishes[-1] and all(said in told for said in wishes[: wishes.index(wish) + 1])
    assert sum(isinstance(event, TextStreamed) for event in b.agent.history()) == wishes.index(wish) + 1
    # The screen compacts in a thread: what is said meanwhile waits.
    entered, may_end = threading.Event(), threading.Event()
    append = b.agent._conversation._journal.append

    def slowly(kind: str, **fields: Any) -> None:
        entered.set()
        may_end.wait(LONGEST)
        append(kind, **fields)

    monkeypatch.setattr(b.agent._conversation._journal, "append", slowly)
    compacting = asyncio.create_task(asyncio.to_thread(b.agent.compact))
    await asyncio.to_thread(entered.wait, LONGEST)
    with pytest.raises(AgentBusy, match="rearranged"):
        await b.run("Too early.")
    may_end.set()
    assert await compacting
    b.server.add(reply("Now."))
    assert end_of(await b.run("Now?")).reason == "done"
    check_well_formed(b.sent)


def test_a_digest_gives_up_calls_first_and_the_users_words_last() -> None:
    messages = []
    for number in range(200):
        messages.append(Message("user", f"wish {number}"))
        messages.append(
            Message("assistant", "", (ToolCall(str(number), "read_file", json.dumps({"file_path": "f"})),))
        )
        messages.append(Message("assistant", f"done {number}"))
    text = budget.digest(messages, (), 7_000)
    assert len(text) < 7_500
    assert all(f"wish {number}\n" in text for number in range(200))
    assert "done 199" in text and "done 0\n" not in text and "You called" not in text
    assert len(budget.digest(messages, (), 1_000)) < 30_000
    # What is being worked on is kept at length, what was worked on before in part.
    task = "a long task " * 500
    told = budget.digest([Message("user", task), Message("user", task)], (), 24_000)
    assert "Why </context> here?" in budget.digest(
        [Message("user", "<context>\nfacts\n</context>\n\nWhy </context> here?")], (), 24_000
    )
    assert task.strip() in told and len(told) < len(task) + 2_000


def test_open_agent_names_a_session_that_is_not_there(bench: Make) -> None:
    b = bench()
    with pytest.raises(SessionError, match="no session"):
        open_agent(b.agent._workspace, None, b.recorder, b.asker, session="x")  # type: ignore[arg-type]


def test_a_full_disk_leaves_no_half_line_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = new_journal(tmp_path)
    journal.append(TurnBegan(1, "kept"))
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, bytes(data)[: len(data) // 2])

    with monkeypatch.context() as patch, pytest.raises(SessionError, match="No space left on device"):
        patch.setattr(os, "write", full)
        journal.append(TurnBegan(2, "lost " * 50))
    journal.append(TurnBegan(2, "said again"))
    journal.close()
    assert read_session(tmp_path, journal.id)[1:] == (TurnBegan(1, "kept"), TurnBegan(2, "said again"))
    with monkeypatch.context() as patch, pytest.raises(SessionError, match="No space left on device"):
        patch.setattr(os, "write", full)
        new_journal(tmp_path)
    assert [path.stem for path in journal.path.parent.glob("*.jsonl")] == [journal.id]
    journal.path.write_bytes(b'{"kind": "sess')  # a crash before the first line was whole
    with pytest.raises(SessionError, match="holds nothing"):
        open_journal(tmp_path, journal.id)


def test_words_to_a_running_turn_are_told_after_a_crash_that_came_before_the_model_was(tmp_path: Path) -> None:
    journal = new_journal(tmp_path)
    said = [Message("user", "Do it."), Message("assistant", "I do.")]
    journal.append(TurnBegan(1, "Do it."))
    for message in said:
        journal.append(MessageAdded(message))
    journal.append(SteeringGiven("But quickly."))
    journal.close()
    for _ in range(2):
        conversation = Conversation(open_journal(tmp_path, journal.id))
        assert conversation.messages == (*said, Message("user", "But quickly."))
        conversation.close()


def test_the_list_is_right_whatever_becomes_of_its_index(tmp_path: Path) -> None:
    """Changed, renamed, damaged and removed sessions; an index that is damaged, or cannot be there at all."""
    journals = [new_journal(tmp_path) for _ in range(3)]
    for number, journal in enumerate(journals):
        journal.append(TurnBegan(1, f"Wish Größe {number} \ud800\0 {'x' * number}"))

    def listed(query: str = "") -> list[str]:
        return sorted(found.title[:12] for found in sessions(tmp_path, query))

    assert listed() == ["Wish Größe 0", "Wish Größe 1", "Wish Größe 2"]
    assert listed("GRÖSSE xx") == ["Wish Größe 2"] and listed("%") == []
    journals[0].append(TitleSet("Another"))
    journals[1].append(MessageAdded(Message("assistant", "About herons.")))
    assert listed("another") == ["Another"] and listed("herons WISH") == ["Wish Größe 1"]
    index = journals[0].path.with_name("index.sqlite")
    whole = index.read_bytes()
    assert index.stat().st_mode & 0o077 == 0
    for damage in (b"", b"no database", whole[:5000], whole[:100] + b"\xff" * 900 + whole[1000:]):
        index.write_bytes(damage)
        assert listed() == listed() == ["Another", "Wish Größe 1", "Wish Größe 2"]
    index.unlink()
    index.mkdir()
    assert listed() == ["Another", "Wish Größe 1", "Wish Größe 2"]
    index.rmdir()
    journals[2].path.write_text("{}\n")
    journals[1].discard()
    assert listed() == ["Another"] and len(last_said(tmp_path, 9)) == 1
