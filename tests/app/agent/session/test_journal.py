"""The format of sessions on users' disks: lines as version 0.1.0 wrote them, one of every kind."""

import json
import tempfile
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.agent.errors import SessionError
from app.agent.events import TextStreamed, ToolFinished, TurnStarted
from app.agent.session.conversation import Conversation
from app.agent.session.history import events_of, to_markdown
from app.agent.session.records import SessionBegan, Unknown, decode, encode
from app.agent.session.session import Journal
from app.model.messages import Message, ToolCall

LINES = Path(__file__).with_name("session-0.1.0.jsonl").read_text(encoding="utf-8")


def test_every_line_of_the_version_before_is_read_and_written_as_it_was() -> None:
    for line in LINES.encode().splitlines(keepends=True):
        record = decode(json.loads(line))
        assert encode(record) == line
        assert isinstance(record, Unknown) == (b"tomorrow" in line)


def test_a_session_of_the_version_before_opens(tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    path.write_text(LINES, encoding="utf-8")
    journal = Journal(path)
    conversation = Conversation(journal)
    assert conversation.messages == (Message("user", "What was said."), Message("assistant", "Done."))
    assert (conversation.mode, conversation.grants, conversation.turn) == ("auto", ("edits",), 1)
    assert conversation.todos == (("test", "in_progress"),) and conversation.was_moved
    assert conversation.commands == (("ls", "notes.md"),)
    assert [offer.name for offer in conversation.offers] == ["clock__now"]
    assert [(point.turn, point.ahead) for point in conversation.rewind_points()] == [(1, 0), (2, 1)]
    records = journal.read()
    events = list(events_of(records))
    assert [event.text for event in events if isinstance(event, TurnStarted)] == ["Change notes.", ""]
    assert [event.text for event in events if isinstance(event, TextStreamed)] == [
        "I do.",
        "Half a sen",
        "Done.",
    ]
    assert [event.display for event in events if isinstance(event, ToolFinished)] == [
        "-two\n+2",
        "Failed.",
        "notes.md",
    ]
    markdown = to_markdown(records)
    assert markdown.startswith("# Notes\n") and "> But quickly." in markdown and "A mistake." not in markdown
    conversation.close()


@pytest.mark.parametrize(
    "line",
    [
        '{"kind": "turn", "turn": 2}',
        '{"kind": "todos", "todos": 3}',
        '{"kind": "message", "message": {}}',
        '{"kind": "message", "message": []}',
        '{"kind": "subtask", "call": "1", "record": 3}',
        "no JSON",
        "[]",
        "[" * 100_000,
        "",
        '{"kind": "rewound", "to": 99}',
        '{"kind": "mode", "mode": "auto", "at": 2, "sum": "00000000"}',
    ],
)
def test_a_damaged_line_is_named_and_costs_itself(line: str, tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    first, second, *rest = LINES.splitlines()
    path.write_text("\n".join([first, second, line, *rest]) + "\n", encoding="utf-8")
    journal = Journal(path)
    conversation = Conversation(journal)
    assert [str(loss) for loss in conversation.losses] == [
        f"Line 3 of {path} is damaged: what was said or done there is missing"
    ]
    assert f"*Line 3 of {path}" in to_markdown(journal.read())
    assert conversation.mode == "auto" and len(journal.records) == len(LINES.splitlines()) + 1


def test_a_session_of_another_version_or_program_is_refused(tmp_path: Path) -> None:
    for number, text in enumerate(
        ('{"kind": "session", "version": 2, "root": "/", "created": ""}', LINES.splitlines()[1], "{}\n[]")
    ):
        path = tmp_path / f"{number}.jsonl"
        path.write_text(text + "\n")
        with pytest.raises(SessionError, match=r"another version|can be read"):
            Journal(path)


def told(path: Path) -> Conversation:
    """A conversation with all that can be lost of it: calls, results, turns, a branch that was left."""
    conversation = Conversation(journal := Journal(path))
    journal.append(SessionBegan(1, "/project", "2026-11-30T00:00:00+00:00"))
    for turn in range(4):
        conversation.begin_turn(f"Do {turn}.")
        conversation.add(Message("user", f"Do {turn}."))
        calls = tuple(ToolCall(f"{turn}-{n}", "read_file", '{"file_path": "a"}') for n in range(2))
        conversation.add(Message("assistant", "I look.", tool_calls=calls))
        for call in calls:
            conversation.add(Message("tool", "text\r\nof a file\u2028", tool_call_id=call.id))
        conversation.add(Message("assistant", "Done."))
        conversation.end_turn("done", "")
        if turn == 1:
            conversation.go_to(conversation.rewind_points()[1].position)
    return conversation


@cache
def whole_session() -> tuple[bytes, tuple[Message, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        conversation = told(path := Path(folder) / "session.jsonl")
        conversation.close()
        return path.read_bytes(), conversation.messages


def is_well_formed(messages: Sequence[Message]) -> bool:
    waiting: set[str | None] = set()
    for before, message in pairwise((Message("assistant", ""), *messages)):
        if message.role == "tool":
            if message.tool_call_id not in waiting:
                return False
            waiting.remove(message.tool_call_id)
        elif waiting or (message.role == before.role == "user"):
            return False
        else:
            waiting = {call.id for call in message.tool_calls}
    return not waiting


@given(st.data())
@settings(max_examples=100)
def test_whatever_byte_is_damaged_the_rest_of_a_session_opens(data: st.DataObject) -> None:
    """A byte flipped (a newline lost or made among them), or the file cut: the rest is there, the request is
    one that servers take, and what was lost is told."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "session.jsonl"
        before, kept = whole_session()
        at = data.draw(st.integers(0, len(before) - 2))
        byte = data.draw(st.sampled_from([10, 13, 0, 0x22, 0x7B, 0xFF, *range(0x30, 0x3A)]))
        if data.draw(st.booleans()):
            path.write_bytes(before[:at])
        else:
            path.write_bytes(before[:at] + bytes([byte]) + before[at + 1 :])
        is_cut, is_same = path.stat().st_size < len(before), path.read_bytes() == before
        try:
            journal = Journal(path)
        except SessionError:
            assert is_cut and at < before.index(b"\n")
            return
        conversation = Conversation(journal)
        try:
            list(events_of(journal.records))
            conversation.rewind_points()
            assert is_same or is_cut or conversation.losses
            if not is_cut:
                last = [message for message in kept if message.content == "Do 3."]
                assert last == [message for message in conversation.messages if message.content == "Do 3."] or (
                    b"Do 3." in before.splitlines()[before[:at].count(b"\n")]
                )
            if journal.records:
                conversation.begin_turn("And now?")
                assert is_well_formed(conversation.messages)
                number = len(journal.read())
                conversation.close()
                assert len(Journal(path).records) == number
        finally:
            conversation.close()
