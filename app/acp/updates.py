"""From the agent's events to what an editor is told of them."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from acp.helpers import (
    SessionUpdate,
    ToolCallContentVariant,
    plan_entry,
    start_tool_call,
    text_block,
    tool_content,
    tool_diff_content,
    update_agent_message_text,
    update_agent_thought_text,
    update_plan,
    update_tool_call,
    update_user_message_text,
)
from acp.schema import PlanEntryStatus, ToolCallLocation, ToolCallStatus, ToolKind

from app.agent.events import (
    AgentEvent,
    Noticed,
    ReplyBroken,
    Steered,
    SubtaskStep,
    TextStreamed,
    ThoughtStreamed,
    TodosChanged,
    ToolCallStreamed,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnEnded,
    TurnStarted,
)
from app.paths import expanded

_KINDS: dict[str, ToolKind] = {
    "read_file": "read",
    "list_directory": "read",
    "edit": "edit",
    "write_file": "edit",
    "glob": "search",
    "grep_search": "search",
    "run_shell_command": "execute",
    "task": "search",
    "review_note": "think",
}
_PLANS = "todo_write"
"""Shown as a plan, and so not as a call."""
_LONGEST_OUTPUT = 20_000
_LONGEST_RUNNING = 4_000
_LARGEST_DIFF = 1_000_000
_BETWEEN_OUTPUTS = 0.25  # seconds


def kind_of(tool: str) -> ToolKind:
    """What sort of thing a tool does, in the protocol's words."""
    return _KINDS.get(tool, "other")


def path_of(root: Path, tool: str, arguments: Mapping[str, Any]) -> Path | None:
    """The file or directory that a call is about."""
    named = arguments.get("file_path") or arguments.get("path")
    return root / expanded(str(named)) if named and tool in _KINDS else None


def diff_of(path: Path, tool: str, arguments: Mapping[str, Any]) -> ToolCallContentVariant | None:
    """What a call that was not made yet would change: in the whole file, but where the place was found only
    leniently, the piece that is replaced. Blocks on the disk."""
    if tool == "edit":
        old, new = (str(arguments.get(name, "")) for name in ("old_string", "new_string"))
        before = read_for_diff(path)
        if before and old and old in before:
            count = -1 if arguments.get("replace_all") else 1
            return tool_diff_content(str(path), before.replace(old, new, count), before)
        return tool_diff_content(str(path), new, old or None)
    if tool == "write_file":
        return tool_diff_content(str(path), str(arguments.get("content", "")), read_for_diff(path))
    return None


def read_for_diff(path: Path) -> str | None:
    """A file as a diff shows it; None where there is none, or too much of it. Blocks."""
    try:
        if path.is_file() and path.stat().st_size <= _LARGEST_DIFF:
            return path.read_bytes().decode("utf-8", "replace")
    except OSError:
        return None  # the call itself will say what is wrong
    return None


def as_content(text: str) -> list[ToolCallContentVariant]:
    """Text as a call's content, its end where it is long."""
    text = text.strip("\n")
    if len(text) > _LONGEST_OUTPUT:
        text = f"[{len(text) - _LONGEST_OUTPUT:,} characters before this]\n{text[-_LONGEST_OUTPUT:]}"
    return [tool_content(text_block(text))] if text else []


class Translator:
    """The updates for one session's events. Blocks on the disk where files are changed, for their diffs."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._announced: set[str] = set()
        self._open: dict[str, None] = {}
        """Calls that were announced and have not ended, in order."""
        self._before: dict[str, tuple[Path, str | None]] = {}
        self._printed: dict[str, str] = {}
        self._printed_at = 0.0

    def translate(self, event: AgentEvent) -> Iterator[SessionUpdate]:
        """What `event` means to an editor."""
        match event:
            case TurnStarted(text=text) | Steered(text=text) if text:
                yield update_user_message_text(text)
            case TextStreamed(text=text):
                yield update_agent_message_text(text)
            case ThoughtStreamed(text=text):
                yield update_agent_thought_text(text)
            case ReplyBroken(text=text):
                yield update_agent_message_text(f"\n\n({text})\n\n")
            case Noticed(text=text):
                yield update_agent_thought_text(f"{text}\n")
            case TodosChanged(todos=todos):
                yield update_plan(
                    plan_entry(content, status=cast(PlanEntryStatus, status)) for content, status in todos
                )
            case ToolCallStreamed(name=name) | ToolStarted(name=name) | ToolFinished(name=name) if (
                name == _PLANS
            ):
                return
            case ToolCallStreamed(call_id=call_id, name=name) if name and call_id not in self._announced:
                yield self._announce(call_id, title=name, kind=kind_of(name), status="pending")
            case ToolStarted():
                yield self._started(event)
            case SubtaskStep(call_id=call_id, summary=summary):
                self._printed[call_id] = f"{self._printed.get(call_id, '')}· {summary}\n"
                yield update_tool_call(call_id, content=as_content(self._printed[call_id]))
            case ToolOutput(call_id=call_id, text=text):
                self._printed[call_id] = (self._printed.get(call_id, "") + text)[-_LONGEST_RUNNING:]
                if time.monotonic() >= self._printed_at + _BETWEEN_OUTPUTS:
                    self._printed_at = time.monotonic()
                    yield update_tool_call(call_id, content=as_content(self._printed[call_id]))
            case ToolFinished():
                yield from self._finished(event)
            case TurnEnded(message=message) if message:
                yield update_agent_message_text(f"\n\n{message}")

    def _started(self, event: ToolStarted) -> SessionUpdate:
        path = path_of(self._root, event.name, event.arguments)
        if path is not None and kind_of(event.name) == "edit":
            self._before[event.call_id] = (path, read_for_diff(path))
        offset = event.arguments.get("offset")
        line = offset + 1 if isinstance(offset, int) else None
        shown: dict[str, Any] = {
            "title": event.summary,
            "kind": kind_of(event.name),
            "status": "in_progress",
            "locations": [ToolCallLocation(path=str(path), line=line)] if path is not None else None,
            "raw_input": dict(event.arguments),
        }
        if event.call_id in self._announced:
            return update_tool_call(event.call_id, **shown)
        return self._announce(event.call_id, **shown)

    def _announce(self, call_id: str, **shown: Any) -> SessionUpdate:
        self._announced.add(call_id)
        self._open[call_id] = None
        return start_tool_call(call_id, **shown)

    def settle(self) -> Iterator[SessionUpdate]:
        """Nothing more happens: what did not end was stopped."""
        for call_id in self._open:
            yield update_tool_call(call_id, status="failed")
        self._open.clear()

    def _finished(self, event: ToolFinished) -> Iterator[SessionUpdate]:
        if event.call_id not in self._announced:
            yield self._announce(event.call_id, title=event.summary or event.name, kind=kind_of(event.name))
        content = as_content(event.display or event.result)
        path, before = self._before.pop(event.call_id, (None, None))
        after = read_for_diff(path) if path is not None else None
        if event.ok and path is not None and after is not None and after != before:
            content = [tool_diff_content(str(path), after, before)]
        self._printed.pop(event.call_id, None)
        self._open.pop(event.call_id, None)
        status: ToolCallStatus = "completed" if event.ok else "failed"
        yield update_tool_call(event.call_id, title=event.summary or None, status=status, content=content)
