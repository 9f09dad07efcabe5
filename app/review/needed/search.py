"""What each hunk is to the tests, found by running them on subsets of the hunks.

Every verdict is something that was seen, so one that was given holds however early the search ends. It begins
at `reference`: all hunks if the tests pass with them, else all but as few as delta debugging finds.

- "breaks the tests": they pass with the reference, and fail with this hunk added to it;
- "needed": they fail with the reference without this hunk and what rests on it;
- "fails alone": they pass without that, and without any hunk, but not with this hunk (and what it rests on)
  as the only one;
- "tests indifferent": none of these.
"""

from collections.abc import Generator, Mapping, Sequence, Set
from typing import Literal

from app.review.needed.delta_debugging import minimized

Verdict = Literal["needed", "tests indifferent", "fails alone", "breaks the tests"]
Hunks = frozenset[str]
Steps = Generator[Hunks, bool, None]
"""Yields sets of hunks, and is sent whether the tests pass with just these."""
_Asking = Generator[Hunks, bool, bool]


class Search:
    """The search. `hunks` are ids, in order; `rests_on` has for each those that must be there for it to be;
    `tests` are hunks of the tests themselves, which the smallest set always has.

    Only sets that have with each hunk what it rests on are ever yielded, and none of them twice.
    """

    def __init__(
        self, hunks: Sequence[str], rests_on: Mapping[str, Set[str]], tests: Set[str] = frozenset()
    ) -> None:
        self._hunks = tuple(hunks)
        self._all = frozenset(hunks)
        self._tests = self._all & tests
        self._below = {hunk: self._closure(hunk, rests_on) for hunk in hunks}
        self._above = {
            hunk: frozenset(other for other in hunks if hunk in self._below[other]) for hunk in hunks
        }
        self._known: dict[Hunks, bool] = {}
        self.verdicts: dict[str, Verdict] = {}
        """By hunk, as far as they are known."""
        self.reference: Hunks | None = None
        """The hunks with which the tests pass."""
        self.smallest: Hunks | None = None
        """As few hunks as delta debugging finds with which the tests pass, those of the tests among them."""

    def _closure(self, hunk: str, rests_on: Mapping[str, Set[str]]) -> Hunks:
        found: set[str] = set()
        waiting = [hunk]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += rests_on.get(one, frozenset()) & self._all
        return frozenset(found)

    def steps(self) -> Steps:
        """Search. When it ends, all is known that can be."""
        out = yield from self._find_out()
        if out is None:
            return
        self.reference = self._all - out
        is_good_without = yield from self._passes(frozenset())
        for hunk in self._hunks:
            verdict = (
                (yield from self._of_broken(hunk, out))
                if hunk in out
                else (yield from self._of_reference(hunk, self.reference, is_good_without))
            )
            if verdict is not None:
                self.verdicts[hunk] = verdict
        yield from self._find_smallest(self.reference)

    def _passes(self, kept: Hunks) -> _Asking:
        if kept not in self._known:
            self._known[kept] = yield kept
        return self._known[kept]

    def _closed(self, hunks: Set[str]) -> Hunks:
        return frozenset().union(*(self._below[hunk] for hunk in hunks))

    def _rests_on_any(self, hunks: Set[str]) -> Hunks:
        return frozenset().union(*(self._above[hunk] for hunk in hunks))

    def _find_out(self) -> Generator[Hunks, bool, Hunks | None]:
        """As few hunks as may be that are left out for the tests to pass; None where nothing helps."""
        if (yield from self._passes(self._all)):
            return frozenset()
        start = yield from self._first_passing()
        if start is None:
            return None

        def without(hunks: Hunks) -> _Asking:
            return self._passes(self._all - self._rests_on_any(hunks))

        found = yield from minimized([hunk for hunk in self._hunks if hunk in start], without)
        out = set(self._rests_on_any(found))
        # What a hunk rests on need not be out for it.
        is_smaller = True
        while is_smaller:
            is_smaller = False
            for hunk in [hunk for hunk in self._hunks if hunk in out and self._below[hunk] & out == {hunk}]:
                if (yield from self._passes(self._all - (out - {hunk}))):
                    out.remove(hunk)
                    is_smaller = True
        return frozenset(out)

    def _first_passing(self) -> Generator[Hunks, bool, Hunks | None]:
        """Hunks without which the tests pass."""
        if (yield from self._passes(frozenset())):
            return self._all
        for hunk in self._hunks:
            if (yield from self._passes(self._all - self._above[hunk])):
                return self._above[hunk]
        return None

    def _of_broken(self, hunk: str, out: Hunks) -> Generator[Hunks, bool, Verdict | None]:
        if self._below[hunk] & out == {hunk}:
            return "breaks the tests"
        # It cannot be added without what breaks them.
        return None if (yield from self._passes(self._below[hunk])) else "fails alone"

    def _of_reference(
        self, hunk: str, reference: Hunks, is_good_without: bool
    ) -> Generator[Hunks, bool, Verdict]:
        if not (yield from self._passes(reference - self._above[hunk])):
            return "needed"
        if is_good_without and not (yield from self._passes(self._below[hunk])):
            return "fails alone"
        return "tests indifferent"

    def _find_smallest(self, reference: Hunks) -> Steps:
        tests = self._closed(self._tests & reference)

        def only(hunks: Hunks) -> _Asking:
            return self._passes(self._closed(hunks) | tests)

        # What is needed is mostly enough.
        start = frozenset(hunk for hunk, verdict in self.verdicts.items() if verdict == "needed")
        if not (yield from only(start)):
            start = reference
        found = yield from minimized([hunk for hunk in self._hunks if hunk in start - tests], only)
        self.smallest = self._closed(found) | tests
