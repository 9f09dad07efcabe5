"""Examples to train on, made of what the model wrote and what the user decided. Pure.

In each the model has before it what it had when it wrote, and the lines of the file have the published form of
conversational examples: `prompt` and `completion`, or `prompt`, `chosen` and `rejected`, with `tools`.

- kept: every change of a reply was kept as it was written; the reply is an example of what to write.
- corrected: changes were edited before they were kept, or kept in part; the reply as it should have been is
  preferred to the one that was written.
- preferred: a change was rejected, and a later one from the same state of the file was kept in its place.
- reasoned: the user commented on a change and edited it; after the comment, the correction is what to write.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from app.model.messages import Message, ToolCall
from app.review.log.entries import ImageName
from app.tuning.calls import WrittenReply
from app.tuning.decided import Outcome
from app.tuning.regions import Became, arguments_of, became, changed, replaced, written

Kind = Literal["kept", "corrected", "preferred", "reasoned"]
Read = Callable[[ImageName | None], str | None]
"""The text of a file's image, with "\\n" at line ends; None where it is lost or no text. No file is ""."""


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """An example, and where it comes from. `reason`: the user's comments on what was written."""

    id: str
    kind: Kind
    session: str
    turn: int
    paths: tuple[str, ...]
    reason: str
    prompt: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...]
    chosen: Message
    rejected: Message | None = None

    def to_line(self) -> dict[str, Any]:
        """As a JSON object."""
        told: dict[str, Any] = {
            "id": self.id,
            "kind": self.kind,
            "session": self.session,
            "turn": self.turn,
            "paths": list(self.paths),
            "reason": self.reason,
            "prompt": [message.to_wire() for message in self.prompt],
            "tools": list(self.tools),
        }
        if self.rejected is None:
            return told | {"completion": [self.chosen.to_wire()]}
        return told | {"chosen": [self.chosen.to_wire()], "rejected": [self.rejected.to_wire()]}


@dataclass(frozen=True, slots=True)
class _Judged:
    """A call, its outcome, and the text that it became."""

    call: ToolCall
    outcome: Outcome
    became: Became

    @property
    def is_rejected(self) -> bool:
        return self.outcome.word == "rejected" or self.became.is_gone

    @property
    def is_corrected(self) -> bool:
        return not self.is_rejected and self.became.text != written(self.call)


def examples_of(
    session: str,
    replies: Iterable[WrittenReply],
    outcomes: Mapping[tuple[str, int], Sequence[Outcome]],
    read: Read,
    root: Path,
) -> Iterator[TrainingExample]:
    """The examples of a session. `outcomes`: by session and turn (see decided.by_turn)."""
    left = {key: list(found) for key, found in outcomes.items() if key[0] == session}
    judged = [
        (reply, [_judge(call, left.get((session, reply.turn), []), read, root) for call in reply.calls])
        for reply in replies
    ]
    kept = [
        one
        for _, calls in judged
        for one in calls
        if one is not None and not one.is_rejected and one.outcome.before is not None
    ]
    for reply, calls in judged:
        whole = [one for one in calls if one is not None]
        # A reply of which some change is not decided yet, or cannot be found again, says nothing for certain.
        if len(whole) == len(reply.calls):
            yield from _of_reply(session, reply, whole, kept, read)


def _judge(call: ToolCall, left: list[Outcome], read: Read, root: Path) -> _Judged | None:
    """The call with its outcome, which is taken from `left`; None where there is none."""
    path = _relative(arguments_of(call).get("file_path"), root)
    for outcome in left:
        if outcome.path != path:
            continue
        before, after, final = (read(image) for image in (outcome.before, outcome.after, outcome.final))
        if before is None or after is None or final is None or written(call).rstrip("\n") not in after:
            continue
        left.remove(outcome)
        if outcome.word == "rejected":
            return _Judged(call, outcome, Became("", True))
        found = became(call, before, after, final)
        return None if found is None else _Judged(call, outcome, found)
    return None


