"""The lines of a diff that contain a text, in the order of the search."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from app.review.diff.hunk_text import HunkText
from app.review.model import FileChange
from app.ui.diff.model.rows import Row


def lines_with(
    text: str, changes: Sequence[FileChange], row: Row, *, backwards: bool = False, from_row: bool = False
) -> Iterator[tuple[int, int, int]]:
    """The indices of file, hunk and line of each line that contains `text`: those after `row` (before it if
    `backwards`; with `from_row` also `row` itself), then the rest, around the end.

    A text in lower case matches both cases. Folded hunks are searched too.
    """
    places = [(file, hunk) for file, change in enumerate(changes) for hunk in range(len(change.hunks))]
    if not places:
        return
    fold = text == text.lower()
    start = bisect_left(places, (row.file, row.hunk)) % len(places)
    index = -1
    if row.kind == "line" and places[start] == (row.file, row.hunk):
        index = (row.right if row.right is not None else row.left) or 0
        index -= from_row and not backwards
    step = -1 if backwards else 1
    needle = text.encode("utf-8", "surrogateescape")
    for distance in range(len(places) + 1):
        file, number = places[(start + step * distance) % len(places)]
        lines = changes[file].hunks[number].lines
        if isinstance(lines, HunkText) and text.isascii() and not lines.may_hold(needle, fold):
            continue
        found = [n for n, line in enumerate(lines) if text in (line.text.lower() if fold else line.text)]
        if distance == 0:
            found = [n for n in found if (n < index if backwards else n > index)]
        for line_number in reversed(found) if backwards else found:
            yield file, number, line_number
