"""What the dialogs of the review are given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.app import App

from app.ui.diff.view import DiffView
from app.ui.panes.review.desk_work import Decision, DeskWork

if TYPE_CHECKING:
    from app.agent.port import HunkPort


@dataclass(frozen=True, slots=True)
class ReviewContext:
    """The application on which a dialog opens, the view that it is about, and how to decide.

    `run` starts a decision; when it is taken, the cursor goes to the hunk with the id given beside it, if any.
    `rewrite` starts one that puts other lines in the place of hunks and decides none of them; then the cursor
    goes to the first hunk that is new. `hunks` is what may be asked of the agent, None where there is none.
    """

    app: App[Any]
    view: DiffView
    work: DeskWork
    run: Callable[[Decision, str | None], None]
    rewrite: Callable[[Decision], None]
    hunks: Callable[[], "HunkPort | None"]
