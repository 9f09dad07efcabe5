"""The line under which each comment, and each reason why a hunk does not fit, is shown."""

from collections.abc import Mapping, Sequence

from app.review.diff.misfit import Misfit
from app.review.model import Comment, FileChange, Hunk
from app.ui.diff.model.rows import Remark, first_lines
from app.ui.drawing.text import visible


def remarks_on(
    changes: Sequence[FileChange], comments: Sequence[Comment], misfits: Mapping[str, Misfit]
) -> dict[str, tuple[Remark, ...]]:
    """The remarks by hunk id, in the order of lines, without comments on lines that are in no hunk."""
    found: dict[str, list[Remark]] = {}
    by_path = {change.path: change for change in changes}
    for number, comment in enumerate(comments):
        change = by_path.get(comment.path)
        place = _place_of(change, comment) if change is not None else None
        if place is not None:
            hunk, index = place
            for row, text in enumerate(comment.text.split("\n")):
                found.setdefault(hunk.id, []).append(Remark(index, number, text, is_first=not row))
    for name, misfit in misfits.items():
        for row, text in enumerate(misfit.lines):
            found.setdefault(name, []).append(Remark(-1, -1, text, is_first=not row))
    return {
        name: tuple(sorted(remarks, key=lambda remark: (remark.index, remark.comment)))
        for name, remarks in found.items()
    }


def _place_of(change: FileChange, comment: Comment) -> tuple[Hunk, int] | None:
    """The hunk under which a comment is shown and the index of its line there; -1 if it is about no line of the
    hunk, or the line is another one by now."""
    near: Hunk | None = None
    for hunk in change.hunks:
        before, after = first_lines(hunk)
        here = after <= comment.line < after + hunk.after_count
        if not (here or before <= comment.line < before + hunk.before_count):
            continue
        near = near or hunk
        for index, line in enumerate(hunk.lines):
            number = line.before_number if line.kind == "removed" else line.after_number
            if number == comment.line and visible(line.text) == visible(comment.quoted):
                return hunk, index
    if near is None and not comment.line and change.hunks:
        near = change.hunks[0]
    return (near, -1) if near is not None else None
