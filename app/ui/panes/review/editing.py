"""Editing a hunk in place."""

from app.errors import TidegateError
from app.ui.dialogs.edit_hunk import EditHunkDialog
from app.ui.drawing.text import visible
from app.ui.editor import edit_text
from app.ui.panes.review.context import ReviewContext


def edit_hunk(context: ReviewContext) -> None:
    """Ask for the new text of the cursor's hunk."""
    app, desk = context.app, context.work.desk
    change, hunk = context.view.current_change, context.view.current_hunk
    if change is None or hunk is None:
        return
    try:
        text = desk.text_of(change, hunk)
    except TidegateError as error:
        app.notify(str(error), severity="warning")
        return

    def save(new: str | None) -> None:
        if new is not None and new != text:
            context.run(lambda: context.work.desk.edit(change, hunk, new), hunk.id)

    def edit_outside(now: str) -> str:
        written = edit_text(app, now.removesuffix("\n"), change.path)
        return f"{written}\n" if written else ""

    app.push_screen(EditHunkDialog(f"{visible(change.path)}:{hunk.after_start}", text, edit_outside), save)
