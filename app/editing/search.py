"""Search and replace in a text: plain or by regular expression, with or without regard to capitals."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from app.editing.errors import BadSearch

if TYPE_CHECKING:
    import regex

_PATIENCE = 0.5
"""Seconds for one search: an expression may backtrack for ever."""
MOST_MATCHES = 10_000
"""Matches that are found; who has more would rather narrow the search down."""
Location = tuple[int, int]
"""Line and character in it, both counted from 0."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for. Without `is_exact`, small letters stand for capitals too; capitals are always meant
    as written."""

    text: str
    is_regex: bool = False
    is_exact: bool = False

    def pattern(self) -> "regex.Pattern[str]":
        """The expression. Raises BadSearch."""
        import regex  # noqa: PLC0415  only who searches waits for it

        ignores = not self.is_exact and self.text == self.text.lower()
        flags = regex.MULTILINE | (regex.IGNORECASE if ignores else 0)
        try:
            return regex.compile(self.text if self.is_regex else regex.escape(self.text), flags)
        except regex.error as error:
            raise BadSearch(f"not a regular expression: {error}") from error


@dataclass(frozen=True, slots=True)
class Found:
    """A match, from the character at `start` to the one before `end`, with what would take its place."""

    start: Location
    end: Location
    new: str = ""


def find(lines: Sequence[str], query: Query, replacement: str = "") -> list[Found]:
    """All matches in order, up to MOST_MATCHES; empty ones are passed over. With a regular expression,
    `replacement` may hold \\\\1 and \\\\g<name>. Raises BadSearch."""
    if not query.text:
        return []
    import regex  # noqa: PLC0415  as above

    pattern = query.pattern()
    starts = list(accumulate((len(line) + 1 for line in lines), initial=0))

    def location(offset: int) -> Location:
        row = bisect_right(starts, offset) - 1
        return row, offset - starts[row]

    found: list[Found] = []
    try:
        for match in pattern.finditer("\n".join(lines), timeout=_PATIENCE):
            if match.start() == match.end():
                continue
            new = match.expand(replacement) if query.is_regex and "\\" in replacement else replacement
            found.append(Found(location(match.start()), location(match.end()), new))
            if len(found) == MOST_MATCHES:
                break
    except TimeoutError as error:
        raise BadSearch("this expression takes too long here") from error
    except (regex.error, IndexError) as error:
        raise BadSearch(f"not a replacement for this expression: {error}") from error
    return found


def replaced(lines: Sequence[str], found: Sequence[Found]) -> str:
    """The text from the start of the first match to the end of the last, with each of them replaced."""
    pieces: list[str] = []
    at = found[0].start
    for match in found:
        pieces += [text_between(lines, at, match.start), match.new]
        at = match.end
    return "".join(pieces)


def text_between(lines: Sequence[str], start: Location, end: Location) -> str:
    """The text from `start` to `end`."""
    (top, left), (bottom, right) = start, end
    if top == bottom:
        return lines[top][left:right]
    return "\n".join([lines[top][left:], *lines[top + 1 : bottom], lines[bottom][:right]])
