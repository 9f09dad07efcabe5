"""The review by keyboard: decisions, dialogs, search and movement over one diff view."""

# ruff: noqa: PLC0415  dialogs are imported when they open: the first frame does without them
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Static

from app.errors import TidegateError
from app.review.desks.desk import Desk, HunkPart, Seen
from app.review.model import FileChange, Remark
from app.review.port import ReviewPort
from app.ui.background import begin_again
from app.ui.base import ActionApp
from app.ui.diff.model.pending import first_new, next_pending, pending_parts
from app.ui.diff.view import DiffView
from app.ui.editor import edit
from app.ui.keys.actions import bindings, in_scope
from app.ui.keys.typed_ahead import opening
from app.ui.panes.review.context import ReviewContext
from app.ui.panes.review.desk_work import Decision, DeskWork
from app.ui.panes.review.hunks.tools import HunkTools
from app.ui.panes.review.looking.keys import LookingKeys
from app.ui.panes.review.needed.needed import NeededHunks
from app.ui.panes.review.progress import Cause, Progress
from app.ui.panes.review.reading import around, copying
from app.ui.panes.review.reading.order import ReadingThrough
from app.ui.panes.review.search import Search

if TYPE_CHECKING:
    from textual.widgets import Input

    from app.agent.port import HunkPort
    from app.ui.panes.review.commit import Suggest


