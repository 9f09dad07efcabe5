"""Which lines differ from what git has, for the gutter: added, changed, or removed beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.review.diff.compare import blocks

Mark = Literal["added", "changed", "removed", "removed above"]


@dataclass(frozen=True, slots=True)
class LineMarks:
    """`by_line` has the mark of each line that has one, `starts` the first line of each change, in order; lines
    count from 0. Lines that were removed are marked at the line before them, at the top of a file at the
    first."""

    by_line: dict[int, Mark]
    starts: tuple[int, ...]

    def next_after(self, line: int, step: int) -> int | None:
        """The first line of the next change (`step` 1) or the one before (-1), around the end; None if there is
        no change."""
        if not self.starts:
            return None
        if step > 0:
            return next((start for start in self.starts if start > line), self.starts[0])
        return next((start for start in reversed(self.starts) if start < line), self.starts[-1])


NO_MARKS = LineMarks({}, ())


def marks_between(before: Sequence[str], after: Sequence[str]) -> LineMarks:
    """How the lines `after` differ from the lines `before`."""
    by_line: dict[int, Mark] = {}
    starts: list[int] = []
    for block in blocks(before, after):
        if block.after_start == block.after_end:
            line = max(0, block.after_start - 1)
            by_line.setdefault(line, "removed" if block.after_start else "removed above")
            starts.append(line)
            continue
        kind: Mark = "changed" if block.before_end > block.before_start else "added"
        by_line.update(dict.fromkeys(range(block.after_start, block.after_end), kind))
        starts.append(block.after_start)
    return LineMarks(by_line, tuple(starts))
