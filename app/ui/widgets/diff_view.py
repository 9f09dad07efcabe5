"""The hunks of any number of files, drawn by line in one widget."""

from collections.abc import Sequence
from typing import Literal

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.cache import LRUCache
from textual.geometry import Size
from textual.strip import Strip

from app.review.model import DiffLine, FileChange, Hunk
from app.ui.text import Span, paint, visible, window
from app.ui.widgets.diff_layout import DiffLayout, Row
from app.ui.widgets.hunk_painting import LONG_LINE, HunkPainting
from app.ui.widgets.line_view import LineView

Arrangement = Literal["auto", "unified", "split"]

_SPLIT_FROM = 130  # cells of width at which two columns of code are comfortable
_KINDS = {
    "modified": "M",
    "created": "A",
    "deleted": "D",
    "renamed": "R",
    "mode": "M",
    "binary": "B",
    "symlink": "L",
}
_NOTES = {
    "binary": "Binary file: nothing to show, but it can be kept or rejected.",
    "mode": "Only the file's mode changed.",
    "symlink": "A symbolic link changed.",
    "renamed": "Renamed without a change of content.",
    "created": "A new, empty file.",
    "deleted": "An empty file was deleted.",
    "modified": "Nothing to show.",
}


class DiffView(LineView):
    """Hunks of all changed files under a heading for each file, unified or side by side."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.changes: Sequence[FileChange] = ()
        self.arrangement: Arrangement = "auto"
        self._folded: set[str] = set()
        self._opened: set[str] = set()
        self._rows = DiffLayout((), frozenset(), split=False)
        self._split = False
        self._numbers = 3
        self._widest = 0
        self._paintings: LRUCache[tuple[int, int], HunkPainting] = LRUCache(48)

    # Content.

    def set_changes(self, changes: Sequence[FileChange]) -> None:
        """Show `changes`; decided hunks are folded to their heading. The cursor stays on its hunk."""
        hunk, change = self.current_hunk, self.current_change
        offset = 0
        if hunk is not None:
            offset = self.cursor_row - (self._rows.row_of_hunk(hunk.id) or 0)
        self.changes = changes
        self._paintings.clear()
        highest = max(
            (
                max(part.before_start + part.before_count, part.after_start + part.after_count)
                for item in changes
                for part in item.hunks
            ),
            default=0,
        )
        self._numbers = max(3, len(str(highest)))
        self._widest = max(
            (len(line.text) for item in changes for part in item.hunks for line in part.lines), default=0
        )
        self._arrange()
        row = self._rows.row_of_hunk(hunk.id) if hunk is not None else None
        if row is not None:
            self.move_to(
                row + offset if self._rows.row(min(row + offset, self.row_count - 1)).hunk >= 0 else row
            )
        elif change is not None:
            paths = [item.path for item in changes]
            if change.path in paths:
                self.move_to(self._rows.file_rows[paths.index(change.path)])

    def _arrange(self) -> None:
        folded = set(self._folded)
        folded |= {
            hunk.id
            for change in self.changes
            for hunk in change.hunks
            if hunk.decision != "pending" and hunk.id not in self._opened
        }
        width = self.size.width
        self._split = self.arrangement == "split" or (self.arrangement == "auto" and width >= _SPLIT_FROM)
        self._rows = DiffLayout(self.changes, frozenset(folded), split=self._split)
        self.gutter_width = 1 + self._numbers + 3 if self._split else 1 + 2 * self._numbers + 4
        self.set_extent(self._rows.row_count, self._widest + 1)
        if self._split:
            # Both columns scroll sideways together, as far as the longest line needs.
            half = (width - 1) // 2 - self.gutter_width
            self.virtual_size = Size(width + max(0, self._widest - half), self._rows.row_count)

    def on_resize(self, event: events.Resize) -> None:  # noqa: ARG002
        place = self._place()
        self._arrange()
        self._return_to(place)

    def switch_arrangement(self) -> None:
        """Side by side where it was unified, and the other way round."""
        place = self._place()
        self.arrangement = "unified" if self._split else "split"
        self._arrange()
        self._return_to(place)

    def _place(self) -> str | None:
        hunk = self.current_hunk
        return hunk.id if hunk is not None else None

    def _return_to(self, hunk_id: str | None) -> None:
        row = self._rows.row_of_hunk(hunk_id) if hunk_id is not None else None
        if row is not None:
            self.move_to(row, centre=True)

    # Where the cursor is.

    @property
    def current_row(self) -> Row | None:
        """What the cursor is on."""
        return self._rows.row(self.cursor_row) if self.row_count else None

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
    def current_line(self) -> int:
        """The line of the file, counted from 1, that the cursor is on or nearest to."""
        row, hunk = self.current_row, self.current_hunk
        if row is None or hunk is None:
            return 1
        index = row.right if row.right is not None else row.left
        for line in hunk.lines[index if index is not None else 0 :]:
            if line.after_number is not None and (index is not None or line.kind != "context"):
                return line.after_number
        return max(1, hunk.after_start)

    def hunk_ids(self) -> list[tuple[str, bool]]:
        """Every hunk's id and whether it is undecided, in order."""
        return [(hunk.id, hunk.decision == "pending") for change in self.changes for hunk in change.hunks]

    def next_pending(self, after: frozenset[str]) -> str | None:
        """The undecided hunk that follows the hunks `after`, from the start again if none does."""
        ids = self.hunk_ids()
        last = max((number for number, (name, _) in enumerate(ids) if name in after), default=-1)
        rest = [name for name, pending in ids[last + 1 :] + ids[: last + 1] if pending and name not in after]
        return rest[0] if rest else None

    def go_to_hunk(self, hunk_id: str) -> bool:
        """Put the cursor on a hunk's heading. False if it is not here."""
        row = self._rows.row_of_hunk(hunk_id)
        if row is None:
            return False
        self.move_to(row, centre=True)
        return True

    def step_hunk(self, step: int) -> None:
        """To the next (1) or previous (-1) hunk."""
        rows = sorted({self._rows.row_of_hunk(name) or 0 for name, _ in self.hunk_ids()})
        here = self.cursor_row
        found = [row for row in rows if (row > here if step > 0 else row < here)]
        if found:
            self.move_to(found[0] if step > 0 else found[-1], centre=True)

    def step_file(self, step: int) -> None:
        """To the next (1) or previous (-1) file."""
        here = self.cursor_row
        found = [row for row in self._rows.file_rows if (row > here if step > 0 else row < here)]
        if found:
            self.move_to(found[0] if step > 0 else found[-1], centre=True)

    def fold(self) -> None:
        """Fold or unfold what the cursor is on: a file on its heading, else the hunk."""
        row, change = self.current_row, self.current_change
        if row is None or change is None:
            return
        if row.hunk < 0:
            self._folded ^= {change.path}
            self._arrange()
            self.move_to(self._rows.file_rows[row.file])
            return
        hunk = change.hunks[row.hunk]
        if hunk.decision == "pending":
            self._folded ^= {hunk.id}
        else:
            self._opened ^= {hunk.id}
        self._arrange()
        self._return_to(hunk.id)

    # Drawing.

    def render_line(self, y: int) -> Strip:
        row = self.scroll_offset.y + y
        if y == 0 and 0 < row < self.row_count and self._rows.row(row).kind not in ("file", "gap"):
            return self._file_strip(self._rows.row(row), self.size.width, current=False)
        return super().render_line(y)

    def draw_row(self, row: int, width: int) -> Strip:
        place = self._rows.row(row)
        current = row == self.cursor_row
        if place.kind == "gap":
            return Strip.blank(width, self.palette.text)
        if place.kind == "file":
            return self._file_strip(place, width, current=current)
        if place.kind == "hunk":
            return self._hunk_strip(place, width, row)
        if place.kind == "note":
            note = _NOTES[self.changes[place.file].kind]
            style = self.base_style(row)
            return Strip(
                [self._bar(place, style), Segment(f"   {note}", style + self.palette.muted)]
            ).crop_extend(0, width, style)
        if self._split:
            return self._split_strip(place, row, width)
        return super().draw_row(row, width)

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
        folded = "▸" if change.path in self._folded else "▾"
        counts = [
            Segment(f" +{change.added}", base + palette.success),
            Segment(f" −{change.removed}", base + palette.error),
            Segment(f"   {state} ", base + (palette.success if decided == total else palette.muted)),
        ]
        tail = Strip(counts)
        head = Strip(
            [
                Segment("▌" if current else " ", base + palette.primary),
                Segment(f"{folded} ", base + palette.muted),
                Segment(f"{_KINDS[change.kind]} ", base + tone),
                Segment(name, base + palette.strong),
            ]
        )
        room = width - tail.cell_length
        if room < 12:
            return head.crop_extend(0, width, base)
        return Strip.join([head.crop_extend(0, room, base), tail])

    def _bar(self, place: Row, base: Style) -> Segment:
        """The left edge: it shows along all its rows which hunk a key would decide."""
        here = self.current_row
        chosen = here is not None and here.file == place.file and here.hunk == place.hunk
        tone = self.palette.primary if self.has_focus else self.palette.faint
        return Segment("▌" if chosen else " ", base + tone)

    def _hunk_strip(self, place: Row, width: int, row: int) -> Strip:
        palette = self.palette
        hunk = self.changes[place.file].hunks[place.hunk]
        base = palette.text + palette.section
        if row == self.cursor_row and self.has_focus:
            base += palette.cursor_line
        mark, tone = {
            "pending": ("○ open    ", palette.accent),
            "kept": ("✓ kept    ", palette.success),
            "rejected": ("✗ rejected", palette.error),
        }[hunk.decision]
        where = f"  {hunk.before_start},{hunk.before_count} → {hunk.after_start},{hunk.after_count}"
        segments = [
            self._bar(place, base),
            Segment(f" {mark}", base + tone),
            Segment(where, base + palette.faint),
            Segment(f"  {visible(hunk.section)}", base + palette.muted),
        ]
        return Strip(segments).crop_extend(0, width, base)

    def _line_style(self, line: DiffLine, row: int) -> Style:
        palette = self.palette
        if line.kind == "added":
            return palette.text + palette.added
        if line.kind == "removed":
            return palette.text + palette.removed
        return self.base_style(row)

    def row_gutter(self, row: int, current: bool) -> list[Segment]:
        place = self._rows.row(row)
        line = self._hunk(place).lines[place.left or 0]
        base = self._line_style(line, row)
        width = self._numbers
        before = f"{line.before_number or '':>{width}}"
        after = f"{line.after_number or '':>{width}}"
        palette = self.palette
        number = palette.strong if current and self.has_focus else palette.faint
        return [
            self._bar(place, base),
            Segment(f"{before} {after} ", base + number),
            Segment(f"{self._sign(line)} ", base + self._tone(line)),
        ]

    @staticmethod
    def _sign(line: DiffLine) -> str:
        return {"added": "+", "removed": "−", "context": " "}[line.kind]

    def _tone(self, line: DiffLine) -> Style:
        return {"added": self.palette.success, "removed": self.palette.error}.get(line.kind, self.palette.faint)

    def body(self, row: int, left: int, width: int) -> tuple[str, Style, list[Span], int]:
        place = self._rows.row(row)
        index = place.left or 0
        return self._content(place, index, left, width)

    def _content(self, place: Row, index: int, left: int, width: int) -> tuple[str, Style, list[Span], int]:
        line = self._hunk(place).lines[index]
        base = self._line_style(line, self.cursor_row if self._is_current(place) else -1)
        if len(line.text) > LONG_LINE:
            seen = window(line.text, left, width)
            return visible(line.text[seen.start : seen.end]), base, [], left
        text = visible(line.text)
        painting = self._painting(place)
        syntax = self.palette.syntax
        spans: list[Span] = [(a, b, syntax[name]) for a, b, name in painting.syntax(index)]
        if line.kind != "context":
            mark = self.palette.added_word if line.kind == "added" else self.palette.removed_word
            spans += [(a, b, mark) for a, b in painting.words(index)]
        if not line.has_newline:
            spans.append((len(text), len(text) + 24, self.palette.faint))
            text += "  ∎ no newline at end"
        return text, base, spans, 0

    def _is_current(self, place: Row) -> bool:
        return self.current_row == place

    def _split_strip(self, place: Row, row: int, width: int) -> Strip:
        left_width = (width - 1) // 2
        halves = []
        for index, half, is_left in (
            (place.left, left_width, True),
            (place.right, width - 1 - left_width, False),
        ):
            if index is None:
                bar = [self._bar(place, self.palette.filler)] if is_left else []
                halves.append(Strip(bar).crop_extend(0, half, self.palette.text + self.palette.filler))
                continue
            line = self._hunk(place).lines[index]
            base = self._line_style(line, row)
            number = line.before_number if is_left else line.after_number
            head = self._bar(place, base) if is_left else Segment(" ", base)
            current = row == self.cursor_row and self.has_focus
            gutter = [
                head,
                Segment(
                    f"{number or '':>{self._numbers}} ",
                    base + (self.palette.strong if current else self.palette.faint),
                ),
                Segment(f"{self._sign(line)} ", base + self._tone(line)),
            ]
            left = self.scroll_offset.x
            room = max(0, half - self.gutter_width)
            text, style, spans, start = self._content(place, index, left, room)
            body = Strip(paint(text, style, spans)).crop_extend(left - start, left - start + room, style)
            halves.append(Strip([*gutter, *body]).crop_extend(0, half, base))
        rule = Strip([Segment("│", self.palette.text + self.palette.faint)])
        return Strip.join([halves[0], rule, halves[1]])

    def _hunk(self, place: Row) -> Hunk:
        return self.changes[place.file].hunks[place.hunk]

    def _painting(self, place: Row) -> HunkPainting:
        key = (place.file, place.hunk)
        found = self._paintings.get(key)
        if found is None:
            found = self._paintings[key] = HunkPainting(self._hunk(place), self.changes[place.file].path)
        return found

    def row_text(self, row: int) -> str:
        place = self._rows.row(row)
        if place.kind == "file":
            return self.changes[place.file].path
        if place.kind != "line":
            return ""
        index = place.right if place.right is not None else place.left
        return visible(self._hunk(place).lines[index or 0].text)
