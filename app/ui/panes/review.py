"""What the agent changed, and what becomes of it."""

import asyncio
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Static

from app.review.errors import ReviewError
from app.review.port import ReviewPort
from app.ui.actions import bindings
from app.ui.screens.commit import CommitDialog
from app.ui.widgets.diff_view import DiffView

_NOTHING = "[dim]Nothing to review.\n\nWhat the agent changes appears here, hunk by hunk.[/]"


class ReviewPane(Vertical):
    """The diff view and the decisions. Everything that touches the disk runs in a thread, one at a time."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("review"))

    class Counted(Message):
        """How much is decided."""

        def __init__(self, decided: int, total: int) -> None:
            super().__init__()
            self.decided = decided
            self.total = total

    class OpenWanted(Message):
        """The user wants to see a file at a line."""

        def __init__(self, path: str, line: int) -> None:
            super().__init__()
            self.path = path
            self.line = line

    class DiskChanged(Message):
        """A decision or a commit changed files or git's state."""

    def __init__(self, review: ReviewPort, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._review = review
        self._turnstile = asyncio.Lock()
        # Kept here because a thread may end when the pane is already empty.
        self.view = DiffView(id="diff-view")
        self._nothing = Static(_NOTHING, id="review-nothing")
        self._rejected = 0  # what is rejected is no longer among the changes
        self.decided = 0
        self.total = 0

    def compose(self) -> ComposeResult:
        yield self._nothing
        yield self.view

    def on_mount(self) -> None:
        self.view.display = False
        self.reload()

    @property
    def pending(self) -> int:
        """Hunks that wait for a decision."""
        return self.total - self.decided

    def reload(self) -> None:
        """Show what the log and the disk say now."""
        self.run_worker(self._do(None), group="review")

    async def _do(self, work: Callable[[], str | None] | None, go_to: str | None = None) -> bool:
        """Run the decision `work` in a thread and show what came of it. False if review refused."""
        async with self._turnstile:
            try:
                if work is not None:
                    said = await asyncio.to_thread(work)
                    if said:
                        self.app.notify(said, timeout=4)
                changes = await asyncio.to_thread(self._review.changes)
            except ReviewError as error:
                self.app.notify(str(error), severity="error", timeout=8)
                return False
        had_focus = self.view.has_focus
        self.view.set_changes(changes)
        self.view.display = bool(changes)
        self._nothing.display = not changes
        if changes and had_focus:
            self.view.focus()
        if go_to is not None:
            self.view.go_to_hunk(go_to)
        hunks = self.view.hunk_ids()
        if work is not None:
            self._rejected = max(0, self.total - len(hunks))
        pending = sum(is_pending for _, is_pending in hunks)
        if not hunks:
            self._rejected = 0
        self.total = len(hunks) + self._rejected
        self.decided = self.total - pending
        self.post_message(self.Counted(self.decided, self.total))
        if work is not None:
            self.post_message(self.DiskChanged())
        return True

    def _run(self, work: Callable[[], str | None], go_to: str | None = None) -> None:
        self.run_worker(self._do(work, go_to), group="review")

    def _decide(self, decide: Callable[[frozenset[str]], str | None], ids: frozenset[str]) -> None:
        if not ids:
            self.app.notify("Nothing is left to decide here.", timeout=3)
            return
        self._run(lambda: decide(ids), self.view.next_pending(ids))

    def _hunk_here(self) -> frozenset[str]:
        hunk = self.view.current_hunk
        return frozenset({hunk.id}) if hunk is not None and hunk.decision == "pending" else frozenset()

    def _open_hunks_of_file(self) -> frozenset[str]:
        change = self.view.current_change
        hunks = change.hunks if change is not None else ()
        return frozenset(hunk.id for hunk in hunks if hunk.decision == "pending")

    def action_keep(self) -> None:
        self._decide(self._review.keep, self._hunk_here())

    def action_reject(self) -> None:
        self._decide(self._review.reject, self._hunk_here())

    def action_keep_file(self) -> None:
        self._decide(self._review.keep, self._open_hunks_of_file())

    def action_reject_file(self) -> None:
        self._decide(self._review.reject, self._open_hunks_of_file())

    def action_undo(self) -> None:
        self._run(lambda: self._review.undo() or "There is no decision to take back.")

    def action_redo(self) -> None:
        self._run(lambda: self._review.redo() or "Nothing was undone that could be done again.")

    def action_commit(self) -> None:
        kept = sum(hunk.decision == "kept" for change in self.view.changes for hunk in change.hunks)
        if not kept:
            self.app.notify("Nothing is kept yet, and only what is kept is committed.", severity="warning")
            return
        files = sum(any(hunk.decision == "kept" for hunk in change.hunks) for change in self.view.changes)
        self.app.push_screen(CommitDialog(self._commit, kept=kept, files=files, pending=self.pending))

    async def _commit(self, message: str) -> str:
        async with self._turnstile:
            said = await asyncio.to_thread(self._review.commit, message)
            self._rejected = 0
        await self._do(None)
        self.post_message(self.DiskChanged())
        return said

    def action_open(self) -> None:
        change = self.view.current_change
        if change is not None:
            self.post_message(self.OpenWanted(change.path, self.view.current_line))

    def action_next_hunk(self) -> None:
        self.view.step_hunk(1)

    def action_previous_hunk(self) -> None:
        self.view.step_hunk(-1)

    def action_next_file(self) -> None:
        self.view.step_file(1)

    def action_previous_file(self) -> None:
        self.view.step_file(-1)

    def action_fold(self) -> None:
        self.view.fold()

    def action_switch_layout(self) -> None:
        self.view.switch_arrangement()

    def action_reload(self) -> None:
        self.reload()
