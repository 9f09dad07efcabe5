"""The keys of the review that change how one looks at it, and nothing else."""

from collections.abc import Sequence

from textual.containers import Vertical

from app.review.desks.desk import Desk
from app.review.model import FileChange
from app.ui.diff.view import DiffView


class LookingKeys(Vertical):
    """A part of the review's pane, which has the rest."""

    view: DiffView

    @property
    def desk(self) -> Desk:
        """What is reviewed now."""
        raise NotImplementedError

    def look_for_meaning(self, changes: Sequence[FileChange]) -> None:
        """Have what moved in `changes`, and what is only reformatted, be found and shown."""
        self.run_worker(self._find_meaning(changes), group="meaning", exclusive=True)

    async def _find_meaning(self, changes: Sequence[FileChange]) -> None:
        from app.ui.panes.review.looking.meaning import find_moves, find_notes  # noqa: PLC0415  as above

        meaning = self.view.model.meaning
        if changes and meaning.lacks_moves and meaning.shows_moves:
            await find_moves(self.view, changes)
        if changes and meaning.lacks_notes and meaning.folds_notes:
            self.app.notify("Reading the files for what is only reformatted…", timeout=2)
            if not await find_notes(self.view, self.desk, changes):
                self.app.notify("These are too many files to read for that.", severity="warning", timeout=5)

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
        self.look_for_meaning(self.view.model.changes)
