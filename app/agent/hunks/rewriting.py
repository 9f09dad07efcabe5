"""What the model could have done otherwise in a file or in a whole turn: the turn's loop once more, from the
state before the first of its calls concerned, on files in memory.

Nothing is run or searched meanwhile, for that would find the work tree and not what the take has made. A take
is over when the model has no more to say, or wants something else after it has written as often as it did then.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from typing_extensions import override

from app.agent.errors import ToolFailure
from app.agent.events import AgentEvent
from app.agent.hunks.branch import Branch
from app.agent.hunks.copies import Copies
from app.agent.port import PermissionAnswer, PermissionAsker, PermissionRequest
from app.agent.session.conversation import Conversation
from app.agent.session.records import MessageAdded, Record
from app.agent.tools.base import Access, Arguments, Tool, ToolContext, ToolResult
from app.agent.tools.toolbox import Toolbox
from app.agent.turn import Hands, Turn
from app.errors import TidegateError
from app.model.messages import Message, ToolCall
from app.review.unrecorded import Unrecorded
from app.workspace.workspace import Workspace

WRITERS = ("edit", "write_file")
"""The tools with which the agent writes into files itself."""
_QUIET = ("read_file", "todo_write", "review_note")
"""Tools whose calls do not end a take."""
_MOST_REPLIES = 24
"""Of the model in one take; chosen, not measured."""
_UNAVAILABLE = (
    "Not done: nothing is run or searched while these changes are written once more. Go on writing, and end "
    "with a word when all is written."
)


@dataclass(slots=True)
class Course:
    """What calls have come to: how many wrote into files, by path the failure of one that did not and was not
    made good since, and whether the last reply wanted something else."""

    writes: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    wants_more: bool = False


def course(workspace: Workspace, records: Sequence[Record], only: str) -> Course:
    """What the calls in `records` have come to. Where `only` is a path, another file is something else."""
    messages = [record for record in records if isinstance(record, MessageAdded)]
    results = {one.message.tool_call_id: one for one in messages if one.message.role == "tool"}
    found = Course()
    for record in messages:
        if not record.message.tool_calls:
            continue
        found.wants_more = False
        for call in record.message.tool_calls:
            result, path = results.get(call.id), _path(workspace, call)
            if call.name in _QUIET:
                continue
            if call.name not in WRITERS or (only and path != only):
                found.wants_more = True
            elif result is not None and result.ok:
                found.writes += 1
                found.failures.pop(path, None)
            else:
                found.failures[path] = result.message.content if result is not None else "it has no result"
    return found


def _path(workspace: Workspace, call: ToolCall) -> str:
    try:
        return workspace.locate(str(json.loads(call.arguments)["file_path"]).strip()).path
    except (ValueError, LookupError, TypeError, RecursionError, TidegateError):
        return ""


async def written_again(hands: Hands, branch: Branch, wish: str, copies: Copies, writes: int) -> Course:
    """Have the model go on from the end of `branch`, with the files in `copies`, until it is done; `wish` is
    what the user says to it, "" for nothing. It has written enough after so many `writes`. Raises ModelError
    and SessionError."""
    own = replace(
        hands,
        asker=_NoUser(),
        recorder=Unrecorded(),
        permissions=hands.permissions.for_copies(),
        files=copies,
        toolbox=_WritersOnly(hands.toolbox),
    )
    before = len(branch.records)
    conversation = Conversation(branch)
    if wish:
        conversation.add(Message("user", wish))
    so_far = Course()
    for _ in range(_MOST_REPLIES):
        turn = Turn(own, conversation, _ignore_event, _no_steering, has_warned=True, most_replies=1)
        await turn.run()
        so_far = course(hands.workspace, branch.records[before:], copies.only)
        if conversation.messages[-1].role != "tool" or (so_far.wants_more and so_far.writes >= writes):
            break
    return so_far


async def _ignore_event(_event: AgentEvent) -> None:
    """Drops it: a take is shown only once it is complete."""


async def _no_steering() -> bool:
    return False


class _NoUser(PermissionAsker):
    """Answers in the user's place: writing into the copies is allowed, anything else is denied."""

    @override
    async def ask(self, request: PermissionRequest) -> PermissionAnswer:
        return PermissionAnswer("once") if request.name in WRITERS else PermissionAnswer("deny", _UNAVAILABLE)


class _UnavailableTool(Tool[Arguments]):
    """A tool that is named to the model but refused in a take."""

    arguments = Arguments

    def __init__(self, name: str) -> None:
        self.name = name

    @override
    def parse(self, text: str) -> Arguments:
        return Arguments()

    @override
    def access(self, arguments: Arguments, workspace: Workspace) -> Access:
        return Access("nothing")

    @override
    def summary(self, arguments: Arguments) -> str:
        return self.name

    @override
    async def run(self, arguments: Arguments, context: ToolContext) -> ToolResult:
        raise ToolFailure(_UNAVAILABLE)


class _WritersOnly(Toolbox):
    """Names the same tools as before, so that the prompt's cached prefix still fits, and refuses most."""

    def __init__(self, toolbox: Toolbox) -> None:
        super().__init__()
        self.specifications = toolbox.specifications

    @override
    def get(self, name: str) -> Tool[Any] | None:
        return super().get(name) if name in (*WRITERS, *_QUIET) else _UnavailableTool(name)
