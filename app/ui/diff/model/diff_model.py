"""The state of a diff view: its changes, their rows, and what is folded, wrapped and searched for.

It knows neither the screen nor the cursor: methods that depend on where the cursor is are given its row.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import cell_len
from rich.style import Style

from app.review.desks.desk import Seen, Words
from app.review.diff.misfit import Misfit
from app.review.model import DiffLine, FileChange, Hunk, Remark
from app.ui.diff.model.labels import Label, Labels
from app.ui.diff.model.layout import DiffLayout
from app.ui.diff.model.meaning import Meaning
from app.ui.diff.model.remarks import RemarkKey, done_labels, key_of, remark_rows
from app.ui.diff.model.rows import HunkShape, RemarkRow, Row, Shapes
from app.ui.diff.model.search import lines_with
from app.ui.diff.model.surroundings import Surroundings
from app.ui.diff.model.texts import RowTexts
from app.ui.drawing.text import matches, visible

Arrangement = Literal["auto", "unified", "split"]

_LEAST_COLUMN = 40  # cells for the code of either side
_LEAST_REMARK = 8  # cells that a row of a remark has, however narrow the view is
_SPLIT_FROM = 130  # cells of width from which on two columns of code are comfortable


@dataclass(frozen=True, slots=True)
class Match:
    """Where a match is: its row, and the cells [left, right) of the row's text."""

    row: int
    left: int
    right: int