def _of_reply(
    session: str, reply: WrittenReply, calls: Sequence[_Judged], kept: Sequence[_Judged], read: Read
) -> Iterator[TrainingExample]:
    reason = "\n".join(dict.fromkeys(text for one in calls for text in one.outcome.comments))
    common = TrainingExample(
        id="",
        kind="kept",
        session=session,
        turn=reply.turn,
        paths=tuple(dict.fromkeys(one.outcome.path for one in calls)),
        reason=reason,
        prompt=reply.prompt,
        tools=tuple(tool.to_wire() for tool in reply.tools),
        chosen=reply.message,
    )
    rejected = [one for one in calls if one.is_rejected]
    corrected = [one for one in calls if one.is_corrected]
    if not rejected and not corrected:
        yield _named(common)
    elif len(rejected) < len(calls):
        better = {one.call.id: changed(one.call, one.became.text) for one in corrected}
        dropped = {one.call.id for one in rejected}
        chosen = _with_calls(reply.message, better, dropped)
        yield _named(replace(common, kind="corrected", chosen=chosen, rejected=reply.message))
        for one in corrected:
            if one.outcome.comments and one.call.name == "edit" and written(one.call):
                yield _named(_reasoned(common, reply, one))
    elif len(calls) == 1:
        (bad,) = calls
        for good in kept:
            if good.outcome.edit > bad.outcome.edit and _is_instead(good, bad, read):
                text = good.became.text
                instead = replace(changed(good.call, text), id=bad.call.id)
                chosen = _with_calls(reply.message, {bad.call.id: instead}, set())
                yield _named(replace(common, kind="preferred", chosen=chosen, rejected=reply.message))
                return


def _is_instead(good: _Judged, bad: _Judged, read: Read) -> bool:
    """Whether a call replaces what another one replaced: in the same bytes, so that it would have been right
    there too."""
    if (good.outcome.before, good.outcome.path) != (bad.outcome.before, bad.outcome.path):
        return False
    before = read(bad.outcome.before) or ""
    spans = [replaced(one.call, before) for one in (good, bad)]
    (start, end), (other, last) = spans
    return start < last and other < end


def _reasoned(common: TrainingExample, reply: WrittenReply, one: _Judged) -> TrainingExample:
    arguments = {
        "file_path": arguments_of(one.call)["file_path"],
        "old_string": written(one.call),
        "new_string": one.became.text,
    }
    call = ToolCall(f"{one.call.id}-again", "edit", json.dumps(arguments, ensure_ascii=False))
    results = tuple(reply.results[call.id] for call in reply.message.tool_calls if call.id in reply.results)
    said = Message("user", "The user commented:\n" + "\n".join(one.outcome.comments))
    prompt = (*common.prompt, reply.message, *results, Message("assistant", "Done."), said)
    return replace(common, kind="reasoned", prompt=prompt, chosen=Message("assistant", "", (call,)))


def _with_calls(message: Message, better: Mapping[str, ToolCall], dropped: set[str]) -> Message:
    calls = tuple(better.get(call.id, call) for call in message.tool_calls if call.id not in dropped)
    return replace(message, tool_calls=calls)


def _named(example: TrainingExample) -> TrainingExample:
    """The example with its id, which stays the same when it is made again."""
    calls = "+".join(call.id for call in example.chosen.tool_calls)
    key = f"{example.session}\0{example.turn}\0{example.kind}\0{len(example.prompt)}\0{calls}"
    return replace(example, id=hashlib.sha256(key.encode()).hexdigest()[:10])


def _relative(path: object, root: Path) -> str:
    if not isinstance(path, str):
        return ""
    named = Path(path)
    if named.is_absolute():
        try:
            return named.resolve().relative_to(root).as_posix()
        except ValueError:
            return path
    return named.as_posix()
