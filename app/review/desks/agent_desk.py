"""Review of the agent's work."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from typing_extensions import override

from app.git.git import Git
from app.review.desks.desk import Desk, HunkPart, Words, file_lines
from app.review.diff.misfit import Misfit
from app.review.diff.splice import new_side, splice
from app.review.disk import WorkTree
from app.review.model import FileChange, Hunk
from app.review.needed.subsets import Subsets
from app.review.port import ReviewPort


class AgentDesk(Desk):
    """What the agent changed; a Desk."""

    title = "the agent's changes"
    source = ""
    words = Words("keep", "kept", "reject", "rejected")

    def __init__(self, review: ReviewPort, root: Path) -> None:
        self._review = review
        self._root = root

    @override
    def changes(self) -> tuple[FileChange, ...]:
        return self._review.changes_and_traces()

    @override
    def bring_back(self, change: FileChange, hunk: Hunk) -> str:
        self._review.bring_back(frozenset({hunk.id}))
        return ""

    @override
    def take(self, parts: Sequence[HunkPart]) -> str:
        self._review.keep_selected({part.hunk.id: part.lines for part in parts})
        return ""

    @override
    def drop(self, parts: Sequence[HunkPart]) -> str:
        return self._review.reject_selected({part.hunk.id: part.lines for part in parts})

    @override
    def subsets(self) -> Subsets:
        return self._review.subsets()

    @override
    def undo(self) -> str:
        return self._review.undo()

    @override
    def redo(self) -> str:
        return self._review.redo()

    @override
    def lines(self, change: FileChange) -> Sequence[str]:
        return file_lines(_read(self._root / change.path))

    @override
    def misfits(self) -> Mapping[str, Misfit]:
        return {}

    @override
    def text_of(self, change: FileChange, hunk: Hunk) -> str:
        return new_side(change, hunk)

    @override
    def edit(self, change: FileChange, hunk: Hunk, text: str) -> str:
        """It is the user's own edit then."""
        with self._review.users_own(change.path):
            splice(WorkTree(self._root), change, hunk, text)
        return ""

    @override
    def users_own(self, change: FileChange) -> AbstractContextManager[None]:
        return self._review.users_own(change.path)

    @property
    @override
    def can_commit(self) -> bool:
        return Git(self._root).is_repository

    @override
    def put_away(self) -> str:
        return self._review.put_away()

    @override
    def to_commit(self) -> tuple[FileChange, ...]:
        return tuple(
            replace(change, hunks=kept)
            for change in self._review.changes()
            if (kept := tuple(hunk for hunk in change.hunks if hunk.decision == "kept"))
        )

    @override
    def last_message(self) -> str:
        return Git(self._root).last_message

    @override
    def commit(self, message: str, *, sign_off: bool = False, amend: bool = False) -> str:
        return self._review.commit(message, sign_off=sign_off, amend=amend)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
