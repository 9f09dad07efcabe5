"""Questions about a hunk, put to the model in the state in which it wrote it, and answered without changing
anything: neither files nor the session.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from app.agent.errors import HunkWorkFailed
from app.agent.events import AgentEvent, PromptProgressed, ToolStarted
from app.agent.hunks.branch import Branch, after_call, find_call
from app.agent.session.conversation import Conversation
from app.agent.session.records import Record
from app.agent.turn import Hands, Turn
from app.model.messages import Message
from app.review.unrecorded import Unrecorded

_MOST_REPLIES = 8
"""Of the model to one question, each a step; chosen, not measured."""
_REFUSAL = "Not done: a question about a change is answered without changing anything. Read, and answer."
_LAST_WORDS = "There are no steps left. Answer now, without calling tools."


@dataclass(frozen=True, slots=True)
class HunkQuestion:
    """What the user asks about line `line` of the file `path` (0: about the hunk), whose text is `quoted`. The
    hunk, `diff` as a diff shows it, was written by the call `call` of `session`; `earlier` are questions about
    it and their answers."""

    words: str
    path: str
    line: int
    quoted: str
    diff: str
    session: str
    call: str
    earlier: tuple[tuple[str, str], ...] = ()


Told = Callable[[int, int], Awaitable[None]]
"""Is told how many tokens the model reads anew, of how many."""


async def ask(hands: Hands, records: Sequence[Record], question: HunkQuestion, told: Told) -> str:
    """The answer. `records` are those of the session that wrote the hunk, none where it is gone: the question
    then brings the hunk along. Raises HunkWorkFailed without an answer, ModelError, SessionError."""
    place = find_call(records, question.call)
    if place is None:
        conversation = Conversation(Branch(question.session, ()))
        shown = f"{question.diff}\n\n"
    else:
        conversation = after_call(question.session, records, place)
        shown = ""
    for asked, answered in question.earlier:
        conversation.add(Message("user", f"{shown}{asked}"))
        conversation.add(Message("assistant", answered))
        shown = ""
    conversation.add(Message("user", f"{shown}{_asked(question)}"))
    has_told = False

    async def tell(event: AgentEvent) -> None:
        nonlocal has_told
        if isinstance(event, PromptProgressed) and not has_told:
            has_told = True
            await told(event.progress.total - event.progress.cached, event.progress.total)
        elif isinstance(event, ToolStarted):
            has_told = True

    async def nobody_steers() -> bool:
        return False

    unrecorded = Unrecorded()
    own = replace(
        hands,
        recorder=unrecorded,
        permissions=hands.permissions.for_reading(_REFUSAL),
        files=hands.files.afresh(),
    )
    for most_replies in (_MOST_REPLIES, 1):
        turn = Turn(
            own,
            conversation,
            tell,
            nobody_steers,
            has_warned=True,
            most_replies=most_replies,
            may_call=most_replies > 1,
        )
        await turn.run()
        last = conversation.messages[-1]
        # A reply that may not call anything has a call as text where the model writes one nevertheless.
        answer = last.content.partition("<tool_call>")[0].strip()
        if last.role == "assistant" and not last.tool_calls and answer:
            return answer
        if most_replies > 1:
            conversation.add(Message("user", _LAST_WORDS))
    raise HunkWorkFailed("the model gave no answer", "ask in other words")


def _asked(question: HunkQuestion) -> str:
    place = f"{question.path}:{question.line}" if question.line else question.path
    about = f"About {place}, `{question.quoted.strip()}`" if question.quoted.strip() else f"About {place}"
    return f"{about}: {question.words}"
