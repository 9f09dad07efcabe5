"""What a row of a review shows, and how much is shown of each hunk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from app.review.model import Hunk

RowKind = Literal["gap", "file", "hunk", "line", "note", "extra", "comment"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `file` is the index of its change, `hunk` that of its hunk there (-1: none).

    What `left` and `right` are depends on the kind. On a "line" row they are indices of the hunk's lines: in
    the unified layout `left` alone; side by side None where a side is empty. On an "extra" row, a line of the
    file that is not in the hunk, they are its numbers before and after the change. On a "comment" row, `left`
    is an index of `HunkShape.comments`. `part` counts the rows of one wrapped line from 0.
    """

    kind: RowKind
    file: int
    hunk: int = -1
    left: int | None = None
    right: int | None = None
    part: int = 0


@dataclass(frozen=True, slots=True)
class Remark:
    """One line of a comment or of the reason why a hunk does not fit.

    It is shown under line `index` of the hunk (-1: under the hunk's heading). `comment` is the index of the
    comment (-1: the reason of a misfit). `is_first` is true on the first line of either; `is_sent` where the
    agent was told of the comment.
    """

    index: int
    comment: int
    text: str
    is_first: bool = True
    is_sent: bool = False

    @property
    def starts_comment(self) -> bool:
        """Whether this is the first line of a comment by the user."""
        return self.is_first and self.comment >= 0


@dataclass(frozen=True, slots=True)
class HunkShape:
    """What is shown of a hunk besides its lines: how many lines of the file above and below, and remarks."""

    above: int = 0
    below: int = 0
    comments: tuple[Remark, ...] = ()


_PLAIN = HunkShape()


@dataclass(frozen=True, slots=True)
class Shapes:
    """How the hunks are shown. `folded` has hunk ids and paths of which only the heading is shown; `hunks` maps
    the ids of hunks that have more than their lines."""

    folded: frozenset[str] = frozenset()
    hunks: Mapping[str, HunkShape] = field(default_factory=dict)

    def of(self, hunk: Hunk) -> HunkShape:
        """How `hunk` is shown."""
        return self.hunks.get(hunk.id, _PLAIN)


def first_lines(hunk: Hunk) -> tuple[int, int]:
    """The numbers of a hunk's first line before and after the change.

    Where a side has no lines, a diff's header gives the number of the line before the hunk: one is added.
    """
    return hunk.before_start + (not hunk.before_count), hunk.after_start + (not hunk.after_count)
