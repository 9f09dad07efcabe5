"""The hunks of any number of files in one widget: the cursor, the keys' movements and the mouse."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from typing_extensions import override

from app.review.desks.desk import HunkPart, Seen
from app.review.diff.misfit import Misfit
from app.review.model import Comment, DiffLine, FileChange, Hunk, Remark
from app.ui.diff.dragging import LineDrag
from app.ui.diff.model.diff_model import DiffModel, next_row
from app.ui.diff.model.parts import text_of_hunk
from app.ui.diff.model.pending import pending_parts
from app.ui.diff.model.selection import LineSelection
from app.ui.diff.painter.colours import DiffColours
from app.ui.diff.painter.diff_painter import DiffPainter
from app.ui.diff.painter.file_colours import file_colours
from app.ui.diff.painter.frame import Frame
from app.ui.drawing.syntax import lexer_for_path
from app.ui.widgets.line_view import LineView

if TYPE_CHECKING:
    from app.review.diff.meaning.notes import Note

_FOLD_MARK = range(1, 3)  # the columns of a file's heading that say whether it is folded


class DiffView(LineView):
    """Shows a `DiffModel` as a `DiffPainter` draws it: each file's hunks under its heading."""

    class FileWanted(Message):
        """A hunk is drawn whose file is not known; its colours depend on the file."""

        def __init__(self, change: FileChange) -> None:
            super().__init__()
            self.change = change

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.model = DiffModel()
        self.selection = LineSelection(self.model)
        self._colours = DiffColours(self.model, self._load_lexer, self._want_file)
        self._painter = DiffPainter(self.model, self._colours)
        self._drag = LineDrag(self, self.model, self.selection)
        self._widest = 0  # cells of the longest line drawn or gone to

    # Content.

    def set_changes(
        self,
        changes: Sequence[FileChange],
        remarks: Sequence[Remark] = (),
        misfits: Mapping[str, Misfit] | None = None,
        seen: Mapping[str, Seen] | None = None,
    ) -> None:
        """Show `changes`; decided hunks are folded to their heading. The cursor stays on its hunk."""
        model = self.model
        now = (remarks, misfits or {}, seen or {})
        if changes is model.changes and now == (model.remarks, model.misfits, model.seen):
            self.refresh()
            return
        hunk, change = self.current_hunk, self.current_change
        offset = 0
        if hunk is not None:
            offset = self.cursor_row - (model.rows.row_of_hunk(hunk.id) or 0)
        model.set_changes(changes, *now)
        self._colours.clear()
        self._arrange()
        row = model.row_near(change, hunk, offset) if change is not None else None
        if row is not None:
            self.move_to(row)

    def know_file(self, change: FileChange, lines: Sequence[str]) -> None:
        """The answer to `FileWanted`: the lines of the file after the change, none where they are unknown."""
        self.run_worker(self._colour(change, lines), group="colours")

    async def _colour(self, change: FileChange, lines: Sequence[str]) -> None:
        lexer = lexer_for_path(change.path)
        if lexer is not None:
            sides = await asyncio.to_thread(file_colours, change, lines, lexer)
            if self._colours.has_file(change, sides):
                self.refresh()

    def _want_file(self, change: FileChange) -> None:
        self.post_message(self.FileWanted(change))

    def _load_lexer(self, path: str) -> None:
        self.run_worker(self._prepare(path), group="prepare")

    async def _prepare(self, path: str) -> None:
        await asyncio.to_thread(lexer_for_path, path)
        self._colours.has_lexer(path)
        self.refresh()

    def _arrange(self) -> None:
        # The rows get other numbers: what is selected by the old ones would be other lines.
        self.leave_selection()
        self._drag.end()
        self.model.arrange(self.room_width)
        self.gutter_width = self.model.gutter_width
        self.set_extent(self.model.rows.row_count, 0)
        self._widen()

    def _widen(self) -> None:
        """Let the view scroll sideways as far as the longest line needs."""
        self.virtual_size = Size(self.model.scroll_width(self._widest), self.model.rows.row_count)

    def _rearrange(self) -> None:
        """Make the rows anew with the cursor on the line or remark where it is."""
        place, hunk = self.model.row(self.cursor_row), self.current_hunk
        remark = self.model.remark_at(self.cursor_row)
        self._arrange()
        row = self.model.row_of_remark(remark) if remark is not None else None
        if row is None and place is not None and hunk is not None:
            row = self.model.row_like(place, hunk)
        if row is not None:
            self.move_to(row, centre=True)

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002
        self._rearrange()

    def switch_arrangement(self) -> None:
        """Side by side if it was unified, and the other way round."""
        self.model.switch_arrangement()
        self._rearrange()

    def switch_wrap(self) -> None:
        """Wrap long lines at the view's width, or scroll them sideways."""
        self.model.wrap = not self.model.wrap
        self.scroll_to(x=0, animate=False, force=True)
        self._rearrange()

    def switch_space(self) -> None:
        """Hide changes of nothing but white space, or show them again."""
        self.model.switch_space()
        self._rearrange()

    def switch_notes(self) -> None:
        """Fold what is only reformatted or renamed, or show it."""
        self.model.switch_notes()
        self._rearrange()

    def know_notes(self, notes: "Mapping[str, tuple[Note, ...]]") -> None:
        """What runs of the changed lines come to."""
        self.model.meaning.know_notes(self.model.changes, notes)
        self._rearrange()

    # Drawing.

    @property
    @override
    def covered(self) -> int:
        row = self.scroll_offset.y
        return int(0 < row < self.row_count and self.model.rows.row(row).kind not in ("file", "gap"))

    @override
    def render_line(self, y: int) -> Strip:
        if not y and self.covered:
            # The heading of the file that the lines below belong to stays in view.
            return self._painter.heading_above(self.scroll_offset.y, self._frame(self.room_width))
        return super().render_line(y)

    @override
    def draw_row(self, row: int, width: int) -> Strip:
        strip = self._painter.row(row, self._frame(width))
        if self._painter.widest > self._widest:
            self._widest = self._painter.widest
            self.call_later(self._widen)  # not while a frame is being drawn
        return strip

    def _frame(self, width: int) -> Frame:
        return Frame(
            self.palette,
            self.selection,
            width,
            left=self.scroll_offset.x,
            cursor=self.cursor_row,
            has_focus=self.has_focus,
            marked=self.text_selection,
        )

    @override
    def row_text(self, row: int) -> str:
        return self.model.text_at(row, is_left=self.selection.marks_left)

    @override
    def goes_on(self, row: int) -> bool:
        return self.model.rows.row(row).part > 0

    # Where the cursor is.

    @property
    def current_change(self) -> FileChange | None:
        """The file that the cursor is in."""
        return self.model.change_at(self.cursor_row)

    @property
    def current_hunk(self) -> Hunk | None:
        """The hunk that the cursor is in; on a file's heading, its first undecided hunk."""
        return self.model.hunk_at(self.cursor_row)

    @property
    def current_diff_line(self) -> DiffLine | None:
        """The line of the diff that the cursor is on."""
        return self.model.line_at(self.cursor_row)

    @property
    def current_line(self) -> int:
        """The number, from 1, of the file's line that the cursor is on or nearest to."""
        return self.model.number_at(self.cursor_row)

    @property
    def current_comment(self) -> Comment | None:
        """The comment of the user's that the cursor is on."""
        remark = self.model.remark_at(self.cursor_row)
        return remark if isinstance(remark, Comment) else None

    # Going places.

    def _go_to(self, row: int | None) -> bool:
        if row is None:
            return False
        self.move_to(row, centre=True)
        return True

    def go_to_hunk(self, hunk_id: str) -> bool:
        """Put the cursor on a hunk's heading. False if it is not shown."""
        return self._go_to(self.model.rows.row_of_hunk(hunk_id))

    def go_to_file(self, path: str) -> bool:
        """Put the cursor on a file's heading. False if it is not shown."""
        return self._go_to(self.model.row_of_file(path))

    def go_to_remark(self, remark: Remark) -> bool:
        """Put the cursor on a remark. False if it is not shown."""
        return self._go_to(self.model.row_of_remark(remark))

    def go_to_line(self, hunk_id: str, index: int) -> bool:
        """Put the cursor on a line of a hunk, and unfold that. False if it is not shown."""
        model = self.model
        for file, change in enumerate(model.changes):
            for number, hunk in enumerate(change.hunks):
                if hunk.id == hunk_id:
                    if model.rows.row_of_line(file, number, index) is None:
                        model.unfold(file, number)
                        self._arrange()
                    return self._go_to(model.rows.row_of_line(file, number, index))
        return False

    def step_hunk(self, step: int) -> bool:
        """Go to the next (1) or previous (-1) hunk. False if there is none."""
        return self._go_to(next_row(self.model.rows.hunk_rows, self.cursor_row, step))

    def step_file(self, step: int) -> bool:
        """Go to the next (1) or previous (-1) file. False if there is none."""
        return self._go_to(next_row(self.model.rows.file_rows, self.cursor_row, step))

    def step_remark(self, step: int) -> bool:
        """Go to the next (1) or previous (-1) remark. False if there is none."""
        return self._go_to(next_row(self.model.rows.remark_rows, self.cursor_row, step))

    def find(self, text: str, *, backwards: bool = False, from_cursor: bool = False) -> bool:
        """Go to the next line of a hunk that contains `text`, around the end, and unfold it; lower case matches
        both cases. Without `from_cursor` the cursor's line is left out. False if there is none."""
        self.model.query_text = text
        self.refresh()
        for file, hunk, index in self.model.lines_with(
            text, self.cursor_row, backwards=backwards, from_row=from_cursor
        ):
            if self.model.rows.row_of_line(file, hunk, index) is None:
                self.model.unfold(file, hunk)
                self._arrange()
            if self._go_to_match(file, hunk, index):
                return True
        return False

    def _go_to_match(self, file: int, hunk: int, index: int) -> bool:
        match = self.model.match_in(file, hunk, index)
        if match is None:
            return False
        self.move_to(match.row, centre=True)
        if not self.model.wrap:
            self._widest = max(self._widest, match.right)
            self._widen()
            self.show_columns(match.left, match.right, self.model.texts.room)
        return True

    # Folding, and more of the file.

    def fold(self) -> None:
        """Fold or unfold what the cursor is on: a file on its heading, a remark of several rows, else the
        hunk."""
        if self.current_change is not None:
            self.model.fold(self.cursor_row)
            self._rearrange()

    def show_around(self, lines: Sequence[str]) -> bool:
        """Show more of the file around the cursor's hunk; `lines` are the whole file after the change. False if
        they are not the file that the hunk belongs to."""
        change, hunk = self.current_change, self.current_hunk
        if change is None or hunk is None:
            return True
        if not self.model.around.extend(change, hunk, lines):
            return False
        self._rearrange()
        return True

    def hide_around(self) -> None:
        """Show only the lines of the cursor's hunk."""
        hunk = self.current_hunk
        if hunk is not None:
            self.model.around.hide(hunk)
            self._rearrange()

    # Selecting lines.

    def select(self) -> None:
        """Start selecting lines at the cursor; again, the next of the states of `LineSelection.cycle`."""
        self.selection.cycle(self.cursor_row)
        self.refresh()

    def leave_selection(self) -> bool:
        """Select nothing. False if nothing was selected."""
        had = self.selection.leave()
        self.refresh()
        return had

    def parts_here(self) -> list[HunkPart]:
        """What a key decides: the selected lines, else the cursor's hunk; nothing that is decided already."""
        if self.selection.is_active:
            return self.selection.parts(self.cursor_row)
        change, hunk = self.current_change, self.current_hunk
        return [part for part in pending_parts(change) if part.hunk is hunk] if change is not None else []

    @property
    def cursor_place(self) -> int:
        """The row of the screen that the cursor is in."""
        return self.region.y + self.cursor_row - self.scroll_offset.y

    def clean_text(self) -> str:
        """The selected lines, else the cursor's hunk as it is after the change, without gutters and marks."""
        if self.selection.is_active:
            return self.selection.text(self.cursor_row)
        hunk = self.current_hunk
        return text_of_hunk(hunk) if hunk is not None else ""

    # The mouse.

    def on_click(self, event: events.Click) -> None:
        """On the heading that stays in view: to the heading itself. On the mark of a file's heading, and
        twice on any heading: fold."""
        offset = event.get_content_offset(self)
        row = self.scroll_offset.y + offset.y if offset is not None else self.row_count
        if offset is None or row >= self.row_count:
            return
        rows = self.model.rows
        kind = rows.row(row).kind
        if offset.y < self.covered:
            event.prevent_default()
            self.move_to(rows.file_rows[rows.row(row).file])
        elif (kind == "file" and offset.x in _FOLD_MARK) or (kind in ("file", "hunk") and event.chain == 2):
            event.prevent_default()
            self.point_to(row)
            self.fold()

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._drag.press(event)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._drag.move(event)

    def on_mouse_up(self) -> None:
        self._drag.end()

    def on_hide(self) -> None:
        self._drag.end()
