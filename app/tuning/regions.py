"""What a call's text has become in the file that was decided on. Pure."""

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import accumulate
from typing import Any

from app.model.messages import ToolCall


@dataclass(frozen=True, slots=True)
class Became:
    """The text that stands in the place of what a call wrote; `is_gone`: it is what was there before."""

    text: str
    is_gone: bool


def became(call: ToolCall, before: str, after: str, final: str) -> Became | None:
    """What has become of the text that a call of edit or write_file wrote, from the file's text around the call
    and when it was decided; None where that cannot be told."""
    arguments = arguments_of(call)
    if call.name == "write_file":
        return Became(final, final == before)
    old, new = (_normal(arguments.get(name)) for name in ("old_string", "new_string"))
    if not old or arguments.get("replace_all") or before.count(old) != 1:
        # It made the file, or changed several places: there is no telling but when nothing was touched since.
        return Became(new if old else final, False) if final == after else None
    start = before.index(old)
    if after != before[:start] + new + before[start + len(old) :]:
        return Became(new, False) if final == after else None
    text = _now(after, start, start + len(new), final)
    return None if text is None else Became(text, text == old)


def changed(call: ToolCall, text: str) -> ToolCall:
    """The call with `text` in the place of what it wrote."""
    name = "content" if call.name == "write_file" else "new_string"
    arguments = arguments_of(call) | {name: text}
    return ToolCall(call.id, call.name, json.dumps(arguments, ensure_ascii=False))


def written(call: ToolCall) -> str:
    """The text that a call wrote."""
    return _normal(arguments_of(call).get("content" if call.name == "write_file" else "new_string"))


def replaced(call: ToolCall, before: str) -> tuple[int, int]:
    """From where to where a call replaced the text `before`; all of it where there is no telling."""
    old = _normal(arguments_of(call).get("old_string"))
    at = before.find(old) if old else -1
    return (0, max(1, len(before))) if at < 0 else (at, at + len(old))


def arguments_of(call: ToolCall) -> dict[str, Any]:
    """The arguments, none where they do not parse."""
    try:
        arguments = json.loads(call.arguments)
    except ValueError:
        return {}
    return arguments if isinstance(arguments, dict) else {}


def _normal(text: object) -> str:
    return text.replace("\r\n", "\n") if isinstance(text, str) else ""


def _now(after: str, start: int, end: int, final: str) -> str | None:
    """What stands in `final` where after[start:end] stood; None where what is around it changed too."""
    head, tail = after[:start], after[end:]
    if len(final) >= len(head) + len(tail) and final.startswith(head) and final.endswith(tail):
        return final[len(head) : len(final) - len(tail)]
    lines, now = after.splitlines(keepends=True), final.splitlines(keepends=True)
    starts = [0, *accumulate(map(len, lines))]
    first, last = _line(starts, start), _line(starts, max(start, end - 1))
    where = _matched(lines, now)
    above = 0 if first == 0 else where.get(first - 1, -2) + 1
    below = len(now) if last + 1 >= len(lines) else where.get(last + 1, -1)
    if above < 0 or below < above:
        return None
    text = "".join(now[above:below])
    lead, trail = after[starts[first] : start], after[end : starts[min(last + 1, len(lines))]]
    if len(text) < len(lead) + len(trail) or not (text.startswith(lead) and text.endswith(trail)):
        return None
    return text[len(lead) : len(text) - len(trail)]


def _line(starts: Sequence[int], position: int) -> int:
    return max(0, min(bisect_right(starts, position) - 1, len(starts) - 2))


def _matched(lines: Sequence[str], now: Sequence[str]) -> dict[int, int]:
    """The line of `now` that each line is; lines that are gone or other are left out."""
    blocks = SequenceMatcher(None, lines, now, autojunk=False).get_matching_blocks()
    return {block.a + offset: block.b + offset for block in blocks for offset in range(block.size)}
