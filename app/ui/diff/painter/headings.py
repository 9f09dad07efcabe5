"""How the rows of a diff look that are no code: headings of files and hunks, notes and comments."""

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from app.ui.diff.model.diff_model import DiffModel
from app.ui.diff.model.rows import Row
from app.ui.diff.painter.frame import Frame
from app.ui.drawing.text import visible

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
_NOTES = {  # by kind: for a wide view and for a narrow one
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
_EDITED = {  # by kind: where the content was changed too
    "renamed": ("Renamed; the changes of its content are hunks of their own.", "Renamed, and edited below."),
    "copied": ("Copied; the changes of its content are hunks of their own.", "Copied, and edited below."),
}
_LEAST_NAME = 12  # cells; with less, a file's heading has no counts


def edge(model: DiffModel, frame: Frame, place: Row, base: Style) -> Segment:
    """The left edge of a row, which marks all rows of the hunk that a key would decide."""
    is_marked = model.decides(frame.cursor, place)
    tone = frame.palette.primary if frame.has_focus else frame.palette.faint
    return Segment("▌" if is_marked else " ", base + tone)


def file_heading(model: DiffModel, frame: Frame, place: Row, *, is_current: bool) -> Strip:
    """The path of a file, how much of it changed, and how many of its hunks are decided."""
    palette = frame.palette
    change = model.changes[place.file]
    base = palette.header + (palette.cursor_line if is_current and frame.has_focus else Style())
    tone = {"created": palette.success, "deleted": palette.error}.get(change.kind, palette.accent)
    name = visible(change.path)
    if change.previous_path is not None:
        name = f"{visible(change.previous_path)} → {name}"
    decided = sum(hunk.decision != "pending" for hunk in change.hunks)
    total = len(change.hunks)
    state = "✓ decided" if decided == total else f"{decided}/{total}"
    counts = Strip(
        [
            Segment(f" +{change.added}", base + palette.success),
            Segment(f" −{change.removed}", base + palette.error),
            Segment(f"   {state} ", base + (palette.success if decided == total else palette.muted)),
        ]
    )
    head = Strip(
        [
            Segment("▌" if is_current else " ", base + palette.primary),
            Segment("▸ " if change.path in model.folded else "▾ ", base + palette.muted),
            Segment(f"{KIND_LETTERS[change.kind]} ", base + tone),
            Segment(name, base + palette.strong),
        ]
    )
    room = frame.width - counts.cell_length
    if room < _LEAST_NAME:
        return head.crop_extend(0, frame.width, base)
    return Strip.join([head.crop_extend(0, room, base), counts])


def hunk_heading(
    model: DiffModel, frame: Frame, place: Row, row: int, unseen: Sequence[tuple[int, str]]
) -> Strip:
    """What was decided about a hunk, whether it fits, and where it is. `unseen` has the numbers of lines whose
    change cannot be seen, and what it is."""
    palette = frame.palette
    hunk = model.hunk_of(place)
    base = palette.text + palette.section
    if row == frame.cursor and frame.has_focus:
        base += palette.cursor_line
    mark, tone = {
        "pending": ("○ open", palette.accent),
        "kept": (f"✓ {model.words.taken}", palette.success),
        "rejected": (f"✗ {model.words.dropped}", palette.error),
    }[hunk.decision]
    extra: list[Segment] = []
    if misfit := model.misfits.get(hunk.id):
        mark, tone = "! does not fit", palette.error
        extra = [Segment(f"  {visible(misfit.sentence)}", base + palette.error)]
    elif hunk.id in model.space_only:
        extra = [Segment("  white space only", base + palette.muted)]
    if unseen:
        extra.append(Segment(f"  {_looks_the_same(unseen)}", base + palette.accent))
    elif hunk.decision == "rejected" and row == frame.cursor and frame.has_focus:
        extra = [Segment(f"  {model.words.take}: bring it back", base + palette.muted)]
    where = f"  {hunk.before_start},{hunk.before_count} → {hunk.after_start},{hunk.after_count}"
    segments = [
        edge(model, frame, place, base),
        Segment(f" {mark:<10}", base + tone),
        *extra,
        Segment(where, base + palette.faint),
        Segment(f"  {visible(hunk.section)}", base + palette.muted),
    ]
    return Strip(segments).crop_extend(0, frame.width, base)


def _looks_the_same(unseen: Sequence[tuple[int, str]]) -> str:
    """As few words as say which lines changed without looking so, and how: lines of one reason together."""
    by_reason: dict[str, list[int]] = {}
    for number, why in unseen:
        by_reason.setdefault(why, []).append(number)
    parts = []
    for why, numbers in by_reason.items():
        more = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
        parts.append(f"line {numbers[0]}{more}: {why}")
    return "≈ " + "; ".join(parts)


def note(model: DiffModel, frame: Frame, place: Row, row: int) -> Strip:
    """Why a hunk has no lines."""
    change = model.changes[place.file]
    long, short = _NOTES[change.kind]
    if change.kind in _EDITED and any(hunk.lines for hunk in change.hunks):
        long, short = _EDITED[change.kind]
    text = long if len(long) + 5 <= frame.width else short
    style = frame.base_style(row)
    segments = [edge(model, frame, place, style), Segment(f"   {text}", style + frame.palette.muted)]
    return Strip(segments).crop_extend(0, frame.width, style)


def comment(model: DiffModel, frame: Frame, place: Row, row: int) -> Strip:
    """A line of a comment, or of the reason why a hunk does not fit."""
    palette = frame.palette
    remark = model.rows.shape(model.hunk_of(place)).comments[place.left or 0]
    is_users = remark.comment >= 0
    base = palette.user if is_users and not remark.is_sent else palette.text + palette.section
    if row == frame.cursor and frame.has_focus:
        base += palette.cursor_line
    mark = (
        "  " if place.part or not remark.is_first else ("✓ " if remark.is_sent else "✎ ") if is_users else "! "
    )
    lead = " " * max(0, model.gutter_width - 3) + mark
    text = visible(remark.text)
    if model.wrap:
        start, end = model.texts.wrapped(place, is_left=True).part(place.part)
        text = text[start:end]
    segments = [
        edge(model, frame, place, base),
        Segment(
            lead, base + (palette.muted if remark.is_sent else palette.primary if is_users else palette.error)
        ),
        Segment(text, base if is_users and not remark.is_sent else base + palette.muted),
    ]
    return Strip(segments).crop_extend(0, frame.width, base)
