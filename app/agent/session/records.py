"""The records of a session's journal, and how they are written down. Nothing here touches the disk.

The values of `kind` and the names of fields are the file format: users' sessions hold them.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from app.agent.events import EndReason
from app.agent.hunks.doubt import Packed
from app.agent.mcp.offer import Offer
from app.model.messages import Message
from app.review.model import FileSummary
from app.settings.settings import Effort, Mode


@dataclass(frozen=True, slots=True)
class SessionBegan:
    """The first line. `created` is an ISO 8601 time, `forked_from` the session this is a copy of, or ""."""

    version: int
    root: str
    created: str
    forked_from: str = ""


@dataclass(frozen=True, slots=True)
class ToolsOffered:
    """The tools of MCP servers that the session begins with."""

    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class OpeningAdded:
    """Messages that the session begins with, which neither user nor model has said."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class TurnBegan:
    """The user said `text`. Numbers are used once in a session, whatever was rewound."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class TurnContinued:
    """A turn that had ended is resumed."""

    turn: int


@dataclass(frozen=True, slots=True)
class TurnClosed:
    """A turn ended; `message` says why it failed, "" if it did not."""

    turn: int
    reason: EndReason
    message: str


@dataclass(frozen=True, slots=True)
class FilesSummarized:
    """What the turn before did to files, for the screen."""

    files: tuple[FileSummary, ...]


@dataclass(frozen=True, slots=True)
class MessageAdded:
    """A message that the model sees. Of a tool's result, `ok` and `display` are what the screen shows (see
    ToolFinished); `display` is "" where it is the message's content. Of a reply, `doubt` is how sure the model
    was of what its calls write (see app.agent.hunks.doubt)."""

    message: Message
    ok: bool = True
    display: str = ""
    doubt: Packed = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplyInterrupted:
    """An error cut a reply short after `text`."""

    text: str


@dataclass(frozen=True, slots=True)
class SteeringGiven:
    """The user said `text` while a turn ran; the message that tells the model follows."""

    text: str


@dataclass(frozen=True, slots=True)
class FilesAttached:
    """The files that the user mentioned and the model was given, for the screen."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PermissionAnswered:
    """The user's answer to a permission request, and what it grants for the rest of the session."""

    summary: str
    answer: str
    comment: str
    grants: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TodosSet:
    """The todo list, as pairs of content and status."""

    todos: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ModeSet:
    """The permission mode from here on."""

    mode: Mode


@dataclass(frozen=True, slots=True)
class EffortSet:
    """How much the model thinks from here on."""

    effort: Effort


@dataclass(frozen=True, slots=True)
class TitleSet:
    """The session's title from here on."""

    title: str


@dataclass(frozen=True, slots=True)
class ShellRan:
    """The user ran `command`; the model is told with the next turn."""

    command: str
    result: str
    ok: bool


@dataclass(frozen=True, slots=True)
class HistoryCompacted:
    """All but the last `keep` messages are replaced by `digest`, a user's message."""

    keep: int
    digest: str


@dataclass(frozen=True, slots=True)
class Rewound:
    """The conversation now continues from the record with the number `to`."""

    to: int


@dataclass(frozen=True, slots=True)
class SubtaskStepped:
    """A record of the sub-task that tool call `call` began."""

    call: str
    record: "Record"


@dataclass(frozen=True, slots=True)
class Lost:
    """What stands in the place of a record that cannot be read: line `line` of `file` is damaged."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"Line {self.line} of {self.file} is damaged: what was said or done there is missing"


@dataclass(frozen=True, slots=True)
class Unknown:
    """A record that this version does not know. It takes part in the order of records, and is copied as it
    was read."""

    plain: Mapping[str, Any]


Record = (
    SessionBegan
    | ToolsOffered
    | OpeningAdded
    | TurnBegan
    | TurnContinued
    | TurnClosed
    | FilesSummarized
    | MessageAdded
    | ReplyInterrupted
    | SteeringGiven
    | FilesAttached
    | PermissionAnswered
    | TodosSet
    | ModeSet
    | EffortSet
    | TitleSet
    | ShellRan
    | HistoryCompacted
    | Rewound
    | SubtaskStepped
    | Lost
    | Unknown
)
_TYPES: dict[str, type] = {
    "session": SessionBegan,
    "tools": ToolsOffered,
    "opening": OpeningAdded,
    "turn": TurnBegan,
    "continued": TurnContinued,
    "end": TurnClosed,
    "files": FilesSummarized,
    "message": MessageAdded,
    "partial": ReplyInterrupted,
    "steered": SteeringGiven,
    "attached": FilesAttached,
    "decision": PermissionAnswered,
    "todos": TodosSet,
    "mode": ModeSet,
    "effort": EffortSet,
    "title": TitleSet,
    "shell": ShellRan,
    "compacted": HistoryCompacted,
    "rewound": Rewound,
    "subtask": SubtaskStepped,
    "lost": Lost,
}
_KINDS = {record_type: kind for kind, record_type in _TYPES.items()}
_OPTIONAL = {"forked_from": "", "ok": True, "display": "", "doubt": {}}
"""Fields that are left out of the file while they have these values."""


def encode(record: Record) -> bytes:
    """One line of JSON, ending included. Characters that are no UTF-8 become question marks."""
    return json.dumps(_plain(record), ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _plain(record: Record) -> Mapping[str, Any]:
    match record:
        case Unknown(plain):
            return plain
        case MessageAdded(message, ok, display, doubt):
            values: dict[str, Any] = {
                "message": message.to_wire(),
                "ok": ok,
                "display": display,
                "doubt": {call: dict(arguments) for call, arguments in doubt.items()},
            }
        case OpeningAdded(messages):
            values = {"messages": [message.to_wire() for message in messages]}
        case SubtaskStepped(call, inner):
            values = {"call": call, "record": _plain(inner)}
        case _:
            values = asdict(record)
    kind = _KINDS[type(record)]
    shown = {
        name: value
        for name, value in values.items()
        # A shell command's `ok` is always written; a message's only when it is false.
        if kind == "shell" or name not in _OPTIONAL or value != _OPTIONAL[name]
    }
    return {"kind": kind, **shown}


def decode(plain: Mapping[str, Any]) -> Record:
    """The record that a line of the file says. Raises KeyError, TypeError or ValueError for a damaged one."""
    match plain["kind"]:
        case "message":
            message = Message.from_wire(plain["message"])
            return MessageAdded(
                message, plain.get("ok", True), plain.get("display", ""), plain.get("doubt", {})
            )
        case "opening":
            return OpeningAdded(tuple(map(Message.from_wire, plain["messages"])))
        case "tools":
            return ToolsOffered(tuple(map(Offer.from_record, plain["offers"])))
        case "todos":
            return TodosSet(tuple((content, status) for content, status in plain["todos"]))
        case "files":
            return FilesSummarized(tuple(FileSummary(**file) for file in plain["files"]))
        case "attached":
            return FilesAttached(tuple(plain["names"]))
        case "decision":
            summary, answer, comment = plain["summary"], plain["answer"], plain["comment"]
            return PermissionAnswered(summary, answer, comment, tuple(plain["grants"]))
        case "subtask":
            return SubtaskStepped(plain["call"], decode(plain["record"]))
        case kind if kind in _TYPES:
            known = [field.name for field in fields(_TYPES[kind])]
            optional = [name for name in known if name in _OPTIONAL and kind != "shell"]
            needed = {name: plain[name] for name in known if name not in optional}
            record: Record = _TYPES[kind](**needed, **{name: plain[name] for name in optional if name in plain})
            return record
        case _:
            return Unknown(dict(plain))
