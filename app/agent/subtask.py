"""A sub-agent that searches: the same loop in a conversation of its own. Only its last words come back.

It has the very system prompt and tools of its parent, so that the engine begins from what it has read of them
already (mlx_model.state.prefix_store keeps a state where they end, and the parent's own branch beside it). That
it only reads is therefore a matter of permission, not of another list of tools.
"""

import asyncio
from dataclasses import replace

from typing_extensions import override

from app.agent.activity import Emit
from app.agent.budget import ContextLength
from app.agent.errors import ToolFailure
from app.agent.events import (
    AgentEvent,
    EndReason,
    PromptProgressed,
    ReplyFinished,
    SubtaskReplied,
    SubtaskStep,
    ToolStarted,
)
from app.agent.port import PermissionAnswer, PermissionAsker, PermissionRequest
from app.agent.session.conversation import Conversation
from app.agent.session.records import Record
from app.agent.tools.base import ToolResult
from app.agent.turn import Hands, Turn
from app.model.messages import Message

_MOST_REPLIES = 24  # of the model, each a step
_MOST_TOKENS = 32_768
"""Tokens of context; beyond it the sub-task is compacted like any conversation."""
_REFUSAL = (
    "Not done: a sub-task only reads and searches. Go on without, and name in your answer what would have to "
    "be done."
)
_LAST_WORDS = "There are no steps left. Answer now with what you have found, without calling tools."


async def run_subtask(hands: Hands, parent: Conversation, emit: Emit, call_id: str, prompt: str) -> ToolResult:
    """Answer `prompt` for the call `call_id` of `parent`, in whose session each step is kept.

    Raises ToolFailure when there is no answer, ModelError when the model cannot give one. Cancelled, it ends
    with the turn.
    """
    steps: list[str] = []

    async def tell(event: AgentEvent) -> None:
        match event:
            case ToolStarted(name=name, arguments=arguments, summary=summary):
                steps.append(f"· {summary}")
                await emit(SubtaskStep(call_id, name, arguments, summary))
            case ReplyFinished(finished=finished):
                await emit(SubtaskReplied(call_id, finished))
            case PromptProgressed():
                await emit(event)

    async def nobody_steers() -> bool:
        return False

    length = hands.context_length()
    own = replace(
        hands,
        asker=_AskerFor(hands.asker, call_id),
        permissions=hands.permissions.for_reading(_REFUSAL),
        files=hands.files.afresh(),
        context_length=ContextLength(lambda: _MOST_TOKENS if length is None else min(length, _MOST_TOKENS)),
    )
    conversation = Conversation(_Log(parent, call_id))
    conversation.begin_turn(prompt)
    reason: EndReason = "cancelled"
    message = ""
    try:
        conversation.add(Message("user", _opening(hands, prompt)))
        for most_replies in (_MOST_REPLIES, 1):
            turn = Turn(own, conversation, tell, nobody_steers, has_warned=True, most_replies=most_replies)
            reason, message = await turn.run()
            if _answer(conversation):
                break
            if most_replies > 1:
                conversation.add(Message("user", _LAST_WORDS))
    except asyncio.CancelledError:
        conversation.close_calls("Cancelled by the user.")
        raise
    finally:
        conversation.end_turn(reason, message)
    answer = _answer(conversation)
    if not answer:
        raise ToolFailure("The sub-task came to no answer. Search yourself, or ask for less.")
    return ToolResult(answer, "\n".join([*steps, "", answer] if steps else [answer]))


def _opening(hands: Hands, prompt: str) -> str:
    return (
        f"<context>\nProject root: {hands.workspace.root}. Mode: plan: read and search only. This is a "
        f"sub-task of at most {_MOST_REPLIES} steps. Only your last message goes back, to whoever asked: say "
        "there what you found, with paths and line numbers, in at most 30 lines.\n</context>\n\n"
        f"{prompt}"
    )


def _answer(conversation: Conversation) -> str:
    last = conversation.messages[-1]
    return last.content.strip() if last.role == "assistant" and not last.tool_calls else ""


class _Log:
    """A conversation.Log inside the parent's, which alone is read again."""

    def __init__(self, parent: Conversation, call_id: str) -> None:
        self._parent = parent
        self._call_id = call_id
        self.records: tuple[Record, ...] = ()

    @property
    def id(self) -> str:
        return self._parent.id

    def append(self, record: Record) -> None:
        self._parent.note_subtask(self._call_id, record)

    def read(self) -> tuple[Record, ...]:
        return self.records

    def discard(self) -> None: ...

    def close(self) -> None: ...


class _AskerFor(PermissionAsker):
    """Puts a sub-task's questions as ones about the call that began it."""

    def __init__(self, asker: PermissionAsker, call_id: str) -> None:
        self._asker = asker
        self._call_id = call_id

    @override
    async def ask(self, request: PermissionRequest) -> PermissionAnswer:
        reason = f"{request.reason} (a sub-task asks)"
        return await self._asker.ask(replace(request, call_id=self._call_id, reason=reason, is_part=True))
