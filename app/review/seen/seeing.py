"""Which hunks of changes were seen, by the marks there are."""

from collections.abc import Collection, Mapping, Sequence

from app.review.desks.desk import HunkPart, Seen
from app.review.model import FileChange
from app.review.seen.keys import KeyedRun, keyed_runs, keys_to_mark
from app.review.seen.marks import SeenMarks


class Seeing:
    """Reads and changes the marks on changes; keeps the keys of those it was last asked about."""

    def __init__(self, marks: SeenMarks) -> None:
        self._marks = marks
        self._of: Sequence[FileChange] = ()
        self._runs: Mapping[str, list[KeyedRun]] = {}

    def of(self, changes: Sequence[FileChange]) -> Mapping[str, Seen]:
        """By hunk id what was seen of hunks of which anything was."""
        marks = self._marks.all()
        if not marks:
            return {}
        found: dict[str, list[tuple[int, int]]] = {}
        total: dict[str, int] = {}
        for runs in self._keyed(changes).values():
            for run in runs:
                total[run.hunk] = total.get(run.hunk, 0) + 1
                if run.is_in(marks):
                    found.setdefault(run.hunk, []).append((run.start, run.end))
        return {name: Seen(total[name], tuple(seen)) for name, seen in found.items()}

    def keys(self, changes: Sequence[FileChange], parts: Sequence[HunkPart], *, is_seen: bool) -> set[str]:
        """The keys of parts of `changes` that are not marked as it is wished: `is_seen` or not."""
        wanted: dict[str, dict[str, Sequence[int] | None]] = {}
        for part in parts:
            lines = sorted(part.lines) if part.lines is not None else None
            wanted.setdefault(part.change.path, {})[part.hunk.id] = lines
        marks = frozenset(self._marks.all())
        keyed = self._keyed(changes)
        found = {key for path, hunks in wanted.items() for key in keys_to_mark(keyed[path], hunks, marks)}
        return found - marks if is_seen else found & marks

    def mark(self, keys: Collection[str], *, is_seen: bool) -> None:
        """Mark what has these keys as seen, or as not seen."""
        self._marks.change(keys, is_seen=is_seen)

    def _keyed(self, changes: Sequence[FileChange]) -> Mapping[str, list[KeyedRun]]:
        if self._of is not changes:
            self._runs = {change.path: keyed_runs(change) for change in changes}
            self._of = changes
        return self._runs