class DiffModel:
    """The hunks of any number of files. After each change of what is shown, `arrange` makes the rows anew."""

    def __init__(self) -> None:
        self.changes: Sequence[FileChange] = ()
        self.remarks: Sequence[Remark] = ()
        self.misfits: Mapping[str, Misfit] = {}  # by hunk id
        self.words = Words("keep", "kept", "reject", "rejected")
        self.labels = Labels()
        self.meaning = Meaning(self.labels)
        self.doubtful: Mapping[str, frozenset[int]] = {}  # by hunk id, indices of lines to be tinted
        self.seen: Mapping[str, Seen] = {}  # by hunk id
        self.around = Surroundings()
        self.arrangement: Arrangement = "auto"
        self.wrap = False
        self.ignores_space = False
        self.query_text = ""
        self.folded: set[str] = set()  # ids of undecided hunks, and paths
        self.space_only: frozenset[str] = frozenset()  # ids of hunks hidden because only white space changed
        self._folded_remarks: set[RemarkKey] = set()
        self._opened: set[str] = set()  # ids of hunks that would be folded, but were unfolded by the user
        # What `arrange` computes.
        self.split = False
        self.width = 0
        self.number_width = 3
        self.gutter_width = 0
        self._lay_out(Shapes())

    # What is shown.

    def set_changes(
        self,
        changes: Sequence[FileChange],
        remarks: Sequence[Remark],
        misfits: Mapping[str, Misfit],
        seen: Mapping[str, Seen] | None = None,
    ) -> None:
        """Show `changes`. Lines of the files around them are forgotten if they are other changes."""
        if self.changes != changes:
            self.around.clear()
        self.meaning.set_changes(changes)
        self._set_seen(changes, seen or {})
        self.changes, self.remarks, self.misfits = changes, remarks, dict(misfits)
        self.labels.put("done", done_labels(changes, remarks))
        highest = max(
            (
                max(hunk.before_start + hunk.before_count, hunk.after_start + hunk.after_count)
                for change in changes
                for hunk in change.hunks
            ),
            default=0,
        )
        self.number_width = max(3, len(str(highest)))
        self._find_space_only()

    def _set_seen(self, changes: Sequence[FileChange], seen: Mapping[str, Seen]) -> None:
        self.seen = seen
        labels = {
            hunk.id: Label("seen" if of.is_whole else f"{len(of.runs)} of {of.total} places seen", "success")
            for change in changes
            for hunk in change.hunks
            if (of := seen.get(hunk.id)) is not None and hunk.decision == "pending"
        }
        self.labels.put("seen", labels)

    def is_seen(self, hunk_id: str, index: int) -> bool:
        """Whether a line was seen in a hunk of which not all was."""
        of = self.seen.get(hunk_id)
        return of is not None and not of.is_whole and any(start <= index < end for start, end in of.runs)

    def arrange(self, width: int) -> None:
        """Lay the rows out for a view of `width` cells. Decided hunks are folded unless the user opens them."""
        folded = self.folded | {
            hunk.id
            for change in self.changes
            for hunk in change.hunks
            if (hunk.decision != "pending" or self._is_hidden(hunk)) and hunk.id not in self._opened
        }
        self.width = width
        self.split = self._wants_split and self._has_columns
        self.gutter_width = self._split_gutter if self.split else 1 + 2 * self.number_width + 4
        remarks = remark_rows(
            self.changes,
            self.remarks,
            self.misfits,
            room=max(_LEAST_REMARK, width - self.gutter_width - 1),
            folded=self._folded_remarks,
        )
        runs = {name: notes for name, notes in self.meaning.runs().items() if name not in self._opened}
        shapes = {
            name: HunkShape(*self.around.of(name), remarks=remarks.get(name, ()), runs=runs.get(name, ()))
            for name in {*self.around, *remarks, *runs}
        }
        self._lay_out(Shapes(frozenset(folded), shapes))

    @property
    def _wants_split(self) -> bool:
        return self.arrangement == "split" or (self.arrangement == "auto" and self.width >= _SPLIT_FROM)

    @property
    def _split_gutter(self) -> int:
        return 1 + self.number_width + 3

    @property
    def _has_columns(self) -> bool:
        return (self.width - 1) // 2 - self._split_gutter >= _LEAST_COLUMN

    @property
    def lacks_columns(self) -> bool:
        """Whether it would be side by side, if the view were not too narrow."""
        return self._wants_split and not self._has_columns

    def _lay_out(self, shapes: Shapes) -> None:
        self.texts = RowTexts(
            self.changes,
            self.around,
            split=self.split,
            width=self.width,
            gutter_width=self.gutter_width,
        )
        wrapping = self.texts if self.wrap and self.width else None
        self.rows = DiffLayout(self.changes, shapes, split=self.split, wrapping=wrapping)

    def scroll_width(self, widest: int) -> int:
        """The cells over which the view scrolls sideways where the longest line has `widest` cells. Side by
        side, both columns scroll together."""
        if self.wrap:
            return self.width
        side = (self.width - 1) // 2 if self.split else self.width
        return self.width + max(0, widest + 1 - (side - self.gutter_width))

    def switch_arrangement(self) -> None:
        """Side by side if it was unified, and the other way round."""
        self.arrangement = "unified" if self._wants_split else "split"

    def switch_space(self) -> None:
        """Hide changes of nothing but white space, or show them again."""
        self.ignores_space = not self.ignores_space
        self._find_space_only()

    def _find_space_only(self) -> None:
        self.space_only = frozenset(
            hunk.id
            for change in self.changes
            for hunk in change.hunks
            if self.ignores_space and hunk.lines and _is_space_only(hunk)
        )
        self.labels.put("space", dict.fromkeys(self.space_only, Label("white space only")))

    def switch_moves(self) -> None:
        """Draw what moved as moved, or as any other line."""
        self.meaning.switch_moves()

    def switch_notes(self) -> None:
        """Fold what is only reformatted or renamed, or show it."""
        self.meaning.switch_notes()
        self._opened.clear()

    def _is_hidden(self, hunk: Hunk) -> bool:
        """Whether the user does not want to see what an undecided hunk changes."""
        seen = self.seen.get(hunk.id)
        return hunk.id in self.space_only or self.meaning.folds(hunk.id) or (seen is not None and seen.is_whole)

    def fold(self, row: int) -> None:
        """Fold or unfold the hunk that `row` belongs to; the file, if it is a file's heading; a remark of
        several rows, if it is one of these."""
        place, change = self.row(row), self.change_at(row)
        if place is None or change is None:
            return
        said = self._remark_row(row)
        if said is not None and said.remark is not None and (said.hidden or self._has_more(place, said.remark)):
            self._folded_remarks ^= {key_of(said.remark)}
            return
        if place.hunk < 0:
            self.folded ^= {change.path}
            return
        hunk = change.hunks[place.hunk]
        if hunk.decision == "pending" and not self._is_hidden(hunk) and place.kind != "run":
            self.folded ^= {hunk.id}
        else:
            self._opened ^= {hunk.id}

    def unfold(self, file: int, hunk: int) -> None:
        """Unfold a hunk and its file, by their indices."""
        change = self.changes[file]
        self.folded -= {change.path, change.hunks[hunk].id}
        self._opened.add(change.hunks[hunk].id)

    # What is at a row.

    def row(self, row: int) -> Row | None:
        """What `row` shows; None if there are no rows."""
        return self.rows.row(row) if self.rows.row_count else None

    def hunk_of(self, place: Row) -> Hunk:
        """The hunk that a row belongs to."""
        return self.changes[place.file].hunks[place.hunk]

    def change_at(self, row: int) -> FileChange | None:
        """The file that `row` is in."""
        place = self.row(row)
        return self.changes[place.file] if place is not None else None

    def hunk_at(self, row: int) -> Hunk | None:
        """The hunk that a key decides with the cursor on `row`. On a file's heading it is the first undecided
        hunk, or the first if all are decided."""
        place = self.row(row)
        if place is None:
            return None
        hunks = self.changes[place.file].hunks
        if place.hunk >= 0:
            return hunks[place.hunk]
        return next((hunk for hunk in hunks if hunk.decision == "pending"), hunks[0] if hunks else None)

    def decides(self, cursor: int, place: Row) -> bool:
        """Whether a key decides the hunk of `place` with the cursor on row `cursor`."""
        here = self.row(cursor)
        if here is None or here.file != place.file:
            return False
        if here.hunk >= 0:
            return here.hunk == place.hunk
        hunks = self.changes[here.file].hunks
        return place.hunk == next((n for n, hunk in enumerate(hunks) if hunk.decision == "pending"), 0)

    def line_at(self, row: int) -> DiffLine | None:
        """The line of the diff in `row`; side by side the right one, if there is one."""
        place = self.row(row)
        if place is None or place.kind != "line":
            return None
        return self.hunk_of(place).lines[_index(place) or 0]

    def number_at(self, row: int) -> int:
        """The number, from 1, of the file's line in `row` or nearest to it, after the change."""
        place, hunk = self.row(row), self.hunk_at(row)
        if place is None or hunk is None:
            return 1
        if place.kind == "extra":
            return place.right or 1
        index = None if place.kind == "remark" else _index(place)
        for line in hunk.lines[index if index is not None else 0 :]:
            if line.after_number is not None and (index is not None or line.kind != "context"):
                return line.after_number
        return max(1, hunk.after_start)

    def remark_at(self, row: int) -> Remark | None:
        """What somebody said in `row`."""
        said = self._remark_row(row)
        return said.remark if said is not None else None

    def _remark_row(self, row: int) -> RemarkRow | None:
        place = self.row(row)
        if place is None or place.kind != "remark":
            return None
        return self.rows.shape(self.hunk_of(place)).remarks[place.left or 0]

    def _has_more(self, place: Row, remark: Remark) -> bool:
        """Whether a remark in the hunk of `place` has more than one row."""
        return sum(row.remark == remark for row in self.rows.shape(self.hunk_of(place)).remarks) > 1

    def text_at(self, row: int, *, is_left: bool) -> str:
        """The text that is copied from `row`, side by side from one side: code, or the path of a heading."""
        place = self.rows.row(row)
        if place.kind == "file":
            return self.changes[place.file].path
        if place.kind not in ("line", "extra"):
            return ""
        return self.texts.shown(place, is_left=is_left or not self.split, wrap=self.wrap)

    # Where something is.

    def row_of_file(self, path: str) -> int | None:
        """The row of a file's heading."""
        paths = [change.path for change in self.changes]
        return self.rows.file_rows[paths.index(path)] if path in paths else None

    def row_of_remark(self, remark: Remark) -> int | None:
        """The first row of a remark, whatever it says by now."""
        for row in self.rows.remark_rows:
            found = self.remark_at(row)
            if found is not None and key_of(found) == key_of(remark):
                return row
        return None

    def row_like(self, place: Row, hunk: Hunk) -> int | None:
        """The row that shows what `place`, a row in `hunk` or its file's heading, showed before `arrange`."""
        found = None
        if place.kind == "line":
            found = self.rows.row_of_line(place.file, place.hunk, _index(place) or 0)
        if found is None:
            found = self.rows.file_rows[place.file] if place.hunk < 0 else self.rows.row_of_hunk(hunk.id)
        return found

    def row_near(self, change: FileChange, hunk: Hunk | None, offset: int) -> int | None:
        """The row `offset` rows below the heading of `hunk`, which was shown before `set_changes`; the heading
        if that row is in no hunk.

        If the hunk is gone (an edited hunk is another one), the heading of the nearest hunk of its file; None
        if the file is gone too.
        """
        row = self.rows.row_of_hunk(hunk.id) if hunk is not None else None
        if row is not None:
            below = min(row + offset, self.rows.row_count - 1)
            return below if self.rows.row(below).hunk >= 0 else row
        paths = [item.path for item in self.changes]
        if change.path not in paths:
            return None
        file = paths.index(change.path)
        hunks = self.changes[file].hunks
        if hunk is None or not hunks:
            return self.rows.file_rows[file]
        start = hunk.after_start
        return self.rows.row_of_hunk(min(hunks, key=lambda one: abs(one.after_start - start)).id) or 0

    # Searching.

    def lines_with(
        self, text: str, row: int, *, backwards: bool, from_row: bool
    ) -> Iterator[tuple[int, int, int]]:
        """The indices of file, hunk and line of each match, in the order of the search from `row`."""
        place = self.row(row)
        if not text or place is None:
            return iter(())
        return lines_with(text, self.changes, place, backwards=backwards, from_row=from_row)

    def match_in(self, file: int, hunk: int, index: int) -> Match | None:
        """Where the first match in a line is; None if the line is folded."""
        row = self.rows.row_of_line(file, hunk, index)
        if row is None:
            return None
        place = self.rows.row(row)
        text = visible(self.hunk_of(place).lines[index].text)
        start, end, _ = next(iter(matches(text, self.query_text, Style.null())), (0, 0, None))
        if self.wrap:
            whole = self.texts.wrapped(place, is_left=self.split and place.right != index)
            part = bisect_right(whole.starts, start) - 1
            row = self.rows.row_of_line(file, hunk, index, part) or row
        left = cell_len(text[:start])
        return Match(row, left, left + cell_len(text[start:end]))


def next_row(rows: Sequence[int], row: int, step: int) -> int | None:
    """The first of the ascending `rows` below `row` (`step` 1) or the last above it (-1)."""
    number = bisect_right(rows, row) if step > 0 else bisect_left(rows, row) - 1
    return rows[number] if 0 <= number < len(rows) else None


def _index(place: Row) -> int | None:
    return place.right if place.right is not None else place.left


def _is_space_only(hunk: Hunk) -> bool:
    """Whether the two sides of a hunk differ by nothing but white space."""
    before, after = (
        "".join("".join(line.text.split()) for line in hunk.lines if line.kind != other)
        for other in ("added", "removed")
    )
    return before == after
