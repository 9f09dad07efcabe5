"""The conversation, in memory as on disk: the messages that the model is sent, and the journal that holds them.

Everything is in the journal before it is in memory. What a crash or a cancellation leaves half done (a call
without a result, a reply that broke off) is mended here, so that the next request is always well formed.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol

from app.agent.errors import SessionError
from app.agent.events import EndReason
from app.agent.hunks.doubt import Packed
from app.agent.mcp.offer import Offer
from app.agent.session.branches import RewindPoint, active, rewind_points
from app.agent.session.records import (
    EffortSet,
    FilesAttached,
    FilesSummarized,
    HistoryCompacted,
    Lost,
    MessageAdded,
    ModeSet,
    OpeningAdded,
    PermissionAnswered,
    Record,
    ReplyInterrupted,
    Rewound,
    ShellRan,
    SteeringGiven,
    SubtaskStepped,
    TitleSet,
    TodosSet,
    ToolsOffered,
    TurnBegan,
    TurnClosed,
    TurnContinued,
)
from app.model.messages import Message, ToolCall
from app.review.model import FileSummary
from app.settings.settings import Effort, Mode

INTERRUPTED = "(interrupted)"
_LOST_RESULT = (
    "Tidegate was closed before this call was finished or its result noted. What it does may or may not have "
    "happened: look before you repeat it."
)
_LOST_SUBTASK = (
    "Tidegate was closed before the sub-task had its answer. It changes nothing: call it again if needed."
)
_GAP = Message("user", "(A part of the conversation is missing here: the file that held it is damaged.)")


class Log(Protocol):
    """Where a conversation is stored: a session's file, or a sub-task's part of that file. `records` are those
    that it held when it was opened."""

    records: tuple[Record, ...]

    @property
    def id(self) -> str:
        """The session's name."""
        ...

    def append(self, record: Record) -> None:
        """Keep one record. Raises SessionError when the disk will not take it."""
        ...

    def read(self) -> tuple[Record, ...]:
        """All records. Raises SessionError."""
        ...

    def discard(self) -> None:
        """Remove what is stored, because nothing was said."""
        ...

    def close(self) -> None:
        """Close it: no record follows."""
        ...