class ReviewPane(LookingKeys):
    """A diff view with what can be done about it: `DeskWork` reads and decides, `Progress` counts."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("review"),
        Binding("ctrl+c,super+c", "copy_lines", show=False),
    ]

    class Counted(Message):
        """What is reviewed was read and counted."""

        def __init__(self, decided: int, total: int) -> None:
            super().__init__()
            self.decided = decided
            self.total = total

    class OpenWanted(Message):
        """The user wants to see a file at a line."""

        def __init__(self, path: str, line: int) -> None:
            super().__init__()
            self.path = path
            self.line = line

    class RewindWanted(Message):
        """The user wants to go back to before a turn."""

    class DiskChanged(Message):
        """A decision or a commit changed files or git's state."""

    def __init__(
        self,
        review: ReviewPort,
        desks: Sequence[Desk],
        root: Path,
        *,
        suggest: "Suggest | None" = None,
        first: Sequence[FileChange] | None = None,
        hunks: "Callable[[], HunkPort | None]" = lambda: None,
        id: str | None = None,
    ) -> None:
        """`desks` are what can be reviewed, beginning with the first; `first` are its changes where they are
        known already. Paths are relative to `root`. `suggest` writes a commit message; None without a model.
        `hunks` gives what may be asked of the agent about hunks."""
        super().__init__(id=id)
        self._work = DeskWork(review, desks, self._tell, first)
        self._progress = Progress()
        self._root = root
        self._suggest = suggest
        self._hunks = hunks
        self._tools = HunkTools(root)
        self._first = first
        self._message = ""  # of the commit: written, and not committed yet
        self.view = DiffView(id="diff-view")
        self._search = Search(self, self.view)
        self._needed = NeededHunks(self, self.view, self._work, root, self._count_again)
        self._reading = ReadingThrough(self, self.view, self._work)
        self._nothing = Static(id="review-nothing", markup=False)

    def compose(self) -> ComposeResult:
        yield self._nothing
        yield self.view

    def on_mount(self) -> None:
        if self._first is None:
            self.view.display = False
            self.reload()
        else:
            self._show(self._first, ())
            # The log with the comments on these changes is opened when they are on the screen: the first
            # refresh gives the view its size, the second draws it.
            self.call_after_refresh(self.call_after_refresh, self.reload)

    # What is reviewed.

    @property
    def port(self) -> ReviewPort:
        """The review's log."""
        return self._work.port

    @property
    def desk(self) -> Desk:
        """What is reviewed now."""
        return self._work.desk

    @property
    def total(self) -> int:
        """Hunks that are reviewed."""
        return self._progress.total

    @property
    def decided(self) -> int:
        """Hunks that are decided."""
        return self._progress.decided

    @property
    def pending(self) -> int:
        """Hunks that wait for a decision."""
        return self._progress.pending

    @property
    def hint_names(self) -> Mapping[str, str]:
        """What the hints call this desk's actions; "" for those that it does not have."""
        words = self.desk.words
        names = {"review.keep": words.take, "review.reject": words.drop}
        has_model = self._hunks() is not None
        names |= {} if has_model else {"review.ask": ""}
        names |= {} if has_model and not self.desk.source else {"review.retake": ""}
        if not self.total:
            hinted = {action.id for action in in_scope("review") if action.hint} - {"review.undo"}
            return dict.fromkeys(hinted, "") | ({"review.desk": "other changes"} if self._has_others else {})
        # A desk without a second decision is only read.
        return names if words.drop else names | {"review.edit": "", "review.commit": ""}

    @property
    def _has_others(self) -> bool:
        return self._work.next_desk is not self.desk

    @property
    def summary(self) -> str:
        """How many hunks are decided, and whether some are hidden."""
        parts = [f"{self.decided} of {self.total} decided"] if self.total else []
        parts += ["white space ignored"] if self.view.model.ignores_space else []
        parts += ["in reading order"] if self._reading.is_on else []
        return " · ".join([*parts, *filter(None, [self._needed.summary])])

    def _count_again(self) -> None:
        self.post_message(self.Counted(self.decided, self.total))

    def action_switch_desk(self) -> None:
        self._work.switch()
        self._progress.restart()
        self.reload()

    def show_desk(self, desk: Desk) -> None:
        """Review `desk`, which may be new here."""
        self._work.show(desk)
        self._progress.restart()
        self.reload()

    def put_desk(self, desk: Desk) -> None:
        """Review `desk` in the place of what is reviewed now."""
        self._work.replace(desk)
        self._progress.restart()
        self.reload()

    def put_desk_away(self, desk: Desk) -> None:
        """Review something else from now on, if this is `desk`, which there is no more."""
        self._work.put_away(desk)
        self._progress.restart()
        self.reload()

    def reload(self) -> None:
        """Show what the log and the disk say now."""
        self.run_worker(self._do(None, "reading"), group="review")

    def action_reload(self) -> None:
        self.reload()

    def _tell(self, sentence: str, is_error: bool) -> None:
        if is_error:
            self.app.notify(sentence, severity="error", timeout=8)
        else:
            self.app.notify(sentence, timeout=4)

    def _show(
        self,
        changes: Sequence[FileChange],
        remarks: Sequence[Remark],
        seen: Mapping[str, Seen] | None = None,
        cause: Cause = "reading",
    ) -> None:
        view = self.view
        had_focus = view.has_focus or self.has_focus
        view.model.words = self.desk.words
        here = [remark for remark in remarks if remark.source == self.desk.source]
        view.set_changes(changes, here, self.desk.misfits(), seen)
        self._needed.look(changes)
        self._reading.look(changes, remarks)
        self.look_for_meaning(view.model.changes)
        self._progress.count(changes, cause)
        view.display = bool(changes)
        self._nothing.display = not changes
        if not changes:
            self._nothing.update(self._why_nothing())
        # With nothing left to look at, the keys that undo, commit and change the desk still work.
        self.can_focus = not changes
        if had_focus:
            (view if changes else self).focus()
        self._count_again()

    def _why_nothing(self) -> str:
        app = self.app
        assert isinstance(app, ActionApp)
        said = f"Nothing to review in {self.desk.title}."
        if self._progress.can_undo:
            return f"{said}\n\n{app.key_of('review.undo')} takes the last decision back."
        others = f" {app.key_of('review.desk')} shows {self._work.next_desk.title}." if self._has_others else ""
        return f"{said}\n\nWhat changes appears here, hunk by hunk.{others}"

    # Decisions.

    def run_decision(self, decision: Decision, go_to: str | None = None, *, follows: bool = False) -> None:
        """Take a decision, and show what there is then; see `_do`."""
        self.run_worker(self._do(decision, "decision", go_to, follows=follows), group="review")

    async def _do(
        self, decision: Decision | None, cause: Cause, go_to: str | None = None, *, follows: bool = False
    ) -> None:
        """Take `decision` and show what there is now, with the cursor on the hunk `go_to`; if it `follows`, on
        the first hunk that is new or decided otherwise than before."""
        reading = await self._work.decide(decision)
        if reading is None or not self.is_attached:
            return
        if reading.desk is self.desk:
            if follows:
                go_to = first_new(self.view.model.changes, reading.changes)
            self._show(reading.changes, reading.remarks, reading.seen, cause)
            begin_again(self, "doubt", self._tools.find_doubt, self._about(), reading.changes)
            if go_to is not None and not reading.was_refused:
                self.view.go_to_hunk(go_to)
        if decision is not None:
            self.post_message(self.DiskChanged())

    def _decide(self, decide: Callable[[Sequence[HunkPart]], str], parts: Sequence[HunkPart]) -> None:
        if not parts:
            self.app.notify("Nothing is left to decide here.", timeout=3)
            return
        whole = frozenset(part.hunk.id for part in parts if part.lines is None)
        self.view.leave_selection()
        following = self._reading.after if self._reading.is_on else self._next_pending
        self.run_decision(lambda: decide(parts), following(whole) if whole else None)

    def _next_pending(self, decided: frozenset[str]) -> str | None:
        return next_pending(self.view.model.changes, decided)

    def action_keep(self) -> None:
        change, hunk = self.view.current_change, self.view.current_hunk
        if change is not None and hunk is not None and hunk.decision == "rejected":
            self.run_decision(lambda: self.desk.bring_back(change, hunk), follows=True)
        else:
            self._decide(self.desk.take, self.view.parts_here())

    def action_reject(self) -> None:
        self._decide(self.desk.drop, self.view.parts_here())

    def action_keep_file(self) -> None:
        change = self.view.current_change
        self._decide(self.desk.take, pending_parts(change) if change is not None else ())

    def action_reject_file(self) -> None:
        change = self.view.current_change
        self._decide(self.desk.drop, pending_parts(change) if change is not None else ())

    def action_undo(self) -> None:
        self.run_decision(lambda: self.desk.undo() or "There is no decision to take back.", follows=True)

    def action_redo(self) -> None:
        self.run_decision(
            lambda: self.desk.redo() or "Nothing was undone that could be done again.", follows=True
        )

    def action_select(self) -> None:
        self.view.select()

    # What the tests need.

    def on_key(self, event: events.Key) -> None:
        # Before the key does what it is for.
        if self._needed.cancel() and event.key == "escape":
            event.prevent_default().stop()

    def action_needed(self) -> None:
        self._needed.start()

    def action_keep_smallest(self) -> None:
        smallest = self._needed.smallest()
        if smallest:
            self.run_decision(lambda: self.desk.take(smallest))

    # Dialogs.

    def _open(self, ask: Coroutine[Any, Any, None]) -> None:
        """Open a dialog whose content has to be read first."""

        async def open_it() -> None:
            with opening(self):
                await ask

        self.run_worker(open_it(), group="dialog")

    def _about(self) -> ReviewContext:
        def rewrite(decision: Decision) -> None:
            self.run_worker(self._do(decision, "rewriting", follows=True), group="review")

        return ReviewContext(self.app, self.view, self._work, self.run_decision, rewrite, self._hunks)

    def action_ask(self) -> None:
        self._tools.ask(self._about())

    def action_retake(self) -> None:
        self._tools.retake(self._about())

    def action_switch_doubt(self) -> None:
        self._tools.switch_doubt(self._about())

    def action_commit(self) -> None:
        from app.ui.panes.review import commit

        def keep_message(text: str) -> None:
            self._message = text

        async def committed() -> None:
            self._progress.committed()
            await self._do(None, "reading")
            self.post_message(self.DiskChanged())

        self._open(
            commit.ask(
                self._about(),
                pending=self.pending,
                message=self._message,
                keep_message=keep_message,
                suggest=self._suggest,
                committed=committed,
            )
        )

    def action_comment(self) -> None:
        from app.ui.panes.review import comments

        comments.write(self._about())

    def action_comments(self) -> None:
        from app.ui.panes.review import comments

        self._open(comments.list_all(self._about()))

    def action_list_files(self) -> None:
        from app.ui.panes.review import listings

        listings.list_files(self._about(), self._progress)

    def action_list_turns(self) -> None:
        from app.ui.panes.review import listings

        self._open(listings.list_turns(self._about(), self._tools.retake_turn))

    def action_rewind(self) -> None:
        self.post_message(self.RewindWanted())

    def action_edit(self) -> None:
        from app.ui.panes.review import editing

        editing.edit_hunk(self._about())

    def action_edit_file(self) -> None:
        change = self.view.current_change
        if change is None:
            return
        try:
            with self.desk.users_own(change):
                edit(self.app, self._root / change.path, self.view.current_line)
        except TidegateError as error:
            self.app.notify(str(error), severity="error", timeout=8)
        self.reload()
        self.post_message(self.DiskChanged())

    # Search.

    def action_search(self) -> None:
        self._search.open()

    def on_input_changed(self, event: "Input.Changed") -> None:
        event.stop()
        self._search.typed(event.value)

    def on_input_submitted(self, event: "Input.Submitted") -> None:
        event.stop()
        self._search.submitted(event.value)

    def leave_mode(self) -> bool:
        """Leave the search field, else the selection, else the matches. False if there was none of them."""
        if self._search.close() or self.view.leave_selection():
            return True
        if self.view.model.query_text and self.view.has_focus:
            self.view.find("")
            return True
        return False

    # Looking around.

    def action_open(self) -> None:
        change = self.view.current_change
        if change is not None:
            self.post_message(self.OpenWanted(change.path, self.view.current_line))

    def action_copy(self) -> None:
        text = self.view.clean_text()
        if text:
            self.run_worker(copying.copy(self.app, text), group="copy")
            self.view.leave_selection()

    def action_copy_lines(self) -> None:
        """Ctrl+C copies where lines are selected; elsewhere it keeps the application's meaning."""
        if not self.view.selection.is_active:
            raise SkipAction
        self.action_copy()

    def action_more(self) -> None:
        begin_again(self, "more", around.show_more, self.view, self.desk)

    def action_less(self) -> None:
        self.view.hide_around()

    def on_diff_view_file_wanted(self, event: DiffView.FileWanted) -> None:
        event.stop()
        self.run_worker(around.tell_file(self.view, self.desk, event.change), group="files")

    def action_ignore_space(self) -> None:
        self.view.switch_space()
        self._count_again()

    def action_next_hunk(self) -> None:
        self._step(1)

    def action_previous_hunk(self) -> None:
        self._step(-1)

    def _step(self, step: int) -> None:
        """To the next match of what is searched for; without a search, to the next hunk, or line by doubt."""
        query = self.view.model.query_text
        if query:
            self.view.find(query, backwards=step < 0)
        elif self._reading.is_on:
            self._reading.step(step)
        elif not self._tools.step(self._about(), step):
            self.view.step_hunk(step)

    def action_follow_order(self) -> None:
        self._reading.switch()
        self._count_again()

    def action_next_file(self) -> None:
        self.view.step_file(1)

    def action_previous_file(self) -> None:
        self.view.step_file(-1)

    def action_next_comment(self) -> None:
        if not self.view.step_remark(1):
            self.app.notify("There is no comment further down.", timeout=3)

    def action_prior_comment(self) -> None:
        if not self.view.step_remark(-1):
            self.app.notify("There is no comment further up.", timeout=3)
