"""A session read again: the events that its user saw, and the whole as Markdown."""

from collections.abc import Iterator, Sequence

from app.agent.errors import ToolFailure
from app.agent.events import (
    AgentEvent,
    Attached,
    Noticed,
    ReplyFinished,
    Steered,
    TextStreamed,
    TodosChanged,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    TurnStarted,
)
from app.agent.mcp.tool import McpTool, Offer
from app.agent.session.branches import Record, standing
from app.agent.session.conversation import INTERRUPTED
from app.agent.session.session import title_of
from app.agent.tools.toolbox import Toolbox
from app.model.events import Finished
from app.model.messages import Message, ToolCall

COMPACTED = "To make room, the model has a summary of the older part of the conversation. Here it stays, above."
_LONGEST_RESULT = 4_000  # characters of a result in the Markdown


def events_of(records: Sequence[Record]) -> Iterator[AgentEvent]:
    """What a session's records tell, as the events of the turns that stand, with what compaction left out."""
    open_calls: dict[str, ToolCall] = {}
    toolbox = Toolbox()
    partial = ""
    for record in standing(records):
        match record["kind"]:
            case "turn":
                yield TurnStarted(record["turn"], record["text"])
            case "continued":
                yield TurnStarted(record["turn"], "")
            case "steered":
                yield Steered(record["text"])
            case "attached":
                yield Attached(tuple(record["names"]))
            case "tools":
                toolbox.add([McpTool(Offer.from_record(offer)) for offer in record["offers"]])
            case "partial":
                partial = record["text"]
                yield TextStreamed(partial)
            case "message":
                message = Message.from_wire(record["message"])
                if message.role == "assistant":
                    if message.content not in ("", INTERRUPTED, partial):
                        yield TextStreamed(message.content)
                    partial = ""
                    yield ReplyFinished(Finished("tool_calls" if message.tool_calls else "stop"))
                    open_calls = {call.id: call for call in message.tool_calls}
                elif message.role == "tool":
                    answered = open_calls.pop(message.tool_call_id or "", None)
                    if answered is None:
                        continue
                    yield _started(answered, toolbox)
                    display = record.get("display", message.content)
                    ok = record.get("ok", True)
                    yield ToolFinished(answered.id, answered.name, ok, message.content, display)
            case "shell":
                call_id = f"shell-{id(record)}"
                arguments = {"command": record["command"]}
                yield ToolStarted(call_id, "run_shell_command", arguments, f"$ {record['command']}")
                yield ToolFinished(
                    call_id, "run_shell_command", record["ok"], record["result"], record["result"]
                )
            case "todos":
                yield TodosChanged(tuple((content, state) for content, state in record["todos"]))
            case "compacted":
                yield Noticed(COMPACTED)
            case "end":
                yield TurnEnded(record["turn"], record["reason"], record["message"])


def _started(call: ToolCall, toolbox: Toolbox) -> ToolStarted:
    tool = toolbox.get(call.name)
    try:
        arguments = tool.parse(call.arguments) if tool is not None else None
    except ToolFailure:
        arguments = None
    if tool is None or arguments is None:
        return ToolStarted(call.id, call.name, {}, call.name)
    return ToolStarted(call.id, call.name, arguments.model_dump(exclude_defaults=True), tool.summary(arguments))


def to_markdown(records: tuple[Record, ...]) -> str:
    """The session for a person to read elsewhere: what was said in full, results cut at 4,000 characters."""
    begun = f"Begun {records[0]['created']} in `{records[0]['root']}`."
    parts = [f"# {title_of(records) or 'A session'}", begun]
    for event in events_of(records):
        match event:
            case TurnStarted(turn=turn, text=text) if text:
                parts += [f"## {turn}", _quoted(text)]
            case Steered(text=text):
                parts.append(_quoted(text))
            case Attached(names=names):
                parts.append("With " + ", ".join(f"`{name}`" for name in names) + ".")
            case TextStreamed(text=text):
                parts.append(text.strip())
            case ToolStarted(summary=summary):
                first, *more = summary.split("\n")
                parts.append(f"- `{first}`" if not more else _fenced(summary))
            case ToolFinished(ok=ok, display=display):
                cut = display[:_LONGEST_RESULT]
                left = f"\n[{len(display) - len(cut)} more characters]" if len(cut) < len(display) else ""
                parts.append(("" if ok else "Failed:\n\n") + _fenced(cut.rstrip() + left))
            case TodosChanged(todos=todos):
                marks = {"completed": "x"}
                parts.append("\n".join(f"- [{marks.get(state, ' ')}] {text}" for text, state in todos))
            case Noticed(text=text):
                parts.append(f"*{text}*")
            case TurnEnded(reason=reason, message=message) if reason != "done":
                parts.append(f"*{message or 'Stopped by the user.'}*")
    return "\n\n".join(part for part in parts if part) + "\n"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _fenced(text: str) -> str:
    """`text` in a code block whose fence is longer than any in it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"
