"""The replies of a session in which the model changed files, each with what the model had before it. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from typing_extensions import override

from app.agent.mcp.tool import McpTool
from app.agent.prompt.prompt import SYSTEM_PROMPT
from app.agent.session.conversation import Conversation, Log
from app.agent.session.records import MessageAdded, Record, TurnBegan, TurnContinued
from app.agent.tools.toolbox import Toolbox
from app.model.messages import Message, ToolCall, ToolSpecification

WRITING = ("edit", "write_file")
"""The tools whose calls are a change of one file."""


@dataclass(frozen=True, slots=True)
class WrittenReply:
    """A reply with calls that changed files. `prompt`: all messages before it, the system prompt first;
    `calls`: those of its calls that changed a file, in order; `results` of all its calls, by their ids."""

    turn: int
    prompt: tuple[Message, ...]
    tools: tuple[ToolSpecification, ...]
    message: Message
    calls: tuple[ToolCall, ...]
    results: dict[str, Message]


class _Past(Log):
    """The first records of a session, as a log that forgets what is added."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.records = tuple(records)

    @property
    @override
    def id(self) -> str:
        return "past"

    @override
    def append(self, record: Record) -> None:
        """A conversation that was left in mid-turn mends itself; that is of no use here."""

    @override
    def read(self) -> tuple[Record, ...]:
        return self.records

    @override
    def discard(self) -> None:
        pass

    @override
    def close(self) -> None:
        pass


def written_replies(records: Sequence[Record]) -> Iterator[WrittenReply]:
    """The replies with calls of WRITING that succeeded, also those that were rewound. Raises SessionError."""
    turn = 0
    for number, record in enumerate(records):
        match record:
            case TurnBegan() | TurnContinued():
                turn = record.turn
            case MessageAdded(message=message) if any(call.name in WRITING for call in message.tool_calls):
                results = _results(records, number, message)
                calls = tuple(
                    call
                    for call in message.tool_calls
                    if call.name in WRITING and call.id in results and results[call.id].ok
                )
                if not calls:
                    continue
                before = Conversation(_Past(records[:number]))
                toolbox = Toolbox()
                toolbox.add([McpTool(offer) for offer in before.offers])
                yield WrittenReply(
                    turn,
                    (Message("system", SYSTEM_PROMPT), *before.messages),
                    toolbox.specifications,
                    message,
                    calls,
                    {name: result.message for name, result in results.items()},
                )


def _results(records: Sequence[Record], number: int, message: Message) -> dict[str, MessageAdded]:
    """What the calls of the message in record `number` gave, as far as it is there."""
    waiting = {call.id for call in message.tool_calls}
    found: dict[str, MessageAdded] = {}
    for record in records[number + 1 :]:
        if isinstance(record, MessageAdded):
            if record.message.role != "tool":
                break
            if record.message.tool_call_id in waiting:
                found[record.message.tool_call_id or ""] = record
    return found
