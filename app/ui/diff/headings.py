"""What stands around the lines of a review: headings of files and hunks, notes, comments."""

from collections.abc import Mapping, Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from app.review.desks.desk import Words
from app.review.diff.misfit import Misfit
from app.review.model import FileChange, Hunk
from app.ui.diff.layout import DiffLayout, Row, Shapes
from app.ui.drawing.text import visible
from app.ui.widgets.line_view import LineView

KIND_LETTERS = {
    "modified": "M",
    "created": "A",
    "deleted": "D",
    "renamed": "R",
    "copied": "C",
    "combined": "U",
    "mode": "M",
    "binary": "B",
    "symlink": "L",
}
_NOTES = {
    "binary": (
        "Binary file: nothing to show, but it can be decided as a whole.",
        "Binary: decided as a whole.",
    ),
    "mode": ("Only the file's mode changed.", "Its mode changed."),
    "symlink": ("A symbolic link changed.", "A link changed."),
    "renamed": ("Renamed without a change of content.", "Renamed only."),
    "copied": ("Copied without a change of content.", "Copied only."),
    "combined": ("A merge; there is nothing to show.", "A merge."),
    "created": ("A new, empty file.", "New and empty."),
    "deleted": ("An empty file was deleted.", "Was empty."),
    "modified": ("Nothing to show.", "Nothing to show."),
}


class DiffHeadings(LineView):
    """What is shown, and all of its rows but the lines."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.changes: Sequence[FileChange] = ()
        self.rows = DiffLayout((), Shapes(), split=False)
        self.words = Words("keep", "kept", "reject", "rejected")
        self.misfits: Mapping[str, Misfit] = {}
        self.folded: set[str] = set()
        self.space_only: frozenset[str] = frozenset()

    @property
    def current_row(self) -> Row | None:
        """What the cursor is on."""
        return self.rows.row(self.cursor_row) if self.row_count else None

    def hunk_at(self, place: Row) -> Hunk:
        """The hunk that a row belongs to."""
        return self.changes[place.file].hunks[place.hunk]

    @property
    def covered(self) -> int:
        row = self.scroll_offset.y
        return int(0 < row < self.row_count and self.rows.row(row).kind not in ("file", "gap"))

    def render_line(self, y: int) -> Strip:
        if not y and self.covered:
            # The heading of the file that the lines below belong to stays in view.
            return self._file_strip(self.rows.row(self.scroll_offset.y), self.room_width, current=False)
        return super().render_line(y)

    def draw_row(self, row: int, width: int) -> Strip:
        place = self.rows.row(row)
        if place.kind == "gap":
            return Strip.blank(width, self.palette.text)
        if place.kind == "file":
            return self._file_strip(place, width, current=row == self.cursor_row)
        if place.kind == "hunk":
            return self._hunk_strip(place, width, row)
        if place.kind == "note":
            return self._note_strip(place, width, row)
        if place.kind == "comment":
            return self._comment_strip(place, row, width)
        return super().draw_row(row, width)

    def _note_strip(self, place: Row, width: int, row: int) -> Strip:
        long, short = _NOTES[self.changes[place.file].kind]
        note = long if len(long) + 5 <= width else short
        style = self.base_style(row)
        segments = [self.bar(place, style), Segment(f"   {note}", style + self.palette.muted)]
        return Strip(segments).crop_extend(0, width, style)

    def _file_strip(self, place: Row, width: int, *, current: bool) -> Strip:
        palette = self.palette
        change = self.changes[place.file]
        base = palette.header + (palette.cursor_line if current and self.has_focus else Style())
        tone = {"created": palette.success, "deleted": palette.error}.get(change.kind, palette.accent)
        name = visible(change.path)
        if change.previous_path is not None:
            name = f"{visible(change.previous_path)} → {name}"
        decided = sum(hunk.decision != "pending" for hunk in change.hunks)
        total = len(change.hunks)
        state = "✓ decided" if decided == total else f"{decided}/{total}"
        folded = "▸" if change.path in self.folded else "▾"
        tail = Strip(
            [
                Segment(f" +{change.added}", base + palette.success),
                Segment(f" −{change.removed}", base + palette.error),
                Segment(f"   {state} ", base + (palette.success if decided == total else palette.muted)),
            ]
        )
        head = Strip(
            [
                Segment("▌" if current else " ", base + palette.primary),
                Segment(f"{folded} ", base + palette.muted),
                Segment(f"{KIND_LETTERS[change.kind]} ", base + tone),
                Segment(name, base + palette.strong),
            ]
        )
        room = width - tail.cell_length
        if room < 12:
            return head.crop_extend(0, width, base)
        return Strip.join([head.crop_extend(0, room, base), tail])

    def bar(self, place: Row, base: Style) -> Segment:
        """The left edge: it shows along all its rows which hunk a key would decide."""
        here = self.current_row
        hunk = here.hunk if here is not None else -1
        if here is not None and hunk < 0:
            # On a file's heading it is the first that is open.
            hunks = self.changes[here.file].hunks
            hunk = next((n for n, one in enumerate(hunks) if one.decision == "pending"), 0)
        chosen = here is not None and (here.file, hunk) == (place.file, place.hunk)
        tone = self.palette.primary if self.has_focus else self.palette.faint
        return Segment("▌" if chosen else " ", base + tone)

    def _hunk_strip(self, place: Row, width: int, row: int) -> Strip:
        palette = self.palette
        hunk = self.hunk_at(place)
        base = palette.text + palette.section
        if row == self.cursor_row and self.has_focus:
            base += palette.cursor_line
        mark, tone = {
            "pending": ("○ open", palette.accent),
            "kept": (f"✓ {self.words.taken}", palette.success),
            "rejected": (f"✗ {self.words.dropped}", palette.error),
        }[hunk.decision]
        extra: list[Segment] = []
        if misfit := self.misfits.get(hunk.id):
            mark, tone = "! does not fit", palette.error
            extra = [Segment(f"  {visible(misfit.sentence)}", base + palette.error)]
        elif hunk.id in self.space_only:
            extra = [Segment("  white space only", base + palette.muted)]
        where = f"  {hunk.before_start},{hunk.before_count} → {hunk.after_start},{hunk.after_count}"
        segments = [
            self.bar(place, base),
            Segment(f" {mark:<10}", base + tone),
            *extra,
            Segment(where, base + palette.faint),
            Segment(f"  {visible(hunk.section)}", base + palette.muted),
        ]
        return Strip(segments).crop_extend(0, width, base)

    def _comment_strip(self, place: Row, row: int, width: int) -> Strip:
        palette = self.palette
        remark = self.rows.shape(self.hunk_at(place)).comments[place.left or 0]
        is_users = remark.comment >= 0
        base = palette.user if is_users else palette.text + palette.section
        if row == self.cursor_row and self.has_focus:
            base += palette.cursor_line
        mark = "  " if place.part or not remark.is_first else "✎ " if is_users else "! "
        lead = " " * max(0, self.gutter_width - 3) + mark
        tone = palette.primary if is_users else palette.error
        text = Segment(
            self.comment_text(place, visible(remark.text)), base if is_users else base + palette.muted
        )
        return Strip([self.bar(place, base), Segment(lead, base + tone), text]).crop_extend(0, width, base)

    def comment_text(self, place: Row, text: str) -> str:  # noqa: ARG002
        """What of `text`, a line of a comment, the row `place` shows."""
        return text
