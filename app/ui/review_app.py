"""The review alone, full screen: what `tidegate review` opens."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen

from app.errors import TidegateError
from app.review.desks.desk import Desk
from app.review.model import FileChange
from app.review.port import ReviewPort
from app.settings.settings import Settings
from app.ui.base import ActionApp
from app.ui.drawing.text import visible
from app.ui.editor import edit
from app.ui.keys.actions import bindings
from app.ui.keys.keymap import Keymap
from app.ui.panes.review.pane import ReviewPane
from app.ui.widgets.hint_line import HintLine


class ReviewScreen(Screen[None]):
    """The pane in a frame with the title and the progress of the review."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("standalone")]
    AUTO_FOCUS = "#diff-view"

    def __init__(self, pane: ReviewPane, root: Path, keymap: Keymap, notice: str) -> None:
        super().__init__()
        self.review = pane
        self._root = root
        self._notice = notice
        self._frame = Container(id="review-pane", classes="pane focused")
        self._hints = HintLine(keymap, id="hints")

    def compose(self) -> ComposeResult:
        with self._frame:
            yield self.review
        yield self._hints

    def on_mount(self) -> None:
        self._hints.rename(self.review.hint_names)
        self._hints.show(("review", "standalone", "app"))

    def on_review_pane_counted(self) -> None:
        files = len(self.review.view.model.changes)
        title = visible(self.review.desk.title)
        self._frame.border_title = Content(f"Review of {title}")
        parts = [self._notice, f"{files} file{'' if files == 1 else 's'}", self.review.summary]
        self._frame.border_subtitle = " · ".join(filter(None, parts))
        self._hints.rename(self.review.hint_names)
        if self.focused is None:
            (self.review.view if self.review.view.display else self.review).focus()

    def on_review_pane_open_wanted(self, event: ReviewPane.OpenWanted) -> None:
        try:
            edit(self.app, self._root / event.path, event.line)
        except TidegateError as error:
            self.app.notify(str(error), severity="error", timeout=8)
        self.review.reload()

    def on_review_pane_rewind_wanted(self) -> None:
        # There is no conversation here, and of the files' turns the list can reject any.
        self.review.action_list_turns()

    def action_leave_mode(self) -> None:
        self.review.leave_mode()

    def action_quit(self) -> None:
        self.app.exit()


class ReviewApp(ActionApp[None]):
    """A review of one of several desks, the first of them now. `notice` is what git is in the middle of."""

    def __init__(
        self,
        review: ReviewPort,
        desks: Sequence[Desk],
        root: Path,
        *,
        first: Sequence[FileChange] | None = None,
        notice: str = "",
        keymap: Keymap | None = None,
        settings: Settings | None = None,
        changed: AsyncIterator[None] | None = None,
    ) -> None:
        """`changed` yields whenever what is reviewed may have become another."""
        super().__init__(keymap=keymap, settings=settings)
        self._changed = changed
        pane = ReviewPane(review, desks, root, first=first, id="review")
        self.review_screen = ReviewScreen(pane, root, self.user_keymap, notice)

    def on_mount(self) -> None:
        self.push_screen(self.review_screen)
        self.tell_notices()
        if self._changed is not None:
            self.run_worker(self._follow(self._changed), group="watch")

    async def _follow(self, changed: AsyncIterator[None]) -> None:
        try:
            async for _ in changed:
                self.review_screen.review.reload()
        except TidegateError as error:
            self.notify(str(error), severity="error", timeout=8)

    def target_of(self, scope: str) -> DOMNode | None:
        return {"app": self, "review": self.review_screen.review, "standalone": self.review_screen}.get(scope)
