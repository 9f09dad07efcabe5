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
            lines = comment.text.split("\n")
            if comment.is_sent:
                lines[-1] += "  · sent"
            for row, text in enumerate(lines):
                remark = Remark(index, number, text, is_first=not row, is_sent=comment.is_sent)
                found.setdefault(hunk.id, []).append(remark)
    for name, misfit in misfits.items():
        for row, text in enumerate(misfit.lines):
            found.setdefault(name, []).append(Remark(-1, -1, text, is_first=not row))
    return {
        name: tuple(sorted(remarks, key=lambda remark: (remark.index, remark.comment)))
        for name, remarks in found.items()
    }


def _place_of(change: FileChange, comment: Comment) -> tuple[Hunk, int] | None:
    """The hunk under which a comment is shown and the index of its line there; -1 if it is about no line of the
    hunk, or the line is another one by now. A comment on a hunk that is gone is not shown under another."""
    near: Hunk | None = None
    for hunk in change.hunks:
        if comment.hunk and not comment.source and not _is_of(hunk, comment.hunk):
            continue
        before, after = first_lines(hunk)
        is_here = after <= comment.line < after + hunk.after_count
        is_here |= before <= comment.line < before + hunk.before_count
        if comment.hunk == hunk.id or (is_here and not comment.hunk) or (comment.hunk and not comment.source):
            near = near or hunk
        for index, line in enumerate(hunk.lines):
            number = line.before_number if line.kind == "removed" else line.after_number
            if number == comment.line and visible(line.text) == visible(comment.quoted):
                return hunk, index
    if near is None and not comment.line and not comment.hunk and change.hunks:
        near = change.hunks[0]
    if near is None:
        return None
    # The line may have moved within its hunk.
    same = [n for n, line in enumerate(near.lines) if comment.quoted.strip() and line.text == comment.quoted]
    return near, same[0] if len(same) == 1 else -1


def _is_of(hunk: Hunk, name: str) -> bool:
    """Whether a hunk of the agent's work is the one of this id, or has become of it."""
    parts = [{*one.partition(":")[0].split("+")} for one in (hunk.id, name)]
    return not parts[0].isdisjoint(parts[1])
