"""Committing what was decided."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from app.errors import TidegateError
from app.review.model import FileChange
from app.ui.dialogs.commit import CommitDialog
from app.ui.panes.review.context import ReviewContext

# Suggests a commit message for these changes.
Suggest = Callable[[Sequence[FileChange]], Awaitable[str]]


async def ask(
    context: ReviewContext,
    *,
    pending: int,
    message: str,
    keep_message: Callable[[str], None],
    suggest: Suggest | None,
    committed: Callable[[], Awaitable[None]],
) -> None:
    """Ask for a message and commit; where there is no repository, only take what was decided off the list.

    `pending` hunks are undecided; `message` was written before, and `keep_message` is given what was written
    and not committed; `committed` is awaited after a commit.
    """
    app, work = context.app, context.work
    desk = work.desk
    try:
        changes, can_commit = await work.run(lambda: (desk.to_commit(), desk.can_commit))
    except TidegateError as error:
        app.notify(str(error), severity="warning")
        return
    if not changes:
        app.notify(f"Nothing is {desk.words.taken} yet, and only that is committed.", severity="warning")
        return
    if not can_commit:
        context.run(desk.put_away, None)
        return

    async def commit(text: str, sign_off: bool, amend: bool) -> str:
        said = await work.run(lambda: work.desk.commit(text, sign_off=sign_off, amend=amend))
        await committed()
        return said

    app.push_screen(
        CommitDialog(
            commit,
            hunks=sum(len(change.hunks) for change in changes),
            files=len(changes),
            pending=pending,
            last_message=lambda: asyncio.to_thread(desk.last_message),
            message=message,
            suggest=(lambda: suggest(changes)) if suggest is not None else None,
        ),
        lambda left: keep_message(left or ""),
    )
