"""Which removed line became which added line, and which words of it changed. Bounded: a diff of minified code
must not hold up the screen."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from app.review.diff.compare import blocks
from app.review.model import DiffLine

Span = tuple[int, int]

_WORD = re.compile(r"\w+|\s+|.", re.DOTALL)
_LONGEST_LINE = 2000
"""Characters: words of a longer line are not compared, as it costs the square of their number."""
_LARGEST_BLOCK = 2500
"""Removed times added lines that are paired by likeness; of a larger block no lines are paired."""
# Lines that share less than this part of their words are strangers: marking them would colour nearly all of it.
_ALIKE = 0.4


def word_marks(removed: str, added: str) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """The changed parts of two lines, as [start, end) in characters; nothing when they have little in common or
    are very long."""
    if max(len(removed), len(added)) > _LONGEST_LINE or similarity(removed, added) < _ALIKE:
        return (), ()
    a, b = _WORD.findall(removed), _WORD.findall(added)
    a_starts, b_starts = _starts(a), _starts(b)
    found = blocks(a, b)
    return (
        tuple(
            (a_starts[x.before_start], a_starts[x.before_end]) for x in found if x.before_end > x.before_start
        ),
        tuple((b_starts[x.after_start], b_starts[x.after_end]) for x in found if x.after_end > x.after_start),
    )


def _starts(words: Sequence[str]) -> list[int]:
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word))
    return starts


def marks(lines: Sequence[DiffLine]) -> Mapping[int, tuple[Span, ...]]:
    """For a hunk's lines: the changed parts of each paired line, by its index in `lines`."""
    result: dict[int, tuple[Span, ...]] = {}
    for removed, added in change_blocks(lines):
        for i, j in pair([lines[n].text for n in removed], [lines[n].text for n in added]):
            old, new = word_marks(lines[removed[i]].text, lines[added[j]].text)
            if old or new:
                result[removed[i]], result[added[j]] = old, new
    return result


def change_blocks(lines: Sequence[DiffLine]) -> list[tuple[list[int], list[int]]]:
    """Indices of the removed and of the added lines of each run of changed lines."""
    result: list[tuple[list[int], list[int]]] = []
    for changed, run in groupby(enumerate(lines), key=lambda item: item[1].kind != "context"):
        if changed:
            members = list(run)
            result.append(
                (
                    [n for n, line in members if line.kind == "removed"],
                    [n for n, line in members if line.kind == "added"],
                )
            )
    return result


def pair(removed: Sequence[str], added: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs (index in removed, index in added) of lines that correspond, rising on both sides.

    As many lines on both sides pair up in order. Otherwise those that are most alike do, as a sequence
    alignment (Needleman and Wunsch 1970) finds them; a block too large for that is paired from its top.
    """
    if len(removed) == len(added) or len(removed) * len(added) > _LARGEST_BLOCK:
        return list(zip(range(len(removed)), range(len(added)), strict=False))
    score = [[0.0] * (len(added) + 1) for _ in range(len(removed) + 1)]
    alike = [[similarity(old, new) for new in added] for old in removed]
    for i in range(len(removed) - 1, -1, -1):
        for j in range(len(added) - 1, -1, -1):
            together = alike[i][j] + score[i + 1][j + 1] if alike[i][j] >= _ALIKE else 0.0
            score[i][j] = max(together, score[i + 1][j], score[i][j + 1])
    result: list[tuple[int, int]] = []
    i = j = 0
    while i < len(removed) and j < len(added):
        if alike[i][j] >= _ALIKE and score[i][j] == alike[i][j] + score[i + 1][j + 1]:
            result.append((i, j))
            i, j = i + 1, j + 1
        elif score[i][j] == score[i + 1][j]:
            i += 1
        else:
            j += 1
    return result


def similarity(a: str, b: str) -> float:
    """The part of their words that two lines share, 0 to 1 (Dice's coefficient); white space does not count."""
    a, b = a[:_LONGEST_LINE], b[:_LONGEST_LINE]
    words_a = Counter(word for word in _WORD.findall(a) if not word.isspace())
    words_b = Counter(word for word in _WORD.findall(b) if not word.isspace())
    total = words_a.total() + words_b.total()
    return 2 * (words_a & words_b).total() / total if total else 1.0
