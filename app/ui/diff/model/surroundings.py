"""How many lines of the files are shown around the hunks."""

from collections.abc import Iterator, Sequence

from app.review.model import FileChange, Hunk
from app.ui.diff.model.rows import first_lines

_STEP = 20  # lines of the file that one key press shows on either side of a hunk


class Surroundings:
    """The files that were read, and how many of their lines are shown above and below each hunk."""

    def __init__(self) -> None:
        self.files: dict[str, Sequence[str]] = {}
        """The lines of the files that were read, after the change, by path."""
        self._shown: dict[str, tuple[int, int]] = {}

    def __iter__(self) -> Iterator[str]:
        """The ids of the hunks that are shown with lines around them."""
        return iter(self._shown)

    def of(self, hunk_id: str) -> tuple[int, int]:
        """The number of lines shown above and below a hunk."""
        return self._shown.get(hunk_id, (0, 0))

    def clear(self) -> None:
        """Forget everything; to be called when the changes are others."""
        self.files.clear()
        self._shown.clear()

    def hide(self, hunk: Hunk) -> None:
        """Show no lines around `hunk`."""
        self._shown.pop(hunk.id, None)

    def know(self, change: FileChange, hunk: Hunk, lines: Sequence[str]) -> bool:
        """Remember `lines` as the whole file of `change`. False if the lines of `hunk` are not in them."""
        for line in hunk.lines:
            at = line.after_number
            if at is not None and (at > len(lines) or lines[at - 1] != line.text):
                return False
        self.files[change.path] = lines
        return True

    def extend(self, change: FileChange, hunk: Hunk, lines: Sequence[str]) -> bool:
        """Show more lines around `hunk`, at most up to the hunks next to it. `lines` is the whole file; False
        if the lines of `hunk` are not in them."""
        if not self.know(change, hunk, lines):
            return False
        number = change.hunks.index(hunk)
        first = first_lines(hunk)[1]
        end = first + hunk.after_count  # the line behind the hunk
        earlier = change.hunks[number - 1] if number else None
        later = change.hunks[number + 1] if number + 1 < len(change.hunks) else None
        floor, ceiling = 1, len(lines) + 1
        if earlier is not None and earlier.lines:
            floor = first_lines(earlier)[1] + earlier.after_count + self.of(earlier.id)[1]
        if later is not None and later.lines:
            ceiling = first_lines(later)[1] - self.of(later.id)[0]
        above, below = self.of(hunk.id)
        self._shown[hunk.id] = (
            max(above, min(above + _STEP, first - floor)),
            max(below, min(below + _STEP, ceiling - end)),
        )
        return True
