"""How much of the files is shown around the hunks."""

from collections.abc import Iterator, Sequence

from app.review.model import FileChange, Hunk
from app.ui.diff.model.rows import first_lines

_STEP = 20  # lines of the file that one key press shows on either side of a hunk


class Surroundings:
    """The files, as far as they were read, and how many of their lines are in view above and below a hunk."""

    def __init__(self) -> None:
        self.files: dict[str, Sequence[str]] = {}
        """The lines of files after the change, by path."""
        self._shown: dict[str, tuple[int, int]] = {}

    def __iter__(self) -> Iterator[str]:
        """The ids of the hunks that have more than their own lines in view."""
        return iter(self._shown)

    def of(self, hunk_id: str) -> tuple[int, int]:
        """The lines in view above and below a hunk."""
        return self._shown.get(hunk_id, (0, 0))

    def clear(self) -> None:
        """To be called for other changes."""
        self.files.clear()
        self._shown.clear()

    def hide(self, hunk: Hunk) -> None:
        """Show no more than the hunk."""
        self._shown.pop(hunk.id, None)

    def know(self, change: FileChange, hunk: Hunk, lines: Sequence[str]) -> bool:
        """Keep `lines`, the whole file. False if they are not the file that the hunk belongs to."""
        for line in hunk.lines:
            at = line.after_number
            if at is not None and (at > len(lines) or lines[at - 1] != line.text):
                return False
        self.files[change.path] = lines
        return True

    def above(self, change: FileChange, hunk: Hunk) -> Sequence[str]:
        """The file above a hunk, as far as it is known."""
        lines = self.files.get(change.path)
        return () if lines is None else lines[: max(0, first_lines(hunk)[1] - 1)]

    def extend(self, change: FileChange, hunk: Hunk, lines: Sequence[str]) -> bool:
        """Show some more around `hunk`, up to its neighbours; as `know` otherwise."""
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
