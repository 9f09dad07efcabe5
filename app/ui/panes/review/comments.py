"""Writing, changing and listing comments."""

import asyncio

from app.review.model import Comment
from app.review.remarks.model import Answer
from app.ui.dialogs.comment import CommentDialog
from app.ui.dialogs.listing import Listing, ListRow
from app.ui.drawing.text import visible
from app.ui.panes.review.context import ReviewContext


def write(context: ReviewContext) -> None:
    """Ask for a comment on the cursor's line or hunk, or for a change of the comment there."""
    view, work = context.view, context.work
    change, hunk = view.current_change, view.current_hunk
    if change is None or hunk is None:
        return
    existing = view.current_comment
    if existing is not None:
        _rewrite(context, existing)
        return
    line = view.current_diff_line
    said = view.model.remark_at(view.cursor_row)
    begun = ""
    if isinstance(said, Answer):
        # What was asked and answered goes to the agent, as far as the user leaves it there.
        number, quoted, begun = said.line, said.quoted, f"{said.question}\n{said.text}"
    elif line is not None:
        number = (line.before_number if line.kind == "removed" else line.after_number) or 0
        quoted = line.text
    else:
        number, quoted = (view.current_line if hunk.lines else 0), ""
    source = work.desk.source

    def save(text: str | None) -> None:
        def add() -> None:
            work.port.comment(change.path, number, quoted, text or "", source=source, hunk=hunk.id)

        if text:
            context.run(add, None)

    place = f"{change.path}:{number}" if number else change.path
    context.app.push_screen(CommentDialog(place, view.cursor_place, begun), save)


def _rewrite(context: ReviewContext, comment: Comment) -> None:
    def save(text: str | None) -> None:
        if text is not None:
            context.run(lambda: context.work.port.change_comment(comment.id, text), None)

    context.app.push_screen(CommentDialog(_place(comment), context.view.cursor_place, comment.text), save)


async def list_all(context: ReviewContext) -> None:
    """List all comments, to go to one, change or delete it."""
    app, work = context.app, context.work
    comments = {str(one.id): one for one in await asyncio.to_thread(work.port.comments)}
    if not comments:
        app.notify("There are no comments yet.", timeout=3)
        return

    def done(chosen: tuple[str, str] | None) -> None:
        if chosen is None:
            return
        comment = comments[chosen[1]]
        if chosen[0] == "e":
            _rewrite(context, comment)
        elif chosen[0] == "d":
            context.run(lambda: work.port.change_comment(comment.id, ""), None)
        elif comment.source != work.desk.source or not context.view.go_to_remark(comment):
            app.notify("What that comment was on is not in view here.", severity="warning")

    entries = [
        ListRow(key, one.text.split("\n")[0], _place(one), _facts(one), "" if one.is_sent else "accent")
        for key, one in comments.items()
    ]
    app.push_screen(Listing("Comments", entries, {"enter": "goes there", "e": "edits", "d": "deletes"}), done)


def _facts(comment: Comment) -> str:
    facts = [comment.source] if comment.source else []
    return f"({', '.join([*facts, 'sent'] if comment.is_sent else facts)})" if facts or comment.is_sent else ""


def _place(comment: Comment) -> str:
    return f"{visible(comment.path)}:{comment.line}" if comment.line else visible(comment.path)
