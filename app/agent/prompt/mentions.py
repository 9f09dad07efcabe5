"""What the user points at in a message: `@src/a.py`, `@src/a.py:10-40`, `@src/`, `@"with spaces.txt"`."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_MENTION = re.compile(r"(?<![\w@.])@(?:\"(?P<quoted>[^\"\n]+)\"(?P<range>:\d+(?:-\d+)?)?|(?P<bare>[^\s\"@`]+))")
_RANGE = re.compile(r":(?P<first>\d+)(?:-(?P<last>\d+))?\Z")
_TRAILING = ".,;:!?)]}>'*"


@dataclass(frozen=True, slots=True)
class Mention:
    """A path relative to the workspace, and which of its lines, counted from 1 and inclusive; None for all."""

    path: str
    first: int | None = None
    last: int | None = None

    @property
    def name(self) -> str:
        """As the user would write it, without the sign."""
        if self.first is None:
            return self.path
        return f"{self.path}:{self.first}" + (f"-{self.last}" if self.last != self.first else "")


def find_mentions(text: str, exists: Callable[[str], bool]) -> list[Mention]:
    """What `text` mentions, each once, in order. A word behind the sign counts only if `exists` says that there
    is such a file or directory; punctuation behind it is no part of the name unless it really is."""
    found: dict[Mention, None] = {}
    for match in _MENTION.finditer(text):
        written = match["quoted"] or match["bare"]
        for mention in _readings(written, match["range"] or "", is_quoted=bool(match["quoted"])):
            if exists(mention.path):
                found[mention] = None
                break
    return list(found)


def _readings(written: str, lines: str, is_quoted: bool) -> Iterator[Mention]:
    """What a mention may mean, the most literal first."""
    if is_quoted:
        yield _ranged(written, lines)
        return
    while written:
        yield Mention(written)
        if (numbers := _RANGE.search(written)) is not None:
            yield _ranged(written[: numbers.start()], numbers[0])
        if written[-1] not in _TRAILING:
            return
        written = written[:-1]


def _ranged(path: str, lines: str) -> Mention:
    numbers = _RANGE.match(lines)
    if numbers is None:
        return Mention(path)
    first = max(1, int(numbers["first"]))
    return Mention(path, first, max(first, int(numbers["last"] or first)))
