"""Any subset of the hunks under review as files: exactly what rejecting the other hunks would leave."""

from collections.abc import Collection, Iterator, Mapping, Set
from copy import deepcopy
from functools import cached_property

from app.review.display import show
from app.review.log.change_log import ReviewState
from app.review.log.decisions import (
    AtomsByPath,
    images_after,
    rejectable,
    resolve,
    shifts_to,
    spare_existence,
)
from app.review.model import FileImage, Hunk


class Subsets:
    """The hunks of a review as they are when this is made; what is decided later changes nothing here."""

    def __init__(self, state: ReviewState) -> None:
        self._state = ReviewState(files=deepcopy(state.files))
        moves = self._state.moves()
        arrivals = {new for new, _ in moves.values()}
        shown = {
            path: show(path, file, path in arrivals)
            for path, file in sorted(self._state.files.items())
            if path not in moves
        }
        self._hunks = {
            hunk.id: (path, hunk) for path, file in shown.items() if file for hunk in file.change.hunks
        }
        self._taken: dict[str, AtomsByPath] = {}
        for name in self._hunks:
            chosen, blocked = rejectable(self._state, resolve(self._state, [name]))
            if not blocked:
                self._taken[name] = chosen

    @property
    def hunks(self) -> Mapping[str, tuple[str, Hunk]]:
        """All hunks by id, each with its path."""
        return self._hunks

    @property
    def movable(self) -> Collection[str]:
        """The ids of hunks that can be taken out: the user's own edits rest on none of them."""
        return self._taken.keys()

    @cached_property
    def rests_on(self) -> Mapping[str, Set[str]]:
        """For each hunk that can be taken out, those that go only with it."""
        return {
            name: {below for below, gone in self._taken.items() if below != name and _is_part(atoms, gone)}
            for name, atoms in self._taken.items()
        }

    @cached_property
    def paths(self) -> frozenset[str]:
        """The files in which something may be taken out."""
        return frozenset(path for atoms in self._taken.values() for path in atoms)

    def files(self, kept: Set[str]) -> dict[str, FileImage | None]:
        """The files `paths` as they are with no other hunks than `kept` and those that cannot be taken out."""
        out = [name for name in self._taken if name not in kept]
        found = {path: self._state.files[path].image() for path in self.paths}
        chosen, _ = rejectable(self._state, resolve(self._state, out))
        chosen, left = spare_existence(self._state, chosen)
        shifts = (*shifts_to(self._state, chosen, "rejected"), *shifts_to(self._state, left, "pending"))
        return found | {path: after for path, (_, after) in images_after(self._state, shifts).items()}

    def holds(self, hunks: Iterator[Hunk]) -> bool:
        """Whether these are all among the hunks here, with the same lines: what was found still counts."""
        return all(
            hunk.id in self._hunks and self._hunks[hunk.id][1].lines == hunk.lines
            for hunk in hunks
            if hunk.decision != "rejected"
        )


def _is_part(atoms: AtomsByPath, more: AtomsByPath) -> bool:
    return atoms != more and all(members <= more.get(path, frozenset()) for path, members in atoms.items())
