"""Writing, changing and listing comments."""

import asyncio

from app.review.model import Comment, Remark
from app.review.remarks.model import Answer, Note, ReadingOrder
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
    """List what was said on hunks, the user's comments first: to go to one, delete it, or edit a comment."""
    app, work = context.app, context.work

    def read() -> list[Remark]:
        others = [one for one in work.port.remarks.all() if not isinstance(one, ReadingOrder)]
        return [*work.port.comments(), *others]

    remarks = {str(number): one for number, one in enumerate(await asyncio.to_thread(read))}
    if not remarks:
        app.notify("There are no comments yet.", timeout=3)
        return

    def done(chosen: tuple[str, str] | None) -> None:
        if chosen is None:
            return
        remark = remarks[chosen[1]]
        if chosen[0] == "e" and isinstance(remark, Comment):
            _rewrite(context, remark)
        elif chosen[0] == "e":
            app.notify("Only your own comments can be edited.", severity="warning")
        elif chosen[0] == "d" and isinstance(remark, Comment):
            context.run(lambda: work.port.change_comment(remark.id, ""), None)
        elif chosen[0] == "d":
            context.run(lambda: work.port.remarks.change(remark, ""), None)
        elif remark.source != work.desk.source or not context.view.go_to_remark(remark):
            app.notify("What that was on is not in view here.", severity="warning")

    entries = [
        ListRow(
            key,
            one.text.split("\n")[0],
            _place(one),
            _facts(one),
            "accent" if isinstance(one, Comment) and not one.is_sent else "",
        )
        for key, one in remarks.items()
    ]
    app.push_screen(Listing("Comments", entries, {"enter": "goes there", "e": "edits", "d": "deletes"}), done)


def _facts(remark: Remark) -> str:
    """Who said it, where not the user, on what, where not on the agent's work, and whether the agent knows."""
    who = {Answer: ["an answer"], Note: ["the agent"]}.get(type(remark), [])
    facts = [*who, *([remark.source] if remark.source else [])]
    facts += ["sent"] if isinstance(remark, Comment) and remark.is_sent else []
    return f"({', '.join(facts)})" if facts else ""


def _place(remark: Remark) -> str:
    return f"{visible(remark.path)}:{remark.line}" if remark.line else visible(remark.path)
