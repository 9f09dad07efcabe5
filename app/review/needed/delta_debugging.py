"""Delta debugging (Zeller, Hildebrandt: Simplifying and Isolating Failure-Inducing Input, IEEE TSE 28, 2002).

Written as a generator, so that whoever runs it decides how and when each set is tested.
"""

from collections.abc import Callable, Generator, Sequence
from itertools import pairwise
from typing import TypeVar

Outcome = TypeVar("Outcome")
Test = Callable[[frozenset[str]], Generator[Outcome, bool, bool]]
"""Tests a set by yielding to whoever knows how; gives whether it has the property."""


def minimized(items: Sequence[str], test: Test[Outcome]) -> Generator[Outcome, bool, frozenset[str]]:
    """ddmin: a part of `items`, which have the property, that still has it and loses it without any one item.

    The empty set is tried as well.
    """
    left = list(items)
    parts = 2
    while left:
        if len(left) == 1:
            if (yield from test(frozenset())):
                left = []
            break
        cuts = [len(left) * number // parts for number in range(parts + 1)]
        chunks = [left[start:end] for start, end in pairwise(cuts)]
        rests = [left[:start] + left[end:] for start, end in pairwise(cuts)]
        for chunk in chunks:
            if (yield from test(frozenset(chunk))):
                left, parts = chunk, 2
                break
        else:
            for rest in rests if parts > 2 else ():  # of two halves, each is the rest of the other
                if (yield from test(frozenset(rest))):
                    left, parts = rest, parts - 1
                    break
            else:
                if parts == len(left):
                    break
                parts = min(2 * parts, len(left))
    return frozenset(left)
