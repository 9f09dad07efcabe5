"""What a row of a review shows, and how much is shown of each hunk."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from app.review.model import Hunk, Remark

if TYPE_CHECKING:
    from app.review.diff.meaning.notes import Note

RowKind = Literal["gap", "file", "hunk", "line", "note", "extra", "remark", "run"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `file` is the index of its change, `hunk` that of its hunk there (-1: none).

    What `left` and `right` are depends on the kind. On a "line" row they are indices of the hunk's lines: in
    the unified layout `left` alone; side by side None where a side is empty. On an "extra" row, a line of the
    file that is not in the hunk, they are its numbers before and after the change. On a "remark" row, `left`
    is an index of `HunkShape.remarks`; on a "run" row, lines folded to a note, `left` is that of the
    first. `part` counts the rows of one wrapped line from 0.
    """

    kind: RowKind
    file: int
    hunk: int = -1
    left: int | None = None
    right: int | None = None
    part: int = 0


@dataclass(frozen=True, slots=True)
class RemarkRow:
    """One row of a remark or of the reason why a hunk does not fit.

    It is shown under line `index` of the hunk (-1: under the hunk's heading). `remark` is what it is a row of
    (None: the reason of a misfit), `is_first` true on the first row of either; `is_quoted` where it shows the
    question that is answered. `hidden` is how many more rows it has that are folded away.
    """

    index: int
    remark: Remark | None
    text: str
    is_first: bool = True
    is_quoted: bool = False
    hidden: int = 0

    @property
    def starts_remark(self) -> bool:
        """Whether this is the first row of what somebody said."""
        return self.is_first and self.remark is not None


@dataclass(frozen=True, slots=True)
class HunkShape:
    """What is shown of a hunk besides its lines: how many lines of the file above and below, and remarks; and
    the `runs` of its lines in whose place a note is shown."""

    above: int = 0
    below: int = 0
    remarks: tuple[RemarkRow, ...] = ()
    runs: "tuple[Note, ...]" = ()

    def run_at(self, index: int | None) -> "Note | None":
        """The folded run that line `index` is in."""
        place = bisect_right(self.runs, -1 if index is None else index, key=lambda run: run.start) - 1
        return self.runs[place] if place >= 0 and index is not None and index < self.runs[place].end else None


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
