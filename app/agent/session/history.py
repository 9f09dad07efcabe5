"""A session read again: the events that its user saw, and the whole as Markdown."""

from collections.abc import Iterator, Sequence

from app.agent.errors import ToolFailure
from app.agent.events import (
    AgentEvent,
    Attached,
    Noticed,
    ReplyBroken,
    ReplyFinished,
    Steered,
    TextStreamed,
    TodosChanged,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    TurnStarted,
    TurnSummarized,
)
from app.agent.mcp.tool import McpTool
from app.agent.session.branches import active
from app.agent.session.conversation import INTERRUPTED
from app.agent.session.records import (
    FilesAttached,
    FilesSummarized,
    HistoryCompacted,
    Lost,
    MessageAdded,
    Record,
    ReplyInterrupted,
    SessionBegan,
    ShellRan,
    SteeringGiven,
    TodosSet,
    ToolsOffered,
    TurnBegan,
    TurnClosed,
    TurnContinued,
)
from app.agent.session.session import title_of
from app.agent.tools.toolbox import Toolbox
from app.model.events import Finished
from app.model.messages import ToolCall

COMPACTED = "To make room, the model has a summary of the older part of the conversation. Here it stays, above."
_BROKEN = ReplyBroken("The reply broke off here, and began again.")
_LONGEST_RESULT = 4_000  # characters of a result in the Markdown


def events_of(records: Sequence[Record]) -> Iterator[AgentEvent]:
    """The events of the current branch's turns, those that compaction took from the model included."""
    open_calls: dict[str, ToolCall] = {}
    toolbox = Toolbox()
    partial, is_broken = "", False
    for record in active(records):
        match record:
            case TurnBegan(turn, text):
                yield TurnStarted(turn, text)
            case TurnContinued(turn):
                yield TurnStarted(turn, "")
            case SteeringGiven(text):
                yield Steered(text)
            case FilesAttached(names):
                yield Attached(names)
            case ToolsOffered(offers):
                toolbox.add([McpTool(offer) for offer in offers])
            case ReplyInterrupted(text):
                if is_broken:
                    yield _BROKEN
                partial, is_broken = text, True
                yield TextStreamed(partial)
            case MessageAdded(message, ok, display):
                if message.role == "assistant":
                    if is_broken and message.content != partial:
                        yield _BROKEN
                    if message.content not in ("", INTERRUPTED, partial):
                        yield TextStreamed(message.content)
                    partial, is_broken = "", False
                    yield ReplyFinished(Finished("tool_calls" if message.tool_calls else "stop"))
                    open_calls = {call.id: call for call in message.tool_calls}
                elif message.role == "tool":
                    answered = open_calls.pop(message.tool_call_id or "", None)
                    if answered is None:
                        continue
                    yield _started(answered, toolbox)
                    yield ToolFinished(
                        answered.id, answered.name, ok, message.content, display or message.content
                    )
            case ShellRan(command, result, ok):
                call_id = f"shell-{id(record)}"
                yield ToolStarted(call_id, "run_shell_command", {"command": command}, f"$ {command}", True)
                yield ToolFinished(call_id, "run_shell_command", ok, result, result)
            case TodosSet(todos):
                yield TodosChanged(todos)
            case HistoryCompacted():
                yield Noticed(COMPACTED)
            case FilesSummarized(files):
                yield TurnSummarized(files)
            case Lost():
                yield Noticed(f"{record}.")
            case TurnClosed(turn, reason, end):
                is_broken = False  # how the turn ended says it
                yield TurnEnded(turn, reason, end)


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
    parts = [f"# {title_of(records) or 'A session'}"]
    if isinstance(began := records[0], SessionBegan):
        parts.append(f"Begun {began.created} in `{began.root}`.")
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
            case Noticed(text=text) | ReplyBroken(text=text):
                parts.append(f"*{text}*")
            case TurnSummarized(files=files):
                parts.append("\n".join(f"- `{file.path}` +{file.added} −{file.removed}" for file in files))
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
