"""Which hunks are undecided, and where to go after a decision."""

from collections.abc import Sequence

from app.review.desks.desk import HunkPart
from app.review.model import FileChange


def hunk_ids(changes: Sequence[FileChange]) -> list[tuple[str, bool]]:
    """Every hunk's id and whether it is undecided, in order."""
    return [(hunk.id, hunk.decision == "pending") for change in changes for hunk in change.hunks]


def next_pending(changes: Sequence[FileChange], after: frozenset[str]) -> str | None:
    """The id of the first undecided hunk after the hunks `after`, around the end; None if there is none."""
    ids = hunk_ids(changes)
    last = max((number for number, (name, _) in enumerate(ids) if name in after), default=-1)
    rest = [name for name, pending in ids[last + 1 :] + ids[: last + 1] if pending and name not in after]
    return rest[0] if rest else None


def first_new(before: Sequence[FileChange], now: Sequence[FileChange]) -> str | None:
    """The id of the first hunk that was not there before, or was decided otherwise; None if there is none."""
    known = set(hunk_ids(before))
    return next((one[0] for one in hunk_ids(now) if one not in known), None)


def pending_parts(change: FileChange) -> list[HunkPart]:
    """The undecided hunks of a file."""
    return [HunkPart(change, hunk) for hunk in change.hunks if hunk.decision == "pending"]
