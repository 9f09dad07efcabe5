"""Who says something about a hunk, besides the user with a comment."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.review.model import Remark


@dataclass(frozen=True, slots=True)
class Answer(Remark):
    """What the model answered when the user asked `question` about the hunk."""

    question: str = ""


@dataclass(frozen=True, slots=True)
class Note(Remark):
    """What the agent notes about its own hunk, or replies to the user's comment with the id `comment` (0: to
    none). `is_done`: the agent did what that comment asks for, in the hunk with the id `done_by` ("": it does
    not say where)."""

    comment: int = 0
    is_done: bool = False
    done_by: str = ""


@dataclass(frozen=True, slots=True)
class ReadingOrder(Remark):
    """The order in which the agent wants its changes read: a file's path, or PATH:LINE, on each line of `text`.
    Only the newest counts."""


@dataclass(frozen=True, slots=True)
class Said:
    """What the agent says in the review, in one call of its tool; see app.agent.tools.review. `line` counts
    from 1 in the file as it is, 0 for no line; `comment` is the number of a comment of the user's, 0 for none.
    """

    text: str = ""
    path: str = ""
    line: int = 0
    comment: int = 0
    is_done: bool = False
    order: Sequence[str] = ()
