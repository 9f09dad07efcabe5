"""What a diff view shows of what changes mean: which lines moved, and which runs of lines fold to a note."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from app.review.model import FileChange
from app.ui.diff.model.labels import Label, Labels

if TYPE_CHECKING:
    from app.review.diff.meaning.moves import MovedBlock, MovedLine, Moves
    from app.review.diff.meaning.notes import Note


class Meaning:
    """Both can be switched. What was found is known by hunk id, which says what a hunk changes: it is shown on
    until it is found anew for other hunks."""

    def __init__(self, labels: Labels) -> None:
        self.shows_moves = True
        self.folds_notes = False
        self.moves: Moves | None = None
        self.notes: Mapping[str, tuple[Note, ...]] | None = None
        self.whole: Mapping[str, str] = {}
        """By hunk id: what hunks come to of which nothing more is to be said."""
        self.lacks_moves = self.lacks_notes = True
        """Whether they were not found yet for the hunks that there are now."""
        self._labels = labels
        self._paths: Mapping[str, str] = {}

    def set_changes(self, changes: Sequence[FileChange]) -> None:
        """These are the changes now."""
        paths = {hunk.id: change.path for change in changes for hunk in change.hunks}
        if paths != self._paths:
            self._paths = paths
            self.lacks_moves = self.lacks_notes = True

    def know_moves(self, moves: "Moves") -> None:
        """What moved within the changes."""
        self.moves, self.lacks_moves = moves, False
        self._label()

    def know_notes(self, changes: Sequence[FileChange], notes: Mapping[str, "tuple[Note, ...]"]) -> None:
        """What runs of changed lines come to."""
        from app.review.diff.meaning.notes import whole_note  # noqa: PLC0415  loads the grammars' library

        self.notes, self.lacks_notes = notes, False
        hunks = [hunk for change in changes for hunk in change.hunks if hunk.id in notes]
        found = {hunk.id: whole_note(hunk, notes[hunk.id]) for hunk in hunks}
        self.whole = {name: text for name, text in found.items() if text}
        self._label()

    def switch_moves(self) -> None:
        """Draw what moved as moved, or as any other line."""
        self.shows_moves = not self.shows_moves
        self._label()

    def switch_notes(self) -> None:
        """Fold runs of lines to what they come to, or show them."""
        self.folds_notes = not self.folds_notes
        self._label()

    def folds(self, hunk_id: str) -> bool:
        """Whether a hunk is folded to its heading for what it comes to."""
        return self.folds_notes and hunk_id in self.whole

    def runs(self) -> Mapping[str, "tuple[Note, ...]"]:
        """By hunk id the runs of lines that fold, of hunks that do not fold as a whole."""
        if not self.folds_notes or self.notes is None:
            return {}
        return {name: notes for name, notes in self.notes.items() if name not in self.whole}

    def line(self, hunk_id: str, index: int) -> "MovedLine | None":
        """The other end of a line that is drawn as moved."""
        if not self.shows_moves or self.moves is None:
            return None
        return self.moves.lines.get(hunk_id, {}).get(index)

    def _label(self) -> None:
        whole = self.whole if self.folds_notes else {}
        self._labels.put("structure", {name: Label(text, "accent") for name, text in whole.items()})
        moved: dict[str, Label] = {}
        if self.shows_moves and self.moves is not None:
            for name in {*self.moves.came, *self.moves.left}:
                came, left = self.moves.came.get(name, ()), self.moves.left.get(name, ())
                words = [
                    f"moved {way} {self._place(name, blocks)}"
                    for way, blocks in (("from", came), ("to", left))
                    if blocks
                ]
                moved[name] = Label(" · ".join(words), "accent")
        self._labels.put("moved", moved)

    def _place(self, hunk_id: str, blocks: "Sequence[MovedBlock]") -> str:
        first = max(blocks, key=lambda block: block.lines)
        is_here = first.path == self._paths.get(hunk_id)
        place = f"line {first.number}" if is_here else f"{first.path}:{first.number}"
        return f"{place} and {len(blocks) - 1} more" if len(blocks) > 1 else place
