"""What the dialogs of the review are given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from textual.app import App

from app.ui.diff.view import DiffView
from app.ui.panes.review.desk_work import Decision, DeskWork


@dataclass(frozen=True, slots=True)
class ReviewContext:
    """The application on which a dialog opens, the view that it is about, and how to decide.

    `run` starts a decision; when it is taken, the cursor goes to the hunk with the id given beside it, if any.
    """

    app: App[Any]
    view: DiffView
    work: DeskWork
    run: Callable[[Decision, str | None], None]
