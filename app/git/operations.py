"""The operations that git leaves unfinished until the user continues or aborts them."""

from pathlib import Path

# What lies in a git directory while an operation is under way. A rebase stops with the marks of a cherry-pick,
# so it comes first.
_MARKERS = (
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase"),
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("BISECT_LOG", "bisect"),
)


def operation_in(directory: Path) -> str | None:
    """The operation under way in a git directory; None if there is none."""
    return next((name for marker, name in _MARKERS if (directory / marker).exists()), None)
