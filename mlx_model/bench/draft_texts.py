"""Three kinds of text, each a prompt and a reply: a file rewritten with one line changed, new code, prose."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GivenText:
    """A prompt and its given reply."""

    prompt: str
    reply: str


_FILE = '''"""Counting the words of a text."""

from collections import Counter
from pathlib import Path

_PUNCTUATION = ".,;:!?"


def read_words(path: Path) -> list[str]:
    """The words of a file, in lower case."""
    text = path.read_text(encoding="utf-8")
    return [word.strip(_PUNCTUATION).lower() for word in text.split()]


def most_frequent(words: list[str], count: int = 10) -> list[tuple[str, int]]:
    """The words that come most often, with how often they come."""
    return Counter(words).most_common(count)


def longest(words: list[str]) -> str:
    """The longest word, the first of several; empty where there is none."""
    return max(words, key=len, default="")


def report(path: Path) -> str:
    """One line a word, and the longest one below them."""
    words = read_words(path)
    lines = [f"{word}: {times}" for word, times in most_frequent(words)]
    return "\\n".join([*lines, f"longest: {longest(words)}"])
'''

_CODE = '''"""A priority queue on a heap."""

import heapq


class PriorityQueue:
    """Items leave in order of their priority, the lowest first; equal ones as they came."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, object]] = []
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._heap)

    def push(self, item: object, priority: float) -> None:
        """Takes an item in, at a cost that grows with the logarithm of how many there are."""
        heapq.heappush(self._heap, (priority, self._arrivals, item))
        self._arrivals += 1

    def pop(self) -> object:
        """Gives out what is most urgent. Raises IndexError when nothing waits."""
        if not self._heap:
            raise IndexError("pop from an empty queue")
        _, _, item = heapq.heappop(self._heap)
        return item

    def drain(self, limit: int | None = None) -> list[object]:
        """Up to `limit` items, or all of them, in the order in which they leave."""
        wanted = len(self) if limit is None else min(limit, len(self))
        return [self.pop() for _ in range(wanted)]
'''

_PROSE = """The harbour lay quiet in the early morning, and the first boats had not yet come back. Along the \
quay somebody had left a row of crates, stacked three high and covered with sailcloth, which smelled of tar \
and wet rope. Marta counted them twice, because her uncle never believed a number that had been counted \
once. Beyond the breakwater a bell buoy answered the swell with a slow, uneven note. She thought about the \
letter in her pocket, which she had read so often that its folds were wearing through, and about how small \
the handwriting became towards the end, as if paper had been dear that winter. A gull walked past, looked at \
her shoes and decided against them. When the sun reached the customs house, its windows turned from grey to \
copper all at once, floor by floor, and behind one of them a lamp went out. It would be a hot day. By noon \
the fish market would be shouting, carts would block the bridge, and nobody would remember that for one hour \
the whole town had belonged to a girl with a pencil, nineteen crates and an opinion about gulls.
"""

TEXTS = {
    "rewriting a file": GivenText(
        f"This is words.py:\n\n{_FILE}\n\nThe same file with count: int = 20 in it:\n\n",
        _FILE.replace("count: int = 10", "count: int = 20"),
    ),
    "new code": GivenText(_CODE[:60], _CODE[60:]),
    "prose": GivenText(_PROSE[:90], _PROSE[90:]),
}
