"""What one turn made of each file, for its summary."""

from collections.abc import Callable, Collection

from app.review.diff.compare import file_change
from app.review.errors import LostContent
from app.review.log.change_log import ReviewState
from app.review.log.entries import ImageName
from app.review.model import FileImage, FileSummary, Remark


def turn_files(
    state: ReviewState,
    serial: int,
    content: Callable[[ImageName | None], FileImage | None],
    notes: Collection[Remark],
) -> tuple[FileSummary, ...]:
    """The files that turn `serial` changed, with the lines that it added and removed altogether and how many of
    `notes` are on its changes. `content` reads an image."""
    found: list[FileSummary] = []
    for path, first in sorted(state.firsts.get(serial, {}).items()):
        file = state.files.get(path)
        after = file.image() if file is not None else content(state.images.get(path))
        try:
            change = file_change(path, content(first), after)
        except LostContent:
            continue  # the review says so elsewhere
        if change is not None:
            made = {block.id for block in file.weave.blocks.values() if block.turn == serial} if file else set()
            count = sum(
                note.path == path and not made.isdisjoint(note.hunk.partition(":")[0].split("+"))
                for note in notes
            )
            found.append(FileSummary(path, change.added, change.removed, count))
    return tuple(found)
