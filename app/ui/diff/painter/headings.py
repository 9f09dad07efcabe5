"""How the rows of a diff look that are no code: headings of files and hunks, and notes."""

from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from app.ui.diff.model.diff_model import DiffModel
from app.ui.diff.model.labels import Label
from app.ui.diff.model.rows import Row
from app.ui.diff.painter.frame import Frame
from app.ui.drawing.palette import Palette
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
        "Binary, or very large: no lines to show, but it can be decided as a whole.",
        "Decided as a whole.",
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
    lines = [
        Segment(f" +{change.added}", base + palette.success),
        Segment(f" −{change.removed}", base + palette.error),
    ]
    counts = Strip(
        [
            *(lines if change.kind != "binary" else ()),
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
    if unseen:
        extra.append(Segment(f"  {_looks_the_same(unseen)}", base + palette.accent))
    elif hunk.decision == "rejected" and row == frame.cursor and frame.has_focus:
        extra = [Segment(f"  {model.words.take}: bring it back", base + palette.muted)]
    where = f"  {hunk.before_start},{hunk.before_count} → {hunk.after_start},{hunk.after_count}"
    if not (hunk.before_count or hunk.after_count):
        where = ""
    head = Strip([edge(model, frame, place, base), Segment(f" {mark:<10}", base + tone), *extra])
    labels = Strip(_fitting(model.labels.of(hunk.id), frame.width - head.cell_length, palette, base))
    tail = Strip(
        [Segment(where, base + palette.faint), Segment(f"  {visible(hunk.section)}", base + palette.muted)]
    )
    # With labels, where the hunk is gives way: a part of a number would be another number.
    has_room = head.cell_length + labels.cell_length + cell_len(where) <= frame.width
    parts = [head, labels, tail] if has_room or not labels.cell_length else [head, labels]
    return Strip.join(parts).crop_extend(0, frame.width, base)


def _fitting(labels: Sequence[Label], room: int, palette: Palette, base: Style) -> list[Segment]:
    """The labels that `room` cells hold, the last of them cut if need be: with nothing of it, a sign."""
    found: list[Segment] = []
    for number, label in enumerate(labels, 1):
        text = f"  {visible(label.text)}"
        tone = (
            base
            + {
                "muted": palette.muted,
                "accent": palette.accent,
                "success": palette.success,
                "warning": palette.warning,
                "error": palette.error,
            }[label.tone]
        )
        if cell_len(text) > room - (number < len(labels)):  # a cell for the sign that there are more
            if room > 0:
                found.append(Segment(set_cell_size(text, room - 1).rstrip() + "…", tone))
            break
        found.append(Segment(text, tone))
        room -= cell_len(text)
    return found


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


def run(model: DiffModel, frame: Frame, place: Row, row: int) -> Strip:
    """What a folded run of changed lines comes to."""
    found = model.rows.shape(model.hunk_of(place)).run_at(place.left)
    assert found is not None
    palette, style = frame.palette, frame.base_style(row)
    count = found.end - found.start
    lead = " " * max(0, model.gutter_width - 3)
    segments = [
        edge(model, frame, place, style),
        Segment(f"{lead}⋯ ", style + palette.accent),
        Segment(visible(found.text), style + palette.muted),
        Segment(f"  {count} line{'' if count == 1 else 's'}", style + palette.faint),
    ]
    return Strip(segments).crop_extend(0, frame.width, style)


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
