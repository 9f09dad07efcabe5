"""Other ways in which the model would have written a hunk, a file or all of a turn: its replies are sampled
again from the state before the call, several takes at once, which our engine decodes together.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import takewhile
from typing import Any, cast

from app.agent.errors import HunkWorkFailed, ToolFailure
from app.agent.hunks.branch import CallPlace, before_call, find_call
from app.agent.hunks.copies import Copies
from app.agent.hunks.rewriting import WRITERS, course, written_again
from app.agent.prompt.prompt import SYSTEM_PROMPT
from app.agent.reply import Reply
from app.agent.session.conversation import Conversation
from app.agent.session.records import Record, Rewound, TurnBegan
from app.agent.tools.base import ToolContext
from app.agent.turn import Hands
from app.model.events import StreamEvent, ToolCallDelta
from app.model.messages import ChatRequest, Message, ToolCall
from app.model.port import ModelPort
from app.review.model import FileImage
from app.workspace.files.text import decode

_MOST_TOKENS = 16_384
"""Of one reply; more than a file takes that is written whole, and an end for one that comes to none."""
_SEEDS = 2**31
_LONGEST_DIFFERENCE = 60  # characters of a line that is quoted


@dataclass(frozen=True, slots=True)
class ToWrite:
    """What is to be written again: a hunk, or what a turn wrote, in the file `path` or, where that is "", in
    all. The files are `before` without it (None: there is none) and `now` with it; by file, these `calls` of
    `session` wrote it, oldest first. `wish` is a word on how else it should be, "" for none."""

    session: str
    calls: Mapping[str, Sequence[str]]
    before: Mapping[str, FileImage | None]
    now: Mapping[str, FileImage | None]
    path: str = ""
    is_hunk: bool = False
    wish: str = ""


@dataclass(frozen=True, slots=True)
class Take:
    """What the files would be, what they were when it began, and how that differs from what is there, in one
    line."""

    begun: Mapping[str, FileImage | None]
    after: Mapping[str, FileImage | None]
    difference: str


@dataclass(frozen=True, slots=True)
class Takes:
    """The takes that differ from what is there and from one another, of so many that were `asked` for. Of
    `unfit` ones nothing came; `why` says it of the first."""

    takes: tuple[Take, ...]
    asked: int
    unfit: int
    why: str = ""


class _Unfit(Exception):
    """A take gave no usable change. The text says why."""


async def other_takes(
    hands: Hands, records: Sequence[Record], work: ToWrite, number: int, temperature: float
) -> Takes:
    """`number` takes of `work`, all at once. Raises HunkWorkFailed where there can be none, ModelError,
    SessionError."""
    places = _places(records, work)
    for path, image in work.before.items():
        if image is not None and decode(image.data) is None:
            raise HunkWorkFailed(f"{path} is no text")
    first = secrets.randbelow(_SEEDS - number)  # asked again, it gives others
    write = _hunk_again if work.is_hunk else _work_again

    async def one(seed: int) -> Copies | str:
        model = _Sampled(hands.model, temperature, seed)
        try:
            return await write(replace(hands, model=model), records, work, places)
        except _Unfit as error:
            return str(error)

    replies = [asyncio.ensure_future(one(first + take)) for take in range(number)]
    try:
        written = await asyncio.gather(*replies)
    finally:
        for reply in replies:
            reply.cancel()
    found: list[Take] = []
    for copies in written:
        if isinstance(copies, str):
            continue
        now, after = copies.begun | dict(work.now), copies.files
        if after not in (now, *(take.after for take in found)):
            found.append(Take(copies.begun, after, difference_of_files(now, after)))
    unfit = [why for why in written if isinstance(why, str)]
    return Takes(tuple(found), number, len(unfit), next(iter(unfit), ""))


def _places(records: Sequence[Record], work: ToWrite) -> list[CallPlace]:
    """The calls that made `work`, oldest first; for a hunk, the first that is known."""
    calls = [call for found in work.calls.values() for call in found]
    if work.is_hunk:
        calls = [call for call in calls if call][:1] or calls[:1]
    places: list[CallPlace] = []
    for call in calls:
        if not call:
            raise HunkWorkFailed(
                "it is not known which call wrote this", "it was long ago, or another agent's work"
            )
        place = find_call(records, call)
        if place is None:
            raise HunkWorkFailed("the call that wrote this is not in its session any more")
        if place.call.name not in WRITERS:
            raise HunkWorkFailed(
                "a command made this, or a part of it", "only what the agent wrote itself can be written again"
            )
        places.append(place)
    return sorted(places, key=lambda place: place.reply)


async def _hunk_again(
    hands: Hands, records: Sequence[Record], work: ToWrite, places: Sequence[CallPlace]
) -> Copies:
    """One reply in place of the one that made a hunk, of which the first call counts."""
    copies = Copies(hands.workspace, work.before, work.path)
    branch = before_call(work.session, records, places[0])
    messages = (Message("system", SYSTEM_PROMPT), *Conversation(branch).messages)
    if work.wish:
        messages += (Message("user", _wish(work)),)
    request = ChatRequest(messages, hands.toolbox.specifications, files=copies.unchanged, effort=hands.effort())
    call = await _first_call(hands, request)
    tool = hands.toolbox.get(call.name) if call is not None and call.name in WRITERS else None
    if call is None or tool is None:
        raise _Unfit(f"It does not change {work.path}.")
    context = ToolContext(hands.workspace, copies, hands.jobs, _ignore_output)
    try:
        await tool.run(tool.parse(call.arguments), context)
    except ToolFailure as error:
        raise _Unfit(str(error)) from error
    return copies


async def _ignore_output(_text: str) -> None:
    """Drops it: writing a file prints nothing."""


async def _work_again(
    hands: Hands, records: Sequence[Record], work: ToWrite, places: Sequence[CallPlace]
) -> Copies:
    """The rest of the turn in place of the one that there was, as far as it writes."""
    first = places[0]
    copies = Copies(hands.workspace, work.before, work.path)
    rest = list(takewhile(lambda record: not isinstance(record, TurnBegan | Rewound), records[first.reply :]))
    came = await written_again(
        hands,
        before_call(work.session, records, first),
        _wish(work) if work.wish else "",
        copies,
        course(hands.workspace, rest, work.path).writes,
    )
    for failure in came.failures.values():
        raise _Unfit(failure)
    if copies.files == copies.begun:
        raise _Unfit("It writes nothing.")
    return copies


def _wish(work: ToWrite) -> str:
    what = f"the change to {work.path}" if work.path else "the changes"
    return f"Write {what} now, {work.wish}."


@dataclass(frozen=True, slots=True)
class _Sampled:
    """A model whose replies are sampled anew."""

    model: ModelPort
    temperature: float
    seed: int

    def stream(self, request: ChatRequest) -> AsyncGenerator[StreamEvent]:
        return self.model.stream(
            replace(
                request,
                temperature=self.temperature,
                seed=self.seed,
                max_tokens=_MOST_TOKENS,
                wants_chances=False,
            )
        )


async def _first_call(hands: Hands, request: ChatRequest) -> ToolCall | None:
    reply = Reply(lambda wanted: wanted or "take")
    # Every stream is a generator; the protocol does not say so.
    async with aclosing(cast(Any, hands.model.stream(request))) as events:
        async for event in events:
            if isinstance(event, ToolCallDelta):
                if event.index:
                    break
                reply.add_call(event)
    return next(iter(reply.calls), None)


def difference_of_files(now: Mapping[str, FileImage | None], other: Mapping[str, FileImage | None]) -> str:
    """How the files `other` differ from `now`, in one line: see `difference`."""
    paths = [path for path in sorted(other) if other[path] != now[path]]
    words = difference(now[paths[0]], other[paths[0]])
    if len(other) > 1:
        words += f" in {paths[0]}"
    more = len(paths) - 1
    return f"{words}, and {more} more file{'s' if more > 1 else ''}" if more else words


def difference(now: FileImage | None, other: FileImage | None) -> str:
    """How `other` differs from `now`, in one line: the first line that does, and how many more do."""
    texts = [image.data.decode("utf-8", "replace") if image else "" for image in (now, other)]
    old, new = (text.removesuffix("\n").split("\n") if text else [] for text in texts)
    parts = [part for part in SequenceMatcher(None, old, new, False).get_opcodes() if part[0] != "equal"]
    if not parts:
        return "only the newline at the end"
    _, i, j, k, m = parts[0]
    was, becomes = (
        next((line.strip() for line in lines if line.strip()), "") for lines in (old[i:j], new[k:m])
    )
    if was and becomes:
        words = f"{_short(becomes)} instead of {_short(was)}"
    elif becomes:
        words = f"with {_short(becomes)}"
    else:
        words = f"without {_short(was)}" if was else "other empty lines"
    more = sum(max(j - i, m - k) for _, i, j, k, m in parts) - 1
    return f"{words}, and {more} more line{'s' if more > 1 else ''}" if more > 0 else words


def _short(line: str) -> str:
    return f"`{line}`" if len(line) <= _LONGEST_DIFFERENCE else f"`{line[: _LONGEST_DIFFERENCE - 1]}…`"
