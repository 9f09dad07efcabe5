"""A conversation as it was at one of its tool calls, to branch off from: the session itself is only read.

The engine keeps the states of prompts as a tree, so a branch from any message that was once sent costs what is
new in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.agent.errors import SessionError
from app.agent.session.branches import active
from app.agent.session.conversation import Conversation
from app.agent.session.records import MessageAdded, Record
from app.model.messages import ToolCall


class Branch:
    """A conversation.Log in memory, which begins with some records of a session."""

    def __init__(self, session: str, records: Sequence[Record]) -> None:
        self.id = session
        self.records = tuple(records)

    def append(self, record: Record) -> None:
        """Keep it as long as this lives."""
        self.records = (*self.records, record)

    def read(self) -> tuple[Record, ...]:
        """All records."""
        return self.records

    def discard(self) -> None:
        """There is nothing to remove."""

    def close(self) -> None:
        """There is nothing to close."""


@dataclass(frozen=True, slots=True)
class CallPlace:
    """Where a tool call stands among a session's records: `reply` is the number of the message that made it,
    `end` of the last result of that message's calls."""

    call: ToolCall
    reply: int
    end: int


def find_call(records: Sequence[Record], call: str) -> CallPlace | None:
    """The call with this id; None where the session does not have it any more."""
    for number, record in enumerate(records):
        if not isinstance(record, MessageAdded):
            continue
        made = {one.id: one for one in record.message.tool_calls}
        if call in made:
            end = number
            for later in range(number + 1, len(records)):
                following = records[later]
                if isinstance(following, MessageAdded):
                    if following.message.tool_call_id not in made:
                        break
                    end = later
            return CallPlace(made[call], number, end)
    return None


def after_call(session: str, records: Sequence[Record], place: CallPlace) -> Conversation:
    """The conversation when the results of a reply's calls were there. Raises SessionError."""
    return Conversation(_branch(session, records[: place.end + 1]))


def before_call(session: str, records: Sequence[Record], place: CallPlace) -> Branch:
    """The conversation to which a call's message was the reply. Raises SessionError."""
    return _branch(session, records[: place.reply])


def _branch(session: str, records: Sequence[Record]) -> Branch:
    try:
        return Branch(session, active(records))
    except ValueError as error:
        raise SessionError(f"the session {session} is damaged ({error})") from error
