"""What was said, in memory as on disk: the messages that go to the model, and the journal they stand in.

Everything is in the journal before it is in memory. What a crash or a cancellation leaves half done (a call
without a result, a reply that broke off) is mended here, so that the next request is always well formed.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from app.agent.errors import SessionError
from app.agent.events import EndReason
from app.agent.mcp.tool import Offer
from app.agent.session.branches import Place, Record, places, standing
from app.model.messages import Message, ToolCall
from app.settings.settings import Mode

INTERRUPTED = "(interrupted)"
_LOST_RESULT = (
    "Tidegate was closed before this call was finished or its result noted. What it does may or may not have "
    "happened: look before you repeat it."
)
_LOST_SUBTASK = (
    "Tidegate was closed before the sub-task had its answer. It changes nothing: call it again if needed."
)


class Log(Protocol):
    """Where a conversation is kept: a session's file, or for a sub-task its part of one. `records` are those it
    began with."""

    records: tuple[Record, ...]

    @property
    def id(self) -> str:
        """The session's name."""
        ...

    def append(self, kind: str, **fields: Any) -> None:
        """Keep one record. Raises SessionError when the disk will not take it."""
        ...

    def read(self) -> tuple[Record, ...]:
        """All records. Raises SessionError."""
        ...

    def discard(self) -> None:
        """Nothing was said: keep nothing."""
        ...

    def close(self) -> None:
        """Nothing more is said."""
        ...


