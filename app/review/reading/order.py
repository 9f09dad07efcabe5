"""The order of reading: the agent's, else definitions before uses, and tests beside what they test."""

import re
from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import PurePosixPath

from app.review.model import Hunk
from app.review.needed.test_files import is_test_file

_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class HunkFacts:
    """What is known of a hunk: names defined in what it changes, and all names in the lines that it adds."""

    hunk: Hunk
    path: str
    defines: frozenset[str]
    mentions: frozenset[str]


def facts_of(path: str, hunk: Hunk, symbols: Sequence[tuple[int, str]]) -> HunkFacts:
    """The facts of a hunk; `symbols` are the definitions in the file after the change: line, from 1, and name,
    in the order of lines."""
    added = {line.after_number for line in hunk.lines if line.kind == "added" and line.after_number}
    words = frozenset(name for line in hunk.lines if line.kind == "added" for name in _NAME.findall(line.text))
    defined = {name for line, name in symbols if line in added}
    # A change inside a definition is a change of it.
    first = min(added, default=hunk.after_start)
    around = [name for line, name in symbols if line <= first]
    return HunkFacts(hunk, path, frozenset({*defined, *around[-1:]}), words)


def default_order(facts: Sequence[HunkFacts]) -> list[str]:
    """The ids of hunks in the order of reading. Among those that may come next, first those of the same file,
    then in the order in which they are given; a circle of uses is entered at its first hunk."""
    tests = [one for one in facts if is_test_file(one.path)]
    ordered = _definitions_first([one for one in facts if not is_test_file(one.path)])
    beside: dict[int, list[str]] = {}
    for test in tests:
        places = [place for place, one in enumerate(ordered) if _tests(test, one)]
        beside.setdefault(max(places, default=len(ordered)), []).append(test.hunk.id)
    result: list[str] = []
    for place, one in enumerate(ordered):
        result += [one.hunk.id, *beside.get(place, ())]
    return [*result, *beside.get(len(ordered), ())]


def _definitions_first(facts: Sequence[HunkFacts]) -> list[HunkFacts]:
    """A topological order of the uses (Kahn 1962)."""
    makers: dict[str, set[int]] = {}
    for number, one in enumerate(facts):
        for name in one.defines:
            makers.setdefault(name, set()).add(number)
    waits_for: list[set[int]] = []
    users: dict[int, list[int]] = {}
    for number, one in enumerate(facts):
        used = frozenset().union(*(makers.get(name, ()) for name in one.mentions - one.defines)) - {number}
        waits_for.append(set(used))
        for maker in used:
            users.setdefault(maker, []).append(number)
    left = set(range(len(facts)))
    ready = [number for number in sorted(left) if not waits_for[number]]  # a heap; so is each file's own
    by_path: dict[str, list[int]] = {}
    for number in ready:
        by_path.setdefault(facts[number].path, []).append(number)
    ordered: list[HunkFacts] = []
    while left:
        here = by_path.get(ordered[-1].path, []) if ordered else []
        chosen = next((n for heap in (here, ready) if (n := _pop(heap, left)) is not None), None)
        if chosen is None:
            chosen = min(left)
        left.remove(chosen)
        ordered.append(facts[chosen])
        for user in users.get(chosen, ()):
            waits_for[user].discard(chosen)
            if not waits_for[user] and user in left:
                heappush(ready, user)
                heappush(by_path.setdefault(facts[user].path, []), user)
    return ordered


def _pop(heap: list[int], left: Set[int]) -> int | None:
    """The least number of `heap` that is still in `left`; the others are dropped."""
    while heap:
        number = heappop(heap)
        if number in left:
            return number
    return None


def _tests(test: HunkFacts, one: HunkFacts) -> bool:
    """Whether a hunk of a test is about another, by the names in it or by what the files are called."""
    if not test.mentions.isdisjoint(one.defines):
        return True
    words = PurePosixPath(test.path).name.split(".")[0].lower().replace("-", "_").split("_")
    return "_".join(word for word in words if word not in ("test", "tests", "spec")) == _stem(one.path)


def _stem(path: str) -> str:
    return PurePosixPath(path).name.split(".")[0].lower().replace("-", "_")


def proposed_order(places: Sequence[str], facts: Sequence[HunkFacts], rest: Sequence[str]) -> list[str]:
    """The ids of hunks in the order of `places`, PATH or PATH:LINE each; then the others, in that of `rest`."""
    result: list[str] = []
    for place in places:
        path, colon, line = place.rpartition(":")
        if not (colon and line.isdigit()):
            path, line = place, ""
        for one in facts:
            if one.path == path and (not line or _holds(one.hunk, int(line))) and one.hunk.id not in result:
                result.append(one.hunk.id)
    return [*result, *(name for name in rest if name not in result)]


def _holds(hunk: Hunk, line: int) -> bool:
    return hunk.after_start <= line <= hunk.after_start + max(0, hunk.after_count - 1)


def next_in(order: Sequence[str], here: str, step: int, only: Collection[str] | None = None) -> str | None:
    """The next (1) or previous (-1) hunk in `order` from the hunk `here`, of those in `only`; None at the end.
    From a hunk that is not in the order, its first or last."""
    known = list(order)
    if step < 0:
        known.reverse()
    after = known[known.index(here) + 1 :] if here in known else known
    return next((name for name in after if only is None or name in only), None)
