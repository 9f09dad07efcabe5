"""Who says something about a hunk, besides the user with a comment."""

from dataclasses import dataclass

from app.review.model import Remark


@dataclass(frozen=True, slots=True)
class Answer(Remark):
    """What the model answered when the user asked `question` about the hunk."""

    question: str = ""


@dataclass(frozen=True, slots=True)
class Note(Remark):
    """What the agent notes about its own hunk, or replies to the user's comment with the id `comment` (0: to
    none). `is_done`: the agent did what that comment asks for."""

    comment: int = 0
    is_done: bool = False
