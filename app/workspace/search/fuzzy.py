"""Paths by a few of their letters, best first.

A library's matchers were tried on 50,000 paths: rapidfuzz is as quick, but finds `tree/pane/service.py` for
`rvpane`, because it knows no order of letters over the whole path; Textual's takes seconds. Pure.
"""

import re
from collections.abc import Callable, Iterable, Sequence

_NEAR = 4  # cells by which the letters of a path that was looked at lately count as closer together
# Paths, of those that have the letters apart, that are looked at closely: the shortest ones.
_MOST_SCORED = 3_000


class Paths:
    """Paths made ready to be searched with every key: a pass over 50,000 takes some milliseconds."""

    def __init__(self, paths: Iterable[str]) -> None:
        # The shorter goes first among equals, and so is met first.
        self._paths = sorted(paths, key=lambda path: (len(path), path))
        self._folded = [path.casefold() for path in self._paths]
        self._bases = [folded.rstrip("/").rpartition("/")[2] for folded in self._folded]
        self._last = ("", list(range(len(self._paths))))

    def __len__(self) -> int:
        return len(self._paths)

    def find(self, query: str, limit: int, recent: Sequence[str] = ()) -> list[str]:
        """At most `limit` paths that have the letters of `query` in that order: first those whose name begins
        with it, has it whole, whose path has it whole, then those with the letters close together and near the
        end. `recent` paths go before others that fit as well; without a query, they go first."""
        wanted = "".join(query.casefold().split())
        if not wanted:
            known = set(self._paths)
            found = [path for path in recent if path in known]
            return [*found, *(path for path in self._paths if path not in set(found))][:limit]
        remembered = {path: place for place, path in enumerate(recent)}
        folded, bases = self._folded, self._bases
        left = self._narrowed(wanted)
        result: list[str] = []
        tiers: tuple[Callable[[int], bool], ...] = (
            lambda n: bases[n].startswith(wanted),
            lambda n: wanted in bases[n],
            lambda n: wanted in folded[n],
        )
        for is_fit in tiers:
            here = [n for n in left if is_fit(n)]
            taken = set(here)
            left = [n for n in left if n not in taken] if here else left
            result += sorted(
                (self._paths[n] for n in here), key=lambda path: remembered.get(path, len(remembered))
            )
            if len(result) >= limit:
                return result[:limit]
        return [*result, *self._apart(wanted, left, remembered)][:limit]

    def _narrowed(self, wanted: str) -> list[int]:
        """The paths that have the letters in order: among those of the last query, where this one goes on."""
        before, numbers = self._last
        if not wanted.startswith(before):
            numbers = list(range(len(self._paths)))
        letters = re.compile(".*?".join(map(re.escape, wanted)), re.DOTALL).search
        folded = self._folded
        found = [n for n in numbers if letters(folded[n])]
        self._last = (wanted, found)
        return found

    def _apart(self, wanted: str, numbers: list[int], remembered: dict[str, int]) -> list[str]:
        # Looked for from the end: the letters are rather those of the name than of the folders.
        letters = re.compile(".*?".join(map(re.escape, reversed(wanted))), re.DOTALL)
        scored = []
        for n in numbers[:_MOST_SCORED]:
            backwards = self._folded[n][::-1]
            match = letters.search(backwards)
            if match is not None:
                path = self._paths[n]
                span = match.end() - match.start() - (_NEAR if path in remembered else 0)
                scored.append((span, match.start(), len(path), path))
        return [path for *_, path in sorted(scored)]