class Conversation:
    """The messages of one session. Raises SessionError where the journal's records are not a session's."""

    def __init__(self, journal: Log) -> None:
        self._journal = journal
        self._calls = 0
        self._take_in(journal.records)

    def _take_in(self, records: Sequence[Record]) -> None:
        """Rebuild the state from a session's records."""
        self._messages: list[Message] = []
        self._left_out: list[Message] = []
        self.has_digest = False
        """Whether the first message is a summary of messages that were left out."""
        self._preface = 0
        """How many messages at the beginning neither user nor model has said."""
        self.turn = 0
        """The last turn of the current branch."""
        self.is_open = False
        """Whether a turn began that did not come to its end."""
        self.last_end: EndReason | None = None
        self.partial = ""
        """A reply that an error cut short; it becomes a message only if the user does not have it repeated."""
        self._untold = ""
        """The user's words until a message holds them."""
        self.todos: tuple[tuple[str, str], ...] = ()
        self.grants: tuple[str, ...] = ()
        self.offers: tuple[Offer, ...] = ()
        """The MCP servers' tools that the session began with."""
        self.mode: Mode | None = None
        """The mode that was last in force; None where none was noted. Likewise:"""
        self.effort: Effort | None = None
        self.commands: tuple[tuple[str, str], ...] = ()
        """What the user ran in the shell and what came of it, while the model has not been told."""
        try:
            for record in active(records):
                self._apply(record)
        except ValueError as error:
            raise SessionError(f"the session {self._journal.id} is damaged ({error!r})") from error
        self.losses = tuple(record for record in records if isinstance(record, Lost))
        """What cannot be read of the session any more."""
        if self.losses:
            self._messages = _well_formed(self._messages)
        # Turn numbers are used once, whatever was rewound.
        self._newest_turn = max((record.turn for record in records if isinstance(record, TurnBegan)), default=0)
        self.was_moved = bool(records) and _is_moved(records)
        """Whether the conversation was gone back or forward in since the model was last told anything."""
        if self.is_open:
            self._tell()
            self._close_lost_calls()

    def rewind_points(self) -> tuple[RewindPoint, ...]:
        """Where the conversation can go (see app.agent.session.branches). Blocks on the disk."""
        return rewind_points(self._journal.read())

    def go_to(self, position: int) -> None:
        """Rewind or fast-forward to the position of one of `rewind_points`. Blocks on the disk. Raises
        SessionError."""
        records = self._journal.read()
        if position not in {point.position for point in rewind_points(records)}:
            raise SessionError("the conversation cannot be taken there any more", "look at the turns again")
        rewound = Rewound(position)
        self._journal.append(rewound)
        self._take_in((*records, rewound))

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages that the next request sends, without the system prompt."""
        return tuple(self._messages)

    def all_but(self, keep: int) -> tuple[Message, ...]:
        """All messages before the last `keep`, those that an earlier `compact` replaced included."""
        return (*self._left_out, *self._messages[self._preface : len(self._messages) - keep])

    def begin_turn(self, text: str) -> int:
        """The user said `text`; returns the turn's number."""
        self._close_lost_calls()
        if self.partial or (self._messages and self._messages[-1].role == "user"):
            # A reply that broke off was read by the user, and some servers want the roles to alternate.
            self.add(Message("assistant", self.partial or INTERRUPTED))
        self._put(TurnBegan(self._newest_turn + 1, text))
        self._newest_turn = self.turn
        return self.turn

    def continue_turn(self) -> int:
        """Resume the last turn where it ended; returns its number."""
        self._close_lost_calls()
        self._put(TurnContinued(self.turn))
        return self.turn

    def end_turn(self, reason: EndReason, message: str) -> None:
        """The turn is over."""
        self._tell()
        self._put(TurnClosed(self.turn, reason, message))

    def summarize(self, files: tuple[FileSummary, ...]) -> None:
        """The turn did this to files."""
        self._put(FilesSummarized(files))

    def add(
        self, message: Message, *, ok: bool = True, display: str = "", doubt: Packed = MappingProxyType({})
    ) -> None:
        """Append a message. A tool call whose arguments are no JSON object is stored with none (`{}`): servers
        refuse a request that repeats them.

        Of a call's result, `ok` and `display` are kept for the screen (see ToolFinished); of a reply, `doubt`.
        """
        calls = tuple(
            call if _is_object(call.arguments) else replace(call, arguments="{}") for call in message.tool_calls
        )
        shown = display if display != message.content else ""
        self._put(MessageAdded(replace(message, tool_calls=calls), ok, shown, doubt))

    def _tell(self) -> None:
        if self._untold:
            self.add(Message("user", self._untold))

    def break_off(self, text: str) -> None:
        """An error cut the reply `text` short."""
        if text:
            self._put(ReplyInterrupted(text))

    def decide(self, summary: str, answer: str, comment: str, grants: tuple[str, ...]) -> None:
        """The user answered a question."""
        self._put(PermissionAnswered(summary, answer, comment, grants))

    def plan(self, todos: tuple[tuple[str, str], ...]) -> None:
        """The todo list is now `todos`."""
        self._put(TodosSet(todos))

    def offer(self, offers: Sequence[Offer]) -> None:
        """The session begins with these tools of MCP servers."""
        self._put(ToolsOffered(tuple(offers)))

    def open_with(self, messages: Sequence[Message]) -> None:
        """The session begins with `messages`, which neither user nor model has said."""
        self._put(OpeningAdded(tuple(messages)))

    def steer(self, text: str, content: str) -> None:
        """The user said `text` in the middle of the turn; the model is told `content`."""
        self._put(SteeringGiven(text))
        self.add(Message("user", content))

    def attach(self, names: tuple[str, ...]) -> None:
        """Note for the screen which mentioned files went along."""
        self._put(FilesAttached(names))

    def ran(self, command: str, result: str, ok: bool) -> None:
        """The user ran `command` in the shell."""
        self._put(ShellRan(command, result, ok))

    def note_subtask(self, call_id: str, record: Record) -> None:
        """Keep a record of the sub-task that call `call_id` began."""
        self._put(SubtaskStepped(call_id, record))

    def set_mode(self, mode: Mode) -> None:
        """From now on `mode` is in force."""
        if mode != self.mode:
            self._put(ModeSet(mode))

    def set_effort(self, effort: Effort) -> None:
        """From now on the model thinks with `effort`."""
        if effort != self.effort:
            self._put(EffortSet(effort))

    def rename(self, title: str) -> None:
        """The session is now called `title`."""
        self._put(TitleSet(title))

    def compact(self, keep: int, digest: str) -> None:
        """All but the last `keep` messages are from now on represented by `digest`, a user's message."""
        self._put(HistoryCompacted(keep, digest))

    def open_calls(self) -> list[ToolCall]:
        """Calls of the last reply that have no result yet."""
        answered = set()
        for message in reversed(self._messages):
            if message.role == "assistant":
                return [call for call in message.tool_calls if call.id not in answered]
            answered.add(message.tool_call_id)
        return []

    def close_calls(self, result: str) -> None:
        """Give every open call `result`."""
        for call in self.open_calls():
            self.add(Message("tool", result, tool_call_id=call.id), ok=False)

    def _close_lost_calls(self) -> None:
        for call in self.open_calls():
            lost = _LOST_SUBTASK if call.name == "task" else _LOST_RESULT
            self.add(Message("tool", lost, tool_call_id=call.id), ok=False)

    def free_id(self, wanted: str) -> str:
        """`wanted`, or another id where the server gave none or one that an earlier call has."""
        self._calls += 1
        used = {call.id for message in self._messages for call in message.tool_calls}
        return wanted if wanted and wanted not in used else f"call-{self.turn}-{len(used)}-{self._calls}"

    def close(self) -> None:
        """Close the session's file, and remove it if nothing was said."""
        if self._newest_turn == 0:
            self._journal.discard()
        self._journal.close()

    @property
    def id(self) -> str:
        """The session's name."""
        return self._journal.id

    def _put(self, record: Record) -> None:
        self._journal.append(record)
        self._apply(record)

    def _apply(self, record: Record) -> None:
        """Fold one record into the state. The kinds left out matter only to readers of the journal."""
        match record:
            case TurnBegan(turn=turn, text=text):
                self._open_turn(turn, text)
            case TurnContinued(turn=turn):
                self._open_turn(turn, "")
            case TurnClosed(reason=reason):
                self.is_open = False
                self.last_end = reason
            case SteeringGiven(text=text):
                self._untold = text
            case MessageAdded(message=message):
                self._messages.append(message)
                self.partial = ""
                if message.role == "user":
                    self._untold = ""
                    self.commands = ()
                    self.was_moved = False
            case ReplyInterrupted(text=text):
                self.partial = text
            case PermissionAnswered(grants=grants):
                self.grants += grants
            case TodosSet(todos=todos):
                self.todos = todos
            case ToolsOffered(offers=offers):
                self.offers = offers
            case OpeningAdded(messages=messages):
                self._messages += messages
                self._preface = len(self._messages)
            case ModeSet(mode=mode):
                self.mode = mode
            case EffortSet(effort=effort):
                self.effort = effort
            case ShellRan(command=command, result=result):
                self.commands += ((command, result),)
            case Lost():
                self._messages.append(_GAP)
            case HistoryCompacted(keep=keep, digest=digest):
                self._left_out = list(self.all_but(keep))
                self.has_digest = True
                self._preface = 1
                kept = self._messages[len(self._messages) - keep :]
                self._messages = [Message("user", digest), *kept]

    def _open_turn(self, turn: int, text: str) -> None:
        self.turn = turn
        self._untold = text
        self.is_open = True
        self.partial = ""


def _well_formed(messages: Sequence[Message]) -> list[Message]:
    """`messages`, of which some are missing, as servers take them: a result for each call, a call for each
    result, and no two of the user's in a row. The calls of the last are left open."""
    found: list[Message] = []
    waiting: dict[str, ToolCall] = {}
    for message in messages:
        if message.role == "tool":
            if waiting.pop(message.tool_call_id or "", None) is None:
                continue
        elif message is _GAP and (waiting or found[-1:] == [_GAP]):
            continue
        else:
            found += [Message("tool", _LOST_RESULT, tool_call_id=name) for name in waiting]
            waiting = {call.id: call for call in message.tool_calls}
            if message.role == "user" and found and found[-1].role == "user":
                found.append(Message("assistant", INTERRUPTED))
        found.append(message)
    return found


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _is_moved(records: Sequence[Record]) -> bool:
    """Whether the conversation was rewound after the last message to the model."""
    for record in reversed(records):
        if isinstance(record, Rewound):
            return True
        if isinstance(record, MessageAdded) and record.message.role == "user":
            return False
    return False
