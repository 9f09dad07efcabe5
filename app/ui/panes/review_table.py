"""What lies on the review's table: a desk's changes, read and decided in threads, shown and counted."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from app.errors import TidegateError
from app.review.desks.desk import Desk
from app.review.model import Comment, FileChange
from app.review.port import ReviewPort
from app.ui.base import ActionApp
from app.ui.diff.view import DiffView

# Suggests a commit message for these changes; None where there is no model to ask.
Suggest = Callable[[Sequence[FileChange]], Awaitable[str]]


class ReviewTable(Vertical):
    """The diff view and the one way to it: what touches the disk runs in a thread, one thing at a time."""

    class Counted(Message, namespace="review_pane"):
        """How much is decided of what lies on the desk."""

        def __init__(self, decided: int, total: int) -> None:
            super().__init__()
            self.decided = decided
            self.total = total

    class OpenWanted(Message, namespace="review_pane"):
        """The user wants to see a file at a line."""

        def __init__(self, path: str, line: int) -> None:
            super().__init__()
            self.path = path
            self.line = line

    class RewindWanted(Message, namespace="review_pane"):
        """The user wants to go back to before a turn."""

    class DiskChanged(Message, namespace="review_pane"):
        """A decision or a commit changed files or git's state."""

    def __init__(
        self,
        review: ReviewPort,
        desks: Sequence[Desk],
        root: Path,
        *,
        suggest: Suggest | None = None,
        first: Sequence[FileChange] | None = None,
        id: str | None = None,
    ) -> None:
        """`desks` are what can be reviewed, the first of them now; `first` are its changes where they are known
        already. Paths are relative to `root`."""
        super().__init__(id=id)
        self.port = review
        self._desks = desks
        self._root = root
        self._suggest = suggest
        self._first = first
        self._turnstile = asyncio.Lock()
        self._gone = 0  # decided hunks that are no longer among the changes
        self.desk = desks[0]
        self.view = DiffView(id="diff-view")
        self._nothing = Static(id="review-nothing", markup=False)
        self._has_decided = False  # and so there is something to take back
        self.decided = 0
        self.total = 0

    def compose(self) -> ComposeResult:
        yield self._nothing
        yield self.view

    def on_mount(self) -> None:
        if self._first is None:
            self.view.display = False
            self.reload()
        else:
            self._show(self._first, ())
            # The log, with what was said about these changes, is opened when they are on the screen: the first
            # refresh gives the view its size, the second draws it.
            self.call_after_refresh(self.call_after_refresh, self.reload)

    @property
    def pending(self) -> int:
        """Hunks that wait for a decision."""
        return self.total - self.decided

    @property
    def hint_names(self) -> Mapping[str, str]:
        """What the hints of this desk's actions are called; "" for those that there are not."""
        words = self.desk.words
        names = {"review.keep": words.take, "review.reject": words.drop}
        # What can only be taken is there to be read.
        return names if words.drop else names | {"review.edit": "", "review.commit": ""}

    @property
    def summary(self) -> str:
        """How far the review is, and what of it is not shown."""
        parts = [f"{self.decided} of {self.total} decided"] if self.total else []
        return " · ".join([*parts, *(["white space ignored"] if self.view.ignores_space else [])])

    def reload(self) -> None:
        """Show what the log and the disk say now."""
        self.run_worker(self._do(None), group="review")

    async def _do(
        self, work: Callable[[], str | None] | None, go_to: str | None = None, *, goes_along: bool = False
    ) -> bool:
        """Run the decision `work` in a thread and show what came of it: the hunk `go_to`, or with `goes_along`
        the first that is another than before. False if review refused."""
        refused = False
        async with self._turnstile:
            desk = self.desk
            try:
                if work is not None:
                    said = await asyncio.to_thread(work)
                    if said:
                        self.app.notify(said, timeout=4)
            except TidegateError as error:
                self.app.notify(str(error), severity="error", timeout=8)
                refused = True
            if refused and not desk.misfits():
                return False
            try:
                known, self._first = self._first, None
                changes = known if known is not None else await asyncio.to_thread(desk.changes)
                comments = await asyncio.to_thread(self.port.comments)
            except TidegateError as error:
                self.app.notify(str(error), severity="error", timeout=8)
                return False
        if not self.is_attached:
            return False
        if desk is self.desk:
            if goes_along:
                go_to = self._first_new(changes)
            self._show(changes, comments, None if refused else go_to, has_decided=work is not None)
        if work is not None:
            self.post_message(self.DiskChanged())
        return not refused

    def _first_new(self, changes: Sequence[FileChange]) -> str | None:
        """The first hunk that is not among what is shown, or is decided otherwise there."""
        known = set(self.view.hunk_ids())
        ids = ((hunk.id, hunk.decision == "pending") for change in changes for hunk in change.hunks)
        return next((one[0] for one in ids if one not in known), None)

    def _show(
        self,
        changes: Sequence[FileChange],
        comments: Sequence[Comment],
        go_to: str | None = None,
        *,
        has_decided: bool = False,
    ) -> None:
        view = self.view
        self._has_decided = has_decided or (self._has_decided and not changes)
        had_focus = view.has_focus or self.has_focus
        view.words = self.desk.words
        here = [comment for comment in comments if comment.source == self.desk.source]
        view.set_changes(changes, here, self.desk.misfits())
        view.display = bool(changes)
        self._nothing.display = not changes
        if not changes:
            self._nothing.update(self._why_nothing())
        # With nothing left to look at, the keys that undo, commit and change the subject still work.
        self.can_focus = not changes
        if had_focus:
            (view if changes else self).focus()
        if go_to is not None:
            view.go_to_hunk(go_to)
        hunks = view.hunk_ids()
        if has_decided:
            self._gone = max(0, self.total - len(hunks))
        if not hunks:
            self._gone = 0
        self.total = len(hunks) + self._gone
        self.decided = self.total - sum(is_pending for _, is_pending in hunks)
        self.post_message(self.Counted(self.decided, self.total))

    def _why_nothing(self) -> str:
        app = self.app
        assert isinstance(app, ActionApp)
        said = f"Nothing to review in {self.desk.title}."
        if self._has_decided:
            return f"{said}\n\n{app.key_of('review.undo')} takes the last decision back."
        return f"{said}\n\nWhat changes appears here, hunk by hunk."

    def _run(
        self, work: Callable[[], str | None], go_to: str | None = None, *, goes_along: bool = False
    ) -> None:
        self.run_worker(self._do(work, go_to, goes_along=goes_along), group="review")
