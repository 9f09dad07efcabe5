"""Other ways in which the model would have written a hunk: its reply is sampled again from the state before the
call, several at once, which our engine decodes together.
"""

import asyncio
import json
import secrets
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, cast

from pydantic import ValidationError

from app.agent.errors import NothingCameOfIt, ToolFailure
from app.agent.hunks.branch import before_call, find_call
from app.agent.prompt.prompt import SYSTEM_PROMPT
from app.agent.reply import Reply
from app.agent.session.records import Record
from app.agent.tools.edit import EditArguments, edited
from app.agent.tools.write_file import WriteFileArguments
from app.agent.turn import Hands
from app.model.events import ToolCallDelta
from app.model.messages import ChatRequest, Message, SeenFile, ToolCall
from app.review.model import FileImage
from app.workspace.files.line_endings import with_line_endings
from app.workspace.files.text import Text, decode

_MOST_TOKENS = 4096
"""Of a take; more than an edit takes, and an end for one that comes to none."""
_SEEDS = 2**31
_LONGEST_DIFFERENCE = 60  # characters of a line that is quoted


@dataclass(frozen=True, slots=True)
class HunkToWrite:
    """A hunk of the file `path`, written by the call `call` of `session`. The file is `before` without it
    (None: there is none) and `now` with it. `wish` is a word on how else it should be, "" for none."""

    path: str
    session: str
    call: str
    before: FileImage | None
    now: FileImage | None
    wish: str = ""


@dataclass(frozen=True, slots=True)
class Take:
    """What the file would be, and how that differs from what it is, in one line."""

    after: FileImage
    difference: str


@dataclass(frozen=True, slots=True)
class Takes:
    """The takes that differ from the hunk and from one another, of so many that were `asked` for; `unfit` were
    no change of this file."""

    takes: tuple[Take, ...]
    asked: int
    unfit: int


async def other_takes(
    hands: Hands, records: Sequence[Record], hunk: HunkToWrite, number: int, temperature: float
) -> Takes:
    """`number` replies in place of the one that made the hunk. Raises NothingCameOfIt where there can be none,
    ModelError, SessionError."""
    place = find_call(records, hunk.call)
    if place is None:
        raise NothingCameOfIt("the call that wrote this hunk is not in its session any more")
    if place.call.name not in ("edit", "write_file"):
        raise NothingCameOfIt(
            "a command made this hunk", "only what the agent wrote itself can be written again"
        )
    text = decode(hunk.before.data) if hunk.before is not None else None
    if hunk.before is not None and text is None:
        raise NothingCameOfIt(f"{hunk.path} is no text")
    messages = (Message("system", SYSTEM_PROMPT), *before_call(hunk.session, records, place))
    if hunk.wish:
        messages += (Message("user", f"Write the change to {hunk.path} now, {hunk.wish}."),)
    seen = () if text is None else (SeenFile((hunk.path,), text.normal),)

    async def one(seed: int) -> ToolCall | None:
        request = ChatRequest(
            messages,
            hands.toolbox.specifications,
            temperature=temperature,
            max_tokens=_MOST_TOKENS,
            seed=seed,
            files=lambda: seen,
            effort=hands.effort(),
        )
        return await _first_call(hands, request)

    first = secrets.randbelow(_SEEDS)  # asked again, it gives others
    replies = [asyncio.ensure_future(one(first + take)) for take in range(number)]
    try:
        calls = await asyncio.gather(*replies)
    finally:
        for reply in replies:
            reply.cancel()
    found: list[Take] = []
    unfit = 0
    for call in calls:
        after = None if call is None else _applied(hands, call, hunk, text)
        if after is None:
            unfit += 1
        elif after != hunk.now and after not in [take.after for take in found]:
            found.append(Take(after, difference(hunk.now, after)))
    return Takes(tuple(found), number, unfit)


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


def _applied(hands: Hands, call: ToolCall, hunk: HunkToWrite, text: Text | None) -> FileImage | None:
    """The file after a call; None where it is no change of this file, or does not fit it."""
    try:
        given = json.loads(call.arguments)
        if call.name == "edit":
            edit = EditArguments.model_validate(given)
            path, after = edit.file_path, edited(edit, hunk.path, text)[0]
        elif call.name == "write_file":
            whole = WriteFileArguments.model_validate(given)
            path, content = whole.file_path, whole.content.replace("\r\n", "\n")
            after = Text(content)
            if text is not None:
                after = Text(with_line_endings(text.raw, content), text.encoding, text.mark)
        else:
            return None
        if hands.workspace.locate(path).path != hunk.path:
            return None
        return FileImage(after.encode(), hunk.before.mode if hunk.before else 0o100644)
    except (ValueError, ValidationError, ToolFailure, RecursionError):
        return None


def difference(now: FileImage | None, other: FileImage) -> str:
    """How `other` differs from `now`, in one line: the first line that does, and how many more do."""
    old, new = (image.data.decode("utf-8", "replace").split("\n") if image else [] for image in (now, other))
    parts = [part for part in SequenceMatcher(None, old, new, False).get_opcodes() if part[0] != "equal"]
    if not parts:
        return "the same text"
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
