"""Changes of files as a diff view shows them."""

from collections.abc import Mapping
from dataclasses import replace

from app.review.diff.compare import file_change
from app.review.model import Decision, FileChange, FileImage


def changes_of(files: Mapping[str, tuple[str, str]]) -> tuple[FileChange, ...]:
    """The changes of files, by path from one text to another."""
    found = []
    for path, (before, after) in files.items():
        change = file_change(path, FileImage(before.encode()), FileImage(after.encode()))
        assert change is not None
        found.append(change)
    return tuple(found)


def decided(change: FileChange, *decisions: Decision) -> FileChange:
    """`change` with its hunks decided like this."""
    hunks = zip(change.hunks, decisions, strict=True)
    return replace(change, hunks=tuple(replace(hunk, decision=decision) for hunk, decision in hunks))
