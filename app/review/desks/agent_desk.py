"""The agent's work on the table."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from app.git.git import Git
from app.review.desks.desk import Part, Words, file_lines
from app.review.diff.misfit import Misfit
from app.review.diff.splice import new_side, splice
from app.review.disk import WorkTree
from app.review.model import FileChange, Hunk
from app.review.port import ReviewPort


class AgentDesk:
    """What the agent changed; a Desk."""

    title = "the agent's changes"
    source = ""
    words = Words("keep", "kept", "reject", "rejected")

    def __init__(self, review: ReviewPort, root: Path) -> None:
        self._review = review
        self._root = root

    def changes(self) -> tuple[FileChange, ...]:
        """See Desk."""
        return self._review.changes()

    def take(self, parts: Sequence[Part]) -> str:
        """See Desk."""
        self._review.keep_selected({part.hunk.id: part.lines for part in parts})
        return ""

    def drop(self, parts: Sequence[Part]) -> str:
        """See Desk."""
        return self._review.reject_selected({part.hunk.id: part.lines for part in parts})

    def undo(self) -> str:
        """See Desk."""
        return self._review.undo()

    def redo(self) -> str:
        """See Desk."""
        return self._review.redo()

    def lines(self, change: FileChange) -> Sequence[str]:
        """See Desk."""
        return file_lines(_read(self._root / change.path))

    def misfits(self) -> Mapping[str, Misfit]:
        """See Desk."""
        return {}

    def text_of(self, change: FileChange, hunk: Hunk) -> str:
        """See Desk."""
        return new_side(change, hunk)

    def edit(self, change: FileChange, hunk: Hunk, text: str) -> str:
        """See Desk. It is the user's own edit then."""
        with self._review.users_own(change.path):
            splice(WorkTree(self._root), change, hunk, text)
        return ""

    def users_own(self, change: FileChange) -> AbstractContextManager[None]:
        """See Desk."""
        return self._review.users_own(change.path)

    @property
    def can_commit(self) -> bool:
        """See Desk."""
        return Git(self._root).is_repository

    def put_away(self) -> str:
        """See Desk."""
        return self._review.put_away()

    def to_commit(self) -> tuple[FileChange, ...]:
        """See Desk."""
        return tuple(
            replace(change, hunks=kept)
            for change in self._review.changes()
            if (kept := tuple(hunk for hunk in change.hunks if hunk.decision == "kept"))
        )

    def last_message(self) -> str:
        """See Desk."""
        return Git(self._root).last_message

    def commit(self, message: str, *, sign_off: bool = False, amend: bool = False) -> str:
        """See Desk."""
        return self._review.commit(message, sign_off=sign_off, amend=amend)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
