"""What the review's keys do with the agent's help; each part is imported when it is first wanted."""

# ruff: noqa: PLC0415  the first frame does without them
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.review.model import FileChange, TurnSummary
from app.ui.panes.review.context import ReviewContext

if TYPE_CHECKING:
    from app.ui.panes.review.hunks.asking import Asking
    from app.ui.panes.review.hunks.doubt import Doubting
    from app.ui.panes.review.hunks.takes import Retaking


class HunkTools:
    """Questions, other takes and doubt for the hunks of one review. Paths are relative to `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._asking: Asking | None = None
        self._doubting: Doubting | None = None
        self._retaking: Retaking | None = None

    def ask(self, about: ReviewContext) -> None:
        """Ask about the cursor's line or hunk."""
        from app.ui.panes.review.hunks.asking import Asking

        self._asking = self._asking or Asking()
        self._asking.ask(about)

    def retake(self, about: ReviewContext) -> None:
        """Have the cursor's hunk written again, or on a file's heading the file."""
        self._retakes().here(about)

    def retake_turn(self, about: ReviewContext, turn: TurnSummary) -> None:
        """Have all that a turn wrote written again."""
        self._retakes().turn(about, turn)

    def _retakes(self) -> "Retaking":
        from app.ui.panes.review.hunks.takes import Retaking

        self._retaking = self._retaking or Retaking()
        return self._retaking

    async def find_doubt(self, about: ReviewContext, changes: Sequence[FileChange]) -> None:
        """Look for the doubtful lines of `changes`, which are shown."""
        from app.ui.panes.review.hunks.doubt import Doubting

        self._doubting = self._doubting or Doubting(about.view, about.work, self._root)
        await self._doubting.find(changes)

    def switch_doubt(self, about: ReviewContext) -> None:
        """Tint doubtful lines and go by doubt, or not."""
        if self._doubting is not None:
            about.app.notify(self._doubting.switch(), timeout=4)

    def step(self, about: ReviewContext, step: int) -> bool:
        """Go to the next line by doubt. False where the user does not go by doubt."""
        if self._doubting is None or not self._doubting.is_on:
            return False
        if not self._doubting.step(step):
            about.app.notify("There is no other doubtful line that way.", timeout=3)
        return True
