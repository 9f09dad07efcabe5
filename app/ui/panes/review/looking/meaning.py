"""Looking for moved code, and for what is only reformatted or renamed: in threads, when the diff is drawn."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from app.errors import TidegateError
from app.review.desks.desk import Desk
from app.review.model import FileChange

if TYPE_CHECKING:
    from app.review.diff.meaning.notes import Note
    from app.ui.diff.view import DiffView

MOST_FILES = 1_000
"""Files that are read to tell what is only reformatted; chosen, some ten milliseconds each."""


async def find_moves(view: "DiffView", changes: Sequence[FileChange]) -> None:
    """Show in `view` what moved, if it still shows `changes` by then."""
    from app.review.diff.meaning import moves  # noqa: PLC0415  the first frame does without it

    found = await asyncio.to_thread(moves.find_moves, changes)
    if view.model.changes is changes:
        view.model.meaning.know_moves(found)
        view.refresh()


async def find_notes(view: "DiffView", desk: Desk, changes: Sequence[FileChange]) -> bool:
    """Fold in `view` what is only reformatted or renamed, if it still shows `changes` by then. False if a diff
    has so many files that they were not read."""
    if len(changes) > MOST_FILES:
        return False
    found = await asyncio.to_thread(_notes, desk, changes)
    if view.model.changes is changes:
        view.know_notes(found)
    return True


def _notes(desk: Desk, changes: Sequence[FileChange]) -> "Mapping[str, tuple[Note, ...]]":
    from app.review.diff.meaning.notes import notes_on  # noqa: PLC0415  loads the grammars' library
    from app.review.diff.meaning.tokens import can_read  # noqa: PLC0415

    files: list[tuple[FileChange, Sequence[str]]] = []
    for change in changes:
        if can_read(change.path):
            # Of a file that cannot be read, every line is shown.
            with suppress(TidegateError, OSError):
                files.append((change, desk.lines(change)))
    return notes_on(files)
