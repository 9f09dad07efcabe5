"""Where Vim's motions go: offsets in a text from an offset. Pure; the names of motions are Vim's keys."""

from dataclasses import dataclass
from itertools import groupby
from typing import Literal

Reach = Literal["exclusive", "inclusive", "linewise"]


@dataclass(frozen=True, slots=True)
class Motion:
    """Where a motion ends, and how much of that an operator takes. `column` is where j and k aim at from then
    on, None for the cursor's own; a great one is the line's end. `is_short`: it could not go so often, and no
    operator follows it."""

    to: int
    reach: Reach
    column: int | None = None
    is_short: bool = False


END = 1 << 30
"""The column that `$` aims at in every line."""


def line_start(text: str, at: int) -> int:
    """The offset of the first character of the line that `at` is in."""
    return text.rfind("\n", 0, at) + 1


def line_end(text: str, at: int) -> int:
    """The offset behind the line's last character: of its newline, or of the text's end."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def last_in_line(text: str, at: int) -> int:
    """The line's last character, where the cursor may stand in normal mode."""
    return max(line_start(text, at), line_end(text, at) - 1)


def first_word(text: str, at: int) -> int:
    """The line's first character that is no blank; its last one where all are."""
    start, end = line_start(text, at), line_end(text, at)
    while start < end and text[start] in " \t":
        start += 1
    return min(start, last_in_line(text, at))


def _kind(character: str) -> int:
    """0 for blanks, 1 for punctuation, 2 for what words are made of."""
    if character in " \t\n":
        return 0
    return 2 if character.isalnum() or character == "_" or ord(character) > 255 else 1


def words(text: str) -> list[tuple[int, int]]:
    """Every word as [start, end); an empty line is one of no characters."""
    found: list[tuple[int, int]] = []
    at = 0
    for line in text.split("\n"):
        if not line:
            found.append((at, at))
        column = 0
        for kind, group in groupby(line, _kind):
            length = len(list(group))
            if kind:
                found.append((at + column, at + column + length))
            column += length
        at += len(line) + 1
    return found


def next_word(text: str, at: int, count: int, *, stays_in_line: bool) -> int:
    """Where `w` goes. Under an operator the last step goes no further than the line's end (`stays_in_line`)."""
    for left in range(count - 1, -1, -1):
        stops = stays_in_line and not left
        kind, start, end = _kind_at(text, at), at, line_end(text, at)
        if at == len(text):
            break
        at += 1
        if stops and at >= end:
            return end + (start == end)
        while kind and at < end and _kind_at(text, at) == kind:
            at += 1
        if stops and at == end:
            return end
        while at < len(text) and not _kind_at(text, at) and not _is_empty_line(text, at):
            at += 1
    return at


def _kind_at(text: str, at: int) -> int:
    return _kind(text[at]) if at < len(text) else 0


def _is_empty_line(text: str, at: int) -> bool:
    return line_start(text, at) == line_end(text, at)


def _previous_word(text: str, at: int, count: int) -> int:
    """Where `b` goes; below 0 where the text has not so many words."""
    starts = [start for start, _ in words(text) if start < at]
    if at and (not starts or starts[0]):
        starts = [0, *starts]
    return starts[-count] if len(starts) >= count else -1


def _word_end(text: str, at: int, count: int) -> int:
    ends = [end - 1 for start, end in words(text) if end - 1 > at and end > start]
    return ends[count - 1] if len(ends) >= count else last_in_line(text, len(text))


def changed_word(text: str, at: int, count: int) -> int:
    """Behind what `cw` changes: to the end of the word, this one counting."""
    ends = [end for start, end in words(text) if end > at and end > start]
    return ends[count - 1] if len(ends) >= count else len(text)


def motion(text: str, at: int, key: str, count: int | None, column: int | None) -> Motion | None:
    """Where `key` goes from `at`, that many times; None where it cannot, or is no motion. `column` is what j
    and k aim at."""
    times = count or 1
    start, end = line_start(text, at), line_end(text, at)
    if key == "h":
        return Motion(max(start, at - times), "exclusive") if at > start else None
    if key == "l":
        return Motion(min(end, at + times), "exclusive") if end > start else None
    if key == "0":
        return Motion(start, "exclusive")
    if key == "^":
        return Motion(first_word(text, at), "exclusive")
    if key == "$":
        below = down(text, start, times - 1)
        return None if below is None else Motion(last_in_line(text, below), "inclusive", END)
    if key in ("j", "k"):
        line = down(text, start, times) if key == "j" else _up(text, start, times)
        aimed = at - start if column is None else column
        return None if line is None else Motion(min(line + aimed, last_in_line(text, line)), "linewise", aimed)
    if key in ("gg", "G"):
        line = 0 if count or key == "gg" else line_start(text, len(text))
        for _ in range((count or 1) - 1):
            line = line if line_end(text, line) == len(text) else line_end(text, line) + 1
        return Motion(first_word(text, line), "linewise")
    if key == "w":
        to = next_word(text, at, times, stays_in_line=False)
        return Motion(to, "exclusive") if min(to, last_in_line(text, to)) > at else None
    if key == "b":
        to = _previous_word(text, at, times)
        return Motion(max(0, to), "exclusive", is_short=to < 0 and text[:1] == "\n") if at else None
    if key == "e":
        return Motion(_word_end(text, at, times), "inclusive")
    return None


def down(text: str, line: int, lines: int) -> int | None:
    """The start of the line that many lines below that which begins at `line`, or of the last; None where that
    is the last already."""
    at = line
    for _ in range(lines):
        end = line_end(text, at)
        at = end + 1 if end < len(text) else at
    return at if at > line or not lines else None


def _up(text: str, line: int, lines: int) -> int | None:
    at = line
    for _ in range(lines):
        at = line_start(text, max(0, at - 1))
    return at if at < line else None
