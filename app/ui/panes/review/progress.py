"""How far a review is."""

from collections.abc import Sequence
from typing import Literal

from app.review.model import FileChange

Cause = Literal["reading", "decision", "rewriting"]
"""Why changes are counted: they were read again, decided, or replaced by other lines."""


class Progress:
    """Counts of hunks. A decided hunk that is no longer among the changes still counts, until a commit takes it
    or nothing is left to review."""

    def __init__(self) -> None:
        self.total = 0
        self.decided = 0
        self.can_undo = False
        """Whether the last thing that happened was a decision, as far as is known."""
        self._gone = 0  # decided hunks that are no longer among the changes

    @property
    def pending(self) -> int:
        """Hunks that wait for a decision."""
        return self.total - self.decided

    def restart(self) -> None:
        """Other changes are reviewed from now on."""
        self.total = self.decided = self._gone = 0

    def committed(self) -> None:
        """What was decided is in a commit."""
        self._gone = 0

    def count(self, changes: Sequence[FileChange], cause: Cause) -> None:
        """Count `changes`, which are shown now for this `cause`."""
        self.can_undo = cause != "reading" or (self.can_undo and not changes)
        shown = sum(len(change.hunks) for change in changes)
        if cause == "decision":
            self._gone = max(0, self.total - shown)
        if not shown:
            self._gone = 0
        self.total = shown + self._gone
        pending = sum(hunk.decision == "pending" for change in changes for hunk in change.hunks)
        self.decided = self.total - pending
