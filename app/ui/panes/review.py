"""What is under review, and what becomes of it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from textual.actions import SkipAction
from textual.binding import Binding, BindingType

from app.errors import TidegateError
from app.review.desks.desk import Part
from app.review.model import FileChange, Hunk
from app.ui.actions import bindings
from app.ui.diff.view import DiffView
from app.ui.panes.review_dialogs import ReviewDialogs

if TYPE_CHECKING:
    from textual.widgets import Input

    from app.ui.widgets.ask_line import AskLine


class ReviewPane(ReviewDialogs):
    """The review by keyboard: decisions, search, and looking around."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("review"),
        Binding("ctrl+c,super+c", "copy_lines", show=False),
    ]

    _field: "AskLine | None" = None

    # Decisions.

    def _decide(self, decide: Callable[[Sequence[Part]], str], parts: Sequence[Part]) -> None:
        if not parts:
            self.app.notify("Nothing is left to decide here.", timeout=3)
            return
        whole = frozenset(part.hunk.id for part in parts if part.lines is None)
        self.view.leave_selection()
        self._run(lambda: decide(parts), self.view.next_pending(whole) if whole else None)

    def _parts_here(self) -> Sequence[Part]:
        if self.view.is_selecting:
            return self.view.selected_parts()
        change, hunk = self.view.current_change, self.view.current_hunk
        if change is None or hunk is None or hunk.decision != "pending":
            return ()
        return (Part(change, hunk),)

    def _parts_of_file(self) -> Sequence[Part]:
        change = self.view.current_change
        hunks = change.hunks if change is not None else ()
        return [Part(change, hunk) for hunk in hunks if change is not None and hunk.decision == "pending"]

    def action_keep(self) -> None:
        self._decide(self.desk.take, self._parts_here())

    def action_reject(self) -> None:
        self._decide(self.desk.drop, self._parts_here())

    def action_keep_file(self) -> None:
        self._decide(self.desk.take, self._parts_of_file())

    def action_reject_file(self) -> None:
        self._decide(self.desk.drop, self._parts_of_file())

    def action_undo(self) -> None:
        self._run(lambda: self.desk.undo() or "There is no decision to take back.", goes_along=True)

    def action_redo(self) -> None:
        self._run(lambda: self.desk.redo() or "Nothing was undone that could be done again.", goes_along=True)

    def action_select(self) -> None:
        self.view.select()

    def action_switch_desk(self) -> None:
        number = self._desks.index(self.desk)
        self.review_desk((number + 1) % len(self._desks))

    def review_desk(self, number: int) -> None:
        """Lay the `number`th desk's changes on the table."""
        self.desk = self._desks[number]
        self._gone = self.total = self.decided = 0
        self.reload()

    # Search.

    def action_search(self) -> None:
        if not self.view.display:
            return
        if self._field is None:
            from app.ui.widgets.ask_line import AskLine  # noqa: PLC0415  the first frame does not wait for it

            self._field = AskLine(id="review-input")
            self.mount(self._field)
        self._field.open("Search; Enter finds, Esc leaves")

    def _close_search(self) -> bool:
        if self._field is None or not self._field.close():
            return False
        self.view.focus()
        return True

    def leave_mode(self) -> bool:
        """Leave what is innermost: the search field, the selection, the matches. False if there was nothing."""
        if self._close_search() or self.view.leave_selection():
            return True
        if self.view.query_text and self.view.has_focus:
            self.view.find("")
            return True
        return False

    def on_input_changed(self, event: "Input.Changed") -> None:
        event.stop()
        if self._field is not None and self._field.display:
            self.view.find(event.value, from_cursor=True)

    def on_input_submitted(self, event: "Input.Submitted") -> None:
        event.stop()
        self._close_search()
        if event.value and not self.view.find(event.value, from_cursor=True):
            self.app.notify(f"{event.value!r} is in no hunk.", severity="warning")

    # Looking.

    def action_open(self) -> None:
        change = self.view.current_change
        if change is not None:
            self.post_message(self.OpenWanted(change.path, self.view.current_line))

    def action_copy(self) -> None:
        text = self.view.clean_text()
        if text:
            self.app.copy_to_clipboard(text)
            count = text.count("\n") + 1
            self.app.notify(f"Copied {count} line{'' if count == 1 else 's'}.", timeout=2)
            self.view.leave_selection()

    def action_copy_lines(self) -> None:
        """Ctrl+C, where lines are selected; elsewhere it is what it is without us."""
        if not self.view.is_selecting:
            raise SkipAction
        self.action_copy()

    def action_more(self) -> None:
        self.run_worker(self._more(), group="more", exclusive=True)

    async def _more(self) -> None:
        change = self.view.current_change
        if change is None:
            return
        try:
            lines = await asyncio.to_thread(self.desk.lines, change)
        except (TidegateError, OSError) as error:
            self.app.notify(str(error), severity="error")
            return
        rows = self.view.row_count
        if not (lines and self.view.show_around(lines, more=True)):
            self.app.notify("The file as it is after this change is not here.", severity="warning")
        elif self.view.row_count == rows:
            self.app.notify("All of the file around this hunk is shown.", timeout=3)

    def on_diff_view_file_wanted(self, event: DiffView.FileWanted) -> None:
        event.stop()
        self.run_worker(self._tell_file(event.change, event.hunk), group="files")

    async def _tell_file(self, change: FileChange, hunk: Hunk) -> None:
        # A file that cannot be read is only coloured as well as its hunks alone tell.
        with suppress(TidegateError, OSError):
            self.view.know_file(change, hunk, await asyncio.to_thread(self.desk.lines, change))

    def action_less(self) -> None:
        self.view.show_around((), more=False)

    def action_ignore_space(self) -> None:
        self.view.ignore_space()
        self.post_message(self.Counted(self.decided, self.total))

    def action_next_hunk(self) -> None:
        if self.view.query_text:
            self.view.find(self.view.query_text)
        else:
            self.view.step_hunk(1)

    def action_previous_hunk(self) -> None:
        if self.view.query_text:
            self.view.find(self.view.query_text, backwards=True)
        else:
            self.view.step_hunk(-1)

    def action_next_file(self) -> None:
        self.view.step_file(1)

    def action_previous_file(self) -> None:
        self.view.step_file(-1)

    def action_fold(self) -> None:
        self.view.fold()

    def action_switch_layout(self) -> None:
        self.view.switch_arrangement()

    def action_wrap(self) -> None:
        self.view.switch_wrap()

    def action_reload(self) -> None:
        self.reload()
