"""Where comments are in a diff, as other programs say it: a side, and a line or a run of lines there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from app.review.model import Comment, FileChange, Hunk

Side = Literal["LEFT", "RIGHT"]


@dataclass(frozen=True, slots=True)
class Place:
    """Lines `start` to `line` of the file before the change ("LEFT") or after it ("RIGHT")."""

    side: Side
    start: int
    line: int


def place_of(comment: Comment, changes: Sequence[FileChange]) -> Place | None:
    """The place of a comment, in the hunk that it was made in, or else by its line; None if the diff has no
    such line."""
    hunks = [hunk for change in changes if change.path == comment.path for hunk in change.hunks if hunk.lines]
    hunks.sort(key=lambda hunk: hunk.id != comment.hunk)
    if comment.quoted or not comment.hunk:
        return next((place for hunk in hunks if (place := _line_in(hunk, comment)) is not None), None)
    return next((_whole(hunk) for hunk in hunks if hunk.id == comment.hunk), None)


def _line_in(hunk: Hunk, comment: Comment) -> Place | None:
    found: Place | None = None
    for line in hunk.lines:
        number = line.before_number if line.kind == "removed" else line.after_number
        if number == comment.line and (line.text == comment.quoted or not comment.quoted):
            found = Place("LEFT" if line.kind == "removed" else "RIGHT", number, number)
            if line.kind != "context":
                return found
    return found


def _whole(hunk: Hunk) -> Place:
    """The changed lines of a hunk, on the side after the change where it has any."""
    added = [line.after_number for line in hunk.lines if line.kind == "added" and line.after_number]
    if added:
        return Place("RIGHT", added[0], added[-1])
    removed = [line.before_number for line in hunk.lines if line.kind == "removed" and line.before_number]
    return Place("LEFT", removed[0], removed[-1])


def made_on(comments: Iterable[Comment], sources: Iterable[str]) -> list[Comment]:
    """The comments made on these sources, as `Comment.source` names them."""
    wanted = set(sources)
    return [comment for comment in comments if comment.source in wanted]
