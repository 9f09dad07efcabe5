"""Comments for other programs: to the clipboard, or as a note of git."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from app.errors import TidegateError
from app.review.desks.desk import Desk
from app.review.exports.comments import as_github_review, as_markdown
from app.review.exports.places import made_on
from app.review.port import ReviewPort
from app.ui.base import ActionApp
from app.ui.dialogs.listing import Listing, ListRow

_FORMS = (
    ListRow("markdown", "Markdown, to the clipboard"),
    ListRow("github", "A GitHub review as JSON, to the clipboard"),
    ListRow("notes", "A note of git on the commit (git log --notes=review)"),
)


async def choose(
    app: ActionApp[object], desk: Desk, port: ReviewPort, run: Callable[[Awaitable[None]], object]
) -> None:
    """Ask for a form, and export the comments on what is reviewed in it; `run` starts what takes a while."""
    comments = made_on(await asyncio.to_thread(port.comments), [desk.source])
    if not comments:
        app.notify("There are no comments here to export.", timeout=3)
        return

    def text_of(form: str) -> str:
        if form == "github":
            return json.dumps(as_github_review(comments, desk.changes(), desk.commit_id()), indent=2)
        return as_markdown(desk.title, comments)

    async def export(form: str) -> None:
        try:
            text = await asyncio.to_thread(text_of, form)
            if form == "notes":
                app.notify(await asyncio.to_thread(desk.write_note, text), timeout=5)
                return
        except TidegateError as error:
            app.notify(str(error), severity="error", timeout=8)
            return
        count = f"{len(comments)} comment{'' if len(comments) == 1 else 's'}"
        if await app.copy(text):
            app.notify(f"Copied {count}.", timeout=3)
        else:
            app.notify(f"Asked the terminal to copy {count}; some terminals do not.", timeout=4)

    def done(chosen: tuple[str, str] | None) -> None:
        if chosen is not None:
            run(export(chosen[1]))

    app.push_screen(Listing("Export the comments", list(_FORMS), {"enter": "exports"}), done)
