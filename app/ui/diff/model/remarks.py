"""The rows of what was said about hunks, and of why a hunk does not fit: under which line, in which order."""

from collections.abc import Iterator, Mapping, Sequence, Set

from app.review.diff.misfit import Misfit
from app.review.model import Comment, FileChange, Hunk, Remark
from app.review.remarks.model import Answer, Note
from app.ui.diff.model.labels import Label
from app.ui.diff.model.rows import RemarkRow, first_lines
from app.ui.drawing.text import visible, wrap

RemarkKey = tuple[type[Remark], int]


def key_of(remark: Remark) -> RemarkKey:
    """What tells a remark from all others: comments have ids of their own."""
    return type(remark), remark.id


def remark_rows(
    changes: Sequence[FileChange],
    remarks: Sequence[Remark],
    misfits: Mapping[str, Misfit],
    *,
    room: int,
    folded: Set[RemarkKey] = frozenset(),
) -> dict[str, tuple[RemarkRow, ...]]:
    """The rows by hunk id, in the order of lines, wrapped to `room` cells; without remarks on lines that are in
    no hunk. Of a `folded` remark only the first row is there."""
    found: dict[str, list[RemarkRow]] = {
        name: [RemarkRow(-1, None, text, is_first=not row) for row, text in enumerate(misfit.lines)]
        for name, misfit in misfits.items()
    }
    by_path = {change.path: change for change in changes}
    comments = {remark.id: remark for remark in remarks if isinstance(remark, Comment)}
    for remark in sorted(remarks, key=_order):
        change = by_path.get(remark.path)
        # A reply stands where the comment stands, wherever that is now.
        asked = comments.get(remark.comment) if isinstance(remark, Note) else None
        place = _place_of(change, asked or remark) if change is not None else None
        if place is not None:
            hunk, index = place
            rows = list(_rows(remark, index, room))
            if key_of(remark) in folded and len(rows) > 1:
                rows = [RemarkRow(index, remark, rows[0].text, True, rows[0].is_quoted, len(rows) - 1)]
            found.setdefault(hunk.id, []).extend(rows)
    # Sorting keeps what is under one line in its order.
    return {name: tuple(sorted(rows, key=lambda row: row.index)) for name, rows in found.items()}


def done_labels(changes: Sequence[FileChange], remarks: Sequence[Remark]) -> dict[str, Label]:
    """Which hunks, by their ids, did what a comment asks for."""
    makers = [remark.done_by for remark in remarks if isinstance(remark, Note) and remark.done_by]
    return {
        hunk.id: Label("for your comment", "accent")
        for change in (changes if makers else ())
        for hunk in change.hunks
        if any(_is_of(hunk, name) for name in makers)
    }


def _order(remark: Remark) -> tuple[int, int, int]:
    """Comments in their order, each with the replies to it; then what else was said, in its order."""
    if isinstance(remark, Comment):
        return 0, remark.id, 0
    if isinstance(remark, Note) and remark.comment:
        return 0, remark.comment, remark.id
    return 1, remark.id, 0


def _rows(remark: Remark, index: int, room: int) -> Iterator[RemarkRow]:
    parts = [(remark.text, False)]
    if isinstance(remark, Answer) and remark.question:
        parts.insert(0, (remark.question, True))
    if isinstance(remark, Comment) and remark.is_sent:
        parts = [(f"{remark.text}  · sent", False)]
    if isinstance(remark, Note) and remark.is_done:
        parts = [(f"Done: {remark.text}", False)]
    is_first = True
    for text, is_quoted in parts:
        for row in wrap(text, room):
            yield RemarkRow(index, remark, row, is_first, is_quoted)
            is_first = False


def _place_of(change: FileChange, remark: Remark) -> tuple[Hunk, int] | None:
    """The hunk under which a remark is shown and the index of its line there; -1 if it is about no line of the
    hunk, or the line is another one by now. A remark on a hunk that is gone is not shown under another."""
    near: Hunk | None = None
    for hunk in change.hunks:
        if remark.hunk and not remark.source and not _is_of(hunk, remark.hunk):
            continue
        before, after = first_lines(hunk)
        is_here = after <= remark.line < after + hunk.after_count
        is_here |= before <= remark.line < before + hunk.before_count
        if remark.hunk == hunk.id or (is_here and not remark.hunk) or (remark.hunk and not remark.source):
            near = near or hunk
        for index, line in enumerate(hunk.lines):
            number = line.before_number if line.kind == "removed" else line.after_number
            if number == remark.line and visible(line.text) == visible(remark.quoted):
                return hunk, index
    if near is None and not remark.line and not remark.hunk and change.hunks:
        near = change.hunks[0]
    if near is None:
        return None
    # The line may have moved within its hunk.
    same = [n for n, line in enumerate(near.lines) if remark.quoted.strip() and line.text == remark.quoted]
    return near, same[0] if len(same) == 1 else -1


def _is_of(hunk: Hunk, name: str) -> bool:
    """Whether a hunk of the agent's work is the one of this id, or has become of it."""
    parts = [{*one.partition(":")[0].split("+")} for one in (hunk.id, name)]
    return not parts[0].isdisjoint(parts[1])
