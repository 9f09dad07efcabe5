"""The lines of the files around the hunks: read when they are wanted."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from app.errors import TidegateError
from app.review.desks.desk import Desk
from app.review.model import FileChange
from app.ui.diff.view import DiffView


async def show_more(view: DiffView, desk: Desk) -> None:
    """Show more of the file around the cursor's hunk."""
    change = view.current_change
    if change is None:
        return
    try:
        lines = await asyncio.to_thread(desk.lines, change)
    except (TidegateError, OSError) as error:
        view.app.notify(str(error), severity="error")
        return
    rows = view.row_count
    if not (lines and view.show_around(lines)):
        view.app.notify("The file as it is after this change is not here.", severity="warning")
    elif view.row_count == rows:
        view.app.notify("All of the file around this hunk is shown.", timeout=3)


async def tell_file(view: DiffView, desk: Desk, change: FileChange) -> None:
    """Give the view the lines of a file, for the colours."""
    lines: Sequence[str] = ()
    # Where a file cannot be read, the colours are those that the hunks alone give for certain.
    with suppress(TidegateError, OSError):
        lines = await asyncio.to_thread(desk.lines, change)
    view.know_file(change, lines)