class Conversation:
    """The messages of one session. Raises SessionError where the journal's records are not a session's."""

    def __init__(self, journal: Log) -> None:
        self._journal = journal
        self._calls = 0
        self._take_in(journal.records)

    def _take_in(self, records: Sequence[Record]) -> None:
        """Stand where a session's records say."""
        self._messages: list[Message] = []
        self._left_out: list[Message] = []
        self.has_digest = False
        """Whether the first message stands for what was left out."""
        self._preface = 0
        """How many messages at the beginning neither user nor model has said."""
        self.turn = 0
        """The last turn that stands."""
        self.is_open = False
        """Whether a turn began that did not come to its end."""
        self.last_end: EndReason | None = None
        self.partial = ""
        """A reply that an error broke off; it counts as said only if the user goes on without repeating it."""
        self._untold = ""
        """The user's words while they stand in no message yet."""
        self.todos: tuple[tuple[str, str], ...] = ()
        self.grants: tuple[str, ...] = ()
        self.offers: tuple[Offer, ...] = ()
        """The MCP servers' tools that the session began with."""
        self.mode: Mode | None = None
        """The mode that was last in force; None where none was noted."""
        self.commands: tuple[tuple[str, str], ...] = ()
        """What the user ran in the shell and what came of it, while the model has not been told."""
        try:
            for record in standing(records):
                _APPLY.get(record["kind"], _ignore)(self, record)
            # A number stands for one turn for ever, whatever was gone back on.
            self._newest_turn = max(
                (record["turn"] for record in records if record["kind"] == "turn"), default=0
            )
        except (KeyError, TypeError, ValueError) as error:
            raise SessionError(f"the session {self._journal.id} is damaged ({error!r})") from error
        self.was_moved = bool(records) and _is_moved(records)
        """Whether the conversation was gone back or forward in since the model was last told anything."""
        if self.is_open:
            self._tell()
            self._close_lost_calls()

    def places(self) -> tuple[Place, ...]:
        """Where the conversation can be taken (see app.agent.session.branches). Blocks on the disk."""
        return places(self._journal.read())

    def go_to(self, position: int) -> None:
        """Take the conversation to one of `places`. Blocks on the disk. Raises SessionError."""
        records = self._journal.read()
        if position not in {place.position for place in places(records)}:
            raise SessionError("the conversation cannot be taken there any more", "look at the turns again")
        self._journal.append("rewound", to=position)
        self._take_in((*records, {"kind": "rewound", "to": position}))

    @property
    def messages(self) -> tuple[Message, ...]:
        """What goes to the model, the system prompt excepted."""
        return tuple(self._messages)

    def all_but(self, keep: int) -> tuple[Message, ...]:
        """Everything that was ever said before the last `keep` messages, what was left out earlier included."""
        return (*self._left_out, *self._messages[self._preface : len(self._messages) - keep])

    def begin_turn(self, text: str) -> int:
        """The user said `text`; returns the turn's number."""
        self._close_lost_calls()
        if self.partial or (self._messages and self._messages[-1].role == "user"):
            # A reply that broke off was read by the user, and some servers want the roles to alternate.
            self.add(Message("assistant", self.partial or INTERRUPTED))
        self._put("turn", turn=self._newest_turn + 1, text=text)
        self._newest_turn = self.turn
        return self.turn

    def continue_turn(self) -> int:
        """The last turn goes on where it ended; returns its number."""
        self._close_lost_calls()
        self._put("continued", turn=self.turn)
        return self.turn

    def end_turn(self, reason: EndReason, message: str) -> None:
        """The turn is over."""
        self._tell()
        self._put("end", turn=self.turn, reason=reason, message=message)

    def add(self, message: Message, *, ok: bool = True, display: str = "") -> None:
        """Append a message. Arguments that do not parse are kept as none: servers refuse to read them again.

        Of a call's result, `ok` and `display` are kept for the screen (see ToolFinished).
        """
        calls = tuple(
            call if _is_object(call.arguments) else replace(call, arguments="{}") for call in message.tool_calls
        )
        shown: dict[str, Any] = {} if ok else {"ok": False}
        if display and display != message.content:
            shown["display"] = display
        self._put("message", message=replace(message, tool_calls=calls).to_wire(), **shown)

    def _tell(self) -> None:
        if self._untold:
            self.add(Message("user", self._untold))

    def break_off(self, text: str) -> None:
        """An error cut the reply `text` short."""
        if text:
            self._put("partial", text=text)

    def decide(self, summary: str, answer: str, comment: str, grants: tuple[str, ...]) -> None:
        """The user answered a question."""
        self._put("decision", summary=summary, answer=answer, comment=comment, grants=list(grants))

    def plan(self, todos: tuple[tuple[str, str], ...]) -> None:
        """The todo list is now `todos`."""
        self._put("todos", todos=[list(todo) for todo in todos])

    def offer(self, offers: Sequence[Offer]) -> None:
        """The session begins with these tools of MCP servers."""
        self._put("tools", offers=[offer.to_record() for offer in offers])

    def open_with(self, messages: Sequence[Message]) -> None:
        """The session begins with `messages`, which neither user nor model has said."""
        self._put("opening", messages=[message.to_wire() for message in messages])

    def steer(self, text: str, content: str) -> None:
        """The user said `text` in the middle of the turn; the model is told `content`."""
        self._put("steered", text=text)
        self.add(Message("user", content))

    def attach(self, names: tuple[str, ...]) -> None:
        """Note for the screen which mentioned files went along."""
        self._put("attached", names=list(names))

    def ran(self, command: str, result: str, ok: bool) -> None:
        """The user ran `command` in the shell."""
        self._put("shell", command=command, result=result, ok=ok)

    def note_subtask(self, call_id: str, record: Record) -> None:
        """Keep a record of the sub-task that call `call_id` began."""
        self._put("subtask", call=call_id, record=record)

    def set_mode(self, mode: Mode) -> None:
        """From now on `mode` is in force."""
        if mode != self.mode:
            self._put("mode", mode=mode)

    def rename(self, title: str) -> None:
        """The session is now called `title`."""
        self._put("title", title=title)

    def compact(self, keep: int, digest: str) -> None:
        """All but the last `keep` messages are from now on represented by `digest`, a user's message."""
        self._put("compacted", keep=keep, digest=digest)

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
        """Let go of the session's file. One in which nothing was said is not kept."""
        if self._newest_turn == 0:
            self._journal.discard()
        self._journal.close()

    @property
    def id(self) -> str:
        """The session's name."""
        return self._journal.id

    def _put(self, kind: str, **fields: Any) -> None:
        self._journal.append(kind, **fields)
        _APPLY[kind](self, fields)

    def _turn(self, record: Mapping[str, Any]) -> None:
        self.turn = record["turn"]
        self._untold = record.get("text", "")
        self.is_open = True
        self.partial = ""

    def _steered(self, record: Mapping[str, Any]) -> None:
        self._untold = record["text"]

    def _end(self, record: Mapping[str, Any]) -> None:
        self.is_open = False
        self.last_end = record["reason"]

    def _message(self, record: Mapping[str, Any]) -> None:
        message = Message.from_wire(record["message"])
        self._messages.append(message)
        self.partial = ""
        if message.role == "user":
            self._untold = ""
            self.commands = ()
            self.was_moved = False

    def _partial(self, record: Mapping[str, Any]) -> None:
        self.partial = record["text"]

    def _decision(self, record: Mapping[str, Any]) -> None:
        self.grants += tuple(record["grants"])

    def _todos(self, record: Mapping[str, Any]) -> None:
        self.todos = tuple((content, status) for content, status in record["todos"])

    def _tools(self, record: Mapping[str, Any]) -> None:
        self.offers = tuple(Offer.from_record(offer) for offer in record["offers"])

    def _opening(self, record: Mapping[str, Any]) -> None:
        self._messages += [Message.from_wire(message) for message in record["messages"]]
        self._preface = len(self._messages)

    def _mode(self, record: Mapping[str, Any]) -> None:
        self.mode = record["mode"]

    def _shell(self, record: Mapping[str, Any]) -> None:
        self.commands += ((record["command"], record["result"]),)

    def _compacted(self, record: Mapping[str, Any]) -> None:
        keep = record["keep"]
        self._left_out = list(self.all_but(keep))
        self.has_digest = True
        self._preface = 1
        self._messages = [
            Message("user", record["digest"]),
            *self._messages[len(self._messages) - keep :],
        ]


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _is_moved(records: Sequence[Record]) -> bool:
    """Whether the last word on where the conversation stands is newer than the last message to the model."""
    for record in reversed(records):
        if record["kind"] == "rewound":
            return True
        if record["kind"] == "message" and record["message"]["role"] == "user":
            return False
    return False


def _ignore(_conversation: Conversation, _record: Mapping[str, Any]) -> None:
    """Records that matter only to a reader of the journal."""


_APPLY: dict[str, Callable[[Conversation, Mapping[str, Any]], None]] = {
    "turn": Conversation._turn,
    "continued": Conversation._turn,
    "end": Conversation._end,
    "message": Conversation._message,
    "partial": Conversation._partial,
    "decision": Conversation._decision,
    "todos": Conversation._todos,
    "compacted": Conversation._compacted,
    "tools": Conversation._tools,
    "opening": Conversation._opening,
    "mode": Conversation._mode,
    "shell": Conversation._shell,
    "steered": Conversation._steered,
    "subtask": _ignore,
    "attached": _ignore,
    "title": _ignore,
}
