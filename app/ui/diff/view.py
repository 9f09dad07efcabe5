"""The hunks of any number of files in one widget: where the cursor is, what is selected, folded and found."""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Literal

from rich.cells import cell_len
from textual import events
from textual.geometry import Size

from app.review.diff.misfit import Misfit
from app.review.model import Comment, DiffLine, FileChange, Hunk
from app.ui.diff.layout import DiffLayout, HunkShape, Shapes
from app.ui.diff.parts import text_of_hunk
from app.ui.diff.remarks import remarks_on
from app.ui.diff.search import lines_with
from app.ui.diff.selecting import DiffSelecting
from app.ui.drawing.text import matches, visible

Arrangement = Literal["auto", "unified", "split"]

_FOLD_MARK = range(1, 3)  # the columns of a file's heading that say whether it is folded
_SPLIT_FROM = 130  # cells of width at which two columns of code are comfortable


class DiffView(DiffSelecting):
    """Hunks of all changed files under a heading for each file, unified or side by side."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.arrangement: Arrangement = "auto"
        self.comments: Sequence[Comment] = ()
        self._opened: set[str] = set()

    # Content.

    def set_changes(
        self,
        changes: Sequence[FileChange],
        comments: Sequence[Comment] = (),
        misfits: Mapping[str, Misfit] | None = None,
    ) -> None:
        """Show `changes`; decided hunks are folded to their heading. The cursor stays on its hunk."""
        if changes is self.changes and (comments, misfits or {}) == (self.comments, self.misfits):
            self.refresh()
            return
        hunk, change = self.current_hunk, self.current_change
        offset = 0
        if hunk is not None:
            offset = self.cursor_row - (self.rows.row_of_hunk(hunk.id) or 0)
        if self.changes != changes:
            self.around.clear()
        self.changes, self.comments, self.misfits = changes, comments, dict(misfits or {})
        self.forget_drawings()
        highest = max(
            (
                max(part.before_start + part.before_count, part.after_start + part.after_count)
                for item in changes
                for part in item.hunks
            ),
            default=0,
        )
        self.number_width = max(3, len(str(highest)))
        self._find_space_only()
        self._arrange()
        row = self.rows.row_of_hunk(hunk.id) if hunk is not None else None
        if row is not None:
            self.move_to(
                row + offset if self.rows.row(min(row + offset, self.row_count - 1)).hunk >= 0 else row
            )
        elif change is not None:
            self._go_near(change, hunk)

    def _go_near(self, change: FileChange, hunk: Hunk | None) -> None:
        """To what is now where `hunk` was: an edited hunk is another one."""
        paths = [item.path for item in self.changes]
        if change.path not in paths:
            return
        number = paths.index(change.path)
        hunks = self.changes[number].hunks
        if hunk is None or not hunks:
            self.move_to(self.rows.file_rows[number])
            return
        near = min(hunks, key=lambda one: abs(one.after_start - hunk.after_start))
        self.move_to(self.rows.row_of_hunk(near.id) or 0)

    def _arrange(self) -> None:
        self.forget_selection()
        folded = set(self.folded)
        folded |= {
            hunk.id
            for change in self.changes
            for hunk in change.hunks
            if (hunk.decision != "pending" or hunk.id in self.space_only) and hunk.id not in self._opened
        }
        width = self.room_width
        self.split = self.arrangement == "split" or (self.arrangement == "auto" and width >= _SPLIT_FROM)
        self.gutter_width = 1 + self.number_width + 3 if self.split else 1 + 2 * self.number_width + 4
        shapes = Shapes(frozenset(folded), self._shapes())
        wrapping = self if self.wrap and width else None
        self.forget_wrapping()
        self.rows = DiffLayout(self.changes, shapes, split=self.split, wrapping=wrapping)
        self.set_extent(self.rows.row_count, 0)
        self.widen()

    def widen(self) -> None:
        width = self.room_width
        if self.wrap:
            self.virtual_size = Size(width, self.rows.row_count)
            return
        # Side by side, both columns scroll together, as far as the longest line needs.
        room = (width - 1) // 2 - self.gutter_width if self.split else width - self.gutter_width
        self.virtual_size = Size(width + max(0, self.widest + 1 - room), self.rows.row_count)

    def _shapes(self) -> Mapping[str, HunkShape]:
        remarks = remarks_on(self.changes, self.comments, self.misfits)
        return {
            name: HunkShape(*self.around.of(name), comments=remarks.get(name, ()))
            for name in {*self.around, *remarks}
        }

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002
        self._rearrange()

    def _rearrange(self) -> None:
        """Lay out anew with the cursor on its line."""
        row, hunk = self.current_row, self.current_hunk
        self._arrange()
        if row is None or hunk is None:
            return
        found = None
        if row.kind == "line":
            index = row.right if row.right is not None else row.left
            found = self.rows.row_of_line(row.file, row.hunk, index or 0)
        if found is None:
            found = self.rows.file_rows[row.file] if row.hunk < 0 else self.rows.row_of_hunk(hunk.id)
        if found is not None:
            self.move_to(found, centre=True)

    def switch_arrangement(self) -> None:
        """Side by side where it was unified, and the other way round."""
        self.arrangement = "unified" if self.split else "split"
        self._rearrange()

    def switch_wrap(self) -> bool:
        """Break long lines at the view's width, or let them run off to the right. Returns which."""
        self.wrap = not self.wrap
        self.scroll_to(x=0, animate=False, force=True)
        self._rearrange()
        return self.wrap

    # Where the cursor is.

    @property
    def current_change(self) -> FileChange | None:
        """The file that the cursor is in."""
        row = self.current_row
        return self.changes[row.file] if row is not None else None

    @property
    def current_hunk(self) -> Hunk | None:
        """The hunk that the cursor is in; on a file's heading, its first hunk that is not decided."""
        row = self.current_row
        if row is None:
            return None
        hunks = self.changes[row.file].hunks
        if row.hunk >= 0:
            return hunks[row.hunk]
        return next((hunk for hunk in hunks if hunk.decision == "pending"), hunks[0] if hunks else None)

    @property
    def current_diff_line(self) -> DiffLine | None:
        """The line of the diff that the cursor is on."""
        row = self.current_row
        if row is None or row.kind != "line":
            return None
        index = row.right if row.right is not None else row.left
        return self.hunk_at(row).lines[index or 0]

    @property
    def current_line(self) -> int:
        """The line of the file, counted from 1, that the cursor is on or nearest to."""
        row, hunk = self.current_row, self.current_hunk
        if row is None or hunk is None:
            return 1
        if row.kind == "extra":
            return row.right or 1
        index = None if row.kind == "comment" else row.right if row.right is not None else row.left
        for line in hunk.lines[index if index is not None else 0 :]:
            if line.after_number is not None and (index is not None or line.kind != "context"):
                return line.after_number
        return max(1, hunk.after_start)

    @property
    def current_comment(self) -> Comment | None:
        """The comment that the cursor is on."""
        return self._comment_at(self.cursor_row) if self.row_count else None

    def _comment_at(self, number: int) -> Comment | None:
        row = self.rows.row(number)
        if row.kind != "comment":
            return None
        comment = self.rows.shape(self.hunk_at(row)).comments[row.left or 0].comment
        return self.comments[comment] if comment >= 0 else None

    def hunk_ids(self) -> list[tuple[str, bool]]:
        """Every hunk's id and whether it is undecided, in order."""
        return [(hunk.id, hunk.decision == "pending") for change in self.changes for hunk in change.hunks]

    def next_pending(self, after: frozenset[str]) -> str | None:
        """The undecided hunk that follows the hunks `after`, from the start again if none does."""
        ids = self.hunk_ids()
        last = max((number for number, (name, _) in enumerate(ids) if name in after), default=-1)
        rest = [name for name, pending in ids[last + 1 :] + ids[: last + 1] if pending and name not in after]
        return rest[0] if rest else None

    # Going places.

    def go_to_hunk(self, hunk_id: str) -> bool:
        """Put the cursor on a hunk's heading. False if it is not here."""
        row = self.rows.row_of_hunk(hunk_id)
        if row is None:
            return False
        self.move_to(row, centre=True)
        return True

    def go_to_file(self, path: str) -> None:
        """Put the cursor on a file's heading."""
        for number, change in enumerate(self.changes):
            if change.path == path:
                self.move_to(self.rows.file_rows[number], centre=True)
                return

    def go_to_comment(self, comment: int) -> bool:
        """Put the cursor on a comment. False if it is not shown here."""
        for row in self.rows.comment_rows:
            found = self._comment_at(row)
            if found is not None and found.id == comment:
                self.move_to(row, centre=True)
                return True
        return False

    def _step(self, rows: Sequence[int], step: int) -> bool:
        """To the next or previous of `rows`, which ascend."""
        here = self.cursor_row
        number = bisect_right(rows, here) if step > 0 else bisect_left(rows, here) - 1
        if not 0 <= number < len(rows):
            return False
        self.move_to(rows[number], centre=True)
        return True

    def step_hunk(self, step: int) -> None:
        """To the next (1) or previous (-1) hunk."""
        self._step(self.rows.hunk_rows, step)

    def step_file(self, step: int) -> None:
        """To the next (1) or previous (-1) file."""
        self._step(self.rows.file_rows, step)

    def step_comment(self, step: int) -> bool:
        """To the next (1) or previous (-1) comment. False if there is none."""
        return self._step(self.rows.comment_rows, step)

    # Folding, and more of the file.

    def fold(self) -> None:
        """Fold or unfold what the cursor is on: a file on its heading, else the hunk."""
        row, change = self.current_row, self.current_change
        if row is None or change is None:
            return
        if row.hunk < 0:
            self.folded ^= {change.path}
        else:
            hunk = change.hunks[row.hunk]
            if hunk.decision == "pending" and hunk.id not in self.space_only:
                self.folded ^= {hunk.id}
            else:
                self._opened ^= {hunk.id}
        self._rearrange()

    def on_click(self, event: events.Click) -> None:
        """On the heading that stays in view: to the heading itself. On the mark of a file's heading, and
        twice on any heading: fold."""
        offset = event.get_content_offset(self)
        row = self.scroll_offset.y + offset.y if offset is not None else self.row_count
        if offset is None or row >= self.row_count:
            return
        kind = self.rows.row(row).kind
        if offset.y < self.covered:
            event.prevent_default()
            self.move_to(self.rows.file_rows[self.rows.row(row).file])
        elif (kind == "file" and offset.x in _FOLD_MARK) or (kind in ("file", "hunk") and event.chain == 2):
            event.prevent_default()
            self.point_to(row)
            self.fold()

    def show_around(self, lines: Sequence[str], more: bool) -> bool:
        """Show some more (or no more) of the file around the hunk here; `lines` is the whole file after the
        change. False if they are not the file that the hunk belongs to."""
        change, hunk = self.current_change, self.current_hunk
        if change is None or hunk is None:
            return True
        if more:
            if not self.around.extend(change, hunk, lines):
                return False
        else:
            self.around.hide(hunk)
        self._rearrange()
        return True

    def ignore_space(self) -> None:
        """Leave changes of white space alone out of sight, or show them again."""
        self.ignores_space = not self.ignores_space
        self._find_space_only()
        self._rearrange()

    def _find_space_only(self) -> None:
        self.space_only = frozenset(
            hunk.id
            for change in self.changes
            for hunk in change.hunks
            if self.ignores_space and hunk.lines and _is_space_only(hunk)
        )

    def clean_text(self) -> str:
        """What is selected, else the hunk here as it is after the change, without gutters and marks."""
        if self.is_selecting:
            return self.selected_text()
        hunk = self.current_hunk
        return text_of_hunk(hunk) if hunk is not None else ""

    # Searching.

    def find(self, text: str, *, backwards: bool = False, from_cursor: bool = False) -> bool:
        """Move to the next line of a hunk that holds `text` (small letters match both), around the end; what is
        folded opens. False if there is none."""
        self.query_text = text
        self.refresh()
        row = self.current_row
        if not text or row is None:
            return False
        for file, number, index in lines_with(
            text, self.changes, row, backwards=backwards, from_row=from_cursor
        ):
            change = self.changes[file]
            hunk = change.hunks[number]
            if self.rows.row_of_line(file, number, index) is None:
                self.folded -= {change.path, hunk.id}
                self._opened.add(hunk.id)
                self._arrange()
            if self._go_to_match(file, number, index):
                return True
        return False

    def _go_to_match(self, file: int, number: int, index: int) -> bool:
        """Put the cursor on the part of a line that holds what is searched for. False if it is not shown."""
        found = self.rows.row_of_line(file, number, index)
        if found is None:
            return False
        place = self.rows.row(found)
        is_left = self.split and place.right != index
        text = visible(self.hunk_at(place).lines[index].text)
        start, end, _ = next(iter(matches(text, self.query_text, self.palette.match)), (0, 0, None))
        if self.wrap:
            part = bisect_right(self.rows_of(place, is_left=is_left).starts, start) - 1
            found = self.rows.row_of_line(file, number, index, part) or found
        self.move_to(found, centre=True)
        if not self.wrap:
            left = cell_len(text[:start])
            right = left + cell_len(text[start:end])
            self.seen(right)
            self.widen()
            self.show_columns(left, right, self.room)
        return True


def _is_space_only(hunk: Hunk) -> bool:
    """Whether both sides of a hunk are the same but for white space within and between lines."""
    sides = (
        "".join("".join(line.text.split()) for line in hunk.lines if line.kind != other)
        for other in ("added", "removed")
    )
    before, after = sides
    return before == after
