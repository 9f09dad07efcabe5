"""The keys of the review that change how one looks at it, and nothing else."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from textual.containers import Vertical

from app.errors import TidegateError
from app.review.desks.desk import Desk, HunkPart, Seen
from app.review.model import FileChange
from app.review.port import ReviewPort
from app.ui.background import begin_again
from app.ui.base import ActionApp
from app.ui.diff.view import DiffView
from app.ui.panes.review.desk_work import Decision


class LookingKeys(Vertical):
    """A part of the review's pane, which has the rest."""

    view: DiffView

    @property
    def desk(self) -> Desk:
        """What is reviewed now."""
        raise NotImplementedError

    @property
    def port(self) -> ReviewPort:
        """The review's log."""
        raise NotImplementedError

    def put_desk(self, desk: Desk) -> None:
        """Review `desk` in the place of what is reviewed now."""
        raise NotImplementedError

    def run_decision(self, decision: Decision, go_to: str | None = None) -> None:
        """Take a decision, and go to the hunk `go_to`."""
        raise NotImplementedError

    # How lines are laid out.

    def action_fold(self) -> None:
        self.view.fold()

    def action_switch_layout(self) -> None:
        self.view.switch_arrangement()
        if self.view.model.lacks_columns:
            self.app.notify("Side by side needs a wider view: until then it is unified.", timeout=4)

    def action_wrap(self) -> None:
        self.view.switch_wrap()

    # Comments for other programs.

    def action_export(self) -> None:
        begin_again(self, "export", self._export)

    async def _export(self) -> None:
        from app.ui.panes.review.looking import export  # noqa: PLC0415  the first frame does without it

        app = self.app
        assert isinstance(app, ActionApp)
        await export.choose(app, self.desk, self.port, self.run_worker)

    # What was seen.

    def action_see(self) -> None:
        view, desk = self.view, self.desk
        change, hunk, place = view.current_change, view.current_hunk, view.model.row(view.cursor_row)
        if change is None or hunk is None or place is None:
            return
        hunks = [hunk] if place.hunk >= 0 else change.hunks
        seen = view.model.seen
        are_seen = all(one.id in seen and seen[one.id].is_whole for one in hunks)
        parts = [HunkPart(change, one) for one in hunks]

        def see() -> None:
            desk.see(parts, is_seen=not are_seen)

        following = next_open(view.model.changes, seen, {one.id for one in hunks}) if not are_seen else None
        self.run_decision(see, following)

    # Commit by commit.

    def action_next_commit(self) -> None:
        begin_again(self, "commits", self._step_commit, 1)

    def action_prior_commit(self) -> None:
        begin_again(self, "commits", self._step_commit, -1)

    async def _step_commit(self, step: int) -> None:
        desk = self.desk
        try:
            found = await asyncio.to_thread(desk.step, step)
        except TidegateError as error:
            self.app.notify(str(error), severity="warning", timeout=5)
            return
        if self.desk is desk:
            self.put_desk(found)

    # What changes mean.

    def look_for_meaning(self, changes: Sequence[FileChange], *, is_wished: bool = False) -> None:
        """Have what moved in `changes`, and what is only reformatted, be found and shown; `is_wished`: the user
        wants to hear of it where there is nothing to fold."""
        begin_again(self, "meaning", self._find_meaning, changes, is_wished)

    async def _find_meaning(self, changes: Sequence[FileChange], is_wished: bool) -> None:
        from app.ui.panes.review.looking.meaning import find_moves, find_notes  # noqa: PLC0415  as above

        meaning = self.view.model.meaning
        if changes and meaning.lacks_moves and meaning.shows_moves:
            await find_moves(self.view, changes)
        if changes and meaning.lacks_notes and meaning.folds_notes:
            self.app.notify("Reading the files for what is only reformatted…", timeout=2)
            if not await find_notes(self.view, self.desk, changes):
                self.app.notify("These are too many files to read for that.", severity="warning", timeout=5)
                return
        if is_wished and meaning.folds_notes and not meaning.notes:
            self.app.notify("Nothing here is only reformatted or renamed.", timeout=3)

    def action_switch_moves(self) -> None:
        view = self.view
        view.model.switch_moves()
        view.refresh()
        self.look_for_meaning(view.model.changes)
        moves = view.model.meaning.moves
        if not view.model.meaning.shows_moves:
            self.app.notify("Moved code is drawn like any other.", timeout=3)
        elif moves is not None and moves.is_partial:
            self.app.notify("This diff is too large to look for moved code.", severity="warning", timeout=5)
        elif moves is not None and not moves.lines:
            self.app.notify("Nothing moved here.", timeout=3)

    def action_switch_structure(self) -> None:
        self.view.switch_notes()
        self.look_for_meaning(self.view.model.changes, is_wished=True)


def next_open(
    changes: Sequence[FileChange], seen: Mapping[str, Seen], just_seen: Collection[str]
) -> str | None:
    """The first hunk that is neither seen nor decided behind those just seen; None without one."""
    names = [hunk.id for change in changes for hunk in change.hunks]
    last = max((number for number, name in enumerate(names) if name in just_seen), default=-1)
    is_open = {
        hunk.id: hunk.decision == "pending" and not (hunk.id in seen and seen[hunk.id].is_whole)
        for change in changes
        for hunk in change.hunks
    }
    return next((name for name in names[last + 1 :] if is_open[name]), None)
