"""The format of sessions on users' disks: lines as version 0.1.0 wrote them, one of every kind."""

import json
from pathlib import Path

import pytest

from app.agent.errors import SessionError
from app.agent.events import TextStreamed, ToolFinished, TurnStarted
from app.agent.session.conversation import Conversation
from app.agent.session.history import events_of, to_markdown
from app.agent.session.records import Unknown, decode, encode
from app.agent.session.session import Journal
from app.model.messages import Message

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
    ("line", "said"),
    [
        ('{"kind": "turn", "turn": 2}', "damaged in line 2"),
        ('{"kind": "todos", "todos": 3}', "damaged in line 2"),
        ('{"kind": "message", "message": {}}', "damaged in line 2"),
        ("no JSON", "line 2 of the session"),
        ("[]", "not one of a session's"),
        ('{"kind": "rewound", "to": 9}', "damaged"),
    ],
)
def test_a_damaged_line_is_named(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    path.write_text(f"{LINES.splitlines()[0]}\n{line}\n", encoding="utf-8")
    with pytest.raises(SessionError, match=said):
        Conversation(Journal(path))
