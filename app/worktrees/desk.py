"""Bringing an agent's changes over from its worktree, hunk by hunk."""

from collections.abc import Sequence

from typing_extensions import override

from app.review.desks.desk import HunkPart, Words
from app.review.desks.source_desk import SourceDesk, Step, by_change, count_of
from app.review.desks.sources import Source, Sources
from app.review.diff.parse import parse_diff
from app.review.diff.patch import build_patch
from app.review.errors import ReviewError
from app.review.model import FileChange, Hunk
from app.review.port import ReviewPort
from app.worktrees.worktrees import Worktree, Worktrees


class WorktreeDesk(SourceDesk):
    """What an agent changed in its worktree and the user has not brought over. What is brought over is applied
    to the user's work tree, as one decision of the review's log; the worktree stays as it is."""

    def __init__(self, worktree: Worktree, worktrees: Worktrees, sources: Sources, review: ReviewPort) -> None:
        super().__init__(Source("patch", f"the agent {worktree.name}"), sources, review)
        self.worktree = worktree
        self._worktrees = worktrees
        self.words = Words("bring over", "brought over", "skip", "skipped")

    @property
    @override
    def is_still(self) -> bool:
        return False

    @override
    def look(self) -> tuple[FileChange, ...]:
        return parse_diff(self._worktrees.patch(self.worktree))

    @override
    def take(self, parts: Sequence[HunkPart]) -> str:
        patches = [build_patch(change, selection) for change, selection in by_change(parts)]
        said = self.apply(parts)
        worktree, worktrees = self.worktree, self._worktrees
        before = worktrees.brought(worktree)
        worktrees.bring(worktree, patches)
        after = worktrees.brought(worktree)

        def back() -> None:
            self._review.undo()
            worktrees.set_brought(worktree, before)

        def again() -> None:
            self._review.redo()
            worktrees.set_brought(worktree, after)

        self.did(Step(f"Brought over {count_of(parts)}", back, again))
        return said

    @override
    def text_of(self, change: FileChange, hunk: Hunk) -> str:
        raise ReviewError("This is the agent's file", "bring the hunk over, then edit it here")
