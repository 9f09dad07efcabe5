"""What is under review, and what becomes of it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, Static

from app.errors import TidegateError
from app.review.desk import Desk, Part
from app.review.errors import ReviewError
from app.review.model import Comment, FileChange
from app.review.port import ReviewPort
from app.ui.actions import bindings
from app.ui.editor import edit
from app.ui.screens.comment import CommentDialog
from app.ui.screens.commit import CommitDialog
from app.ui.screens.listing import Entry, Listing
from app.ui.text import visible
from app.ui.widgets.diff_drawing import KIND_LETTERS
from app.ui.widgets.diff_view import DiffView

# Suggests a commit message for these changes; None where there is no model to ask.
Suggest = Callable[[Sequence[FileChange]], Awaitable[str]]


class ReviewPane(Vertical):
    """The diff view and the decisions. Everything that touches the disk runs in a thread, one at a time."""

    BINDINGS: ClassVar[list[BindingType]] = list(bindings("review"))

    class Counted(Message):
        """How much is decided of what lies on the desk."""

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

    class DiskChanged(Message):
        """A decision or a commit changed files or git's state."""

    def __init__(
        self,
        review: ReviewPort,
        desks: Sequence[Desk],
        root: Path,
        *,
        suggest: Suggest | None = None,
        first: Sequence[FileChange] | None = None,
        id: str | None = None,
    ) -> None:
        """`desks` are what can be reviewed, the first of them now; `first` are its changes where they are known
        already. Paths are relative to `root`."""
        super().__init__(id=id)
        self._review = review
        self._desks = desks
        self._root = root
        self._suggest = suggest
        self._first = first
        self._turnstile = asyncio.Lock()
        self._gone = 0  # decided hunks that are no longer among the changes
        self.desk = desks[0]
        self.view = DiffView(id="diff-view")
        self._nothing = Static(id="review-nothing", markup=False)
        self._input = Input(id="review-input", placeholder="Search; Enter finds, Esc leaves", compact=True)
        self.decided = 0
        self.total = 0

    def compose(self) -> ComposeResult:
        yield self._nothing
        yield self.view
        yield self._input

    def on_mount(self) -> None:
        self._input.display = False
        if self._first is not None:
            self._show(self._first, ())
        else:
            self.view.display = False
        self.reload()

    @property
    def pending(self) -> int:
        """Hunks that wait for a decision."""
        return self.total - self.decided

    @property
    def hint_names(self) -> Mapping[str, str]:
        """What the hints of this desk's actions are called; "" for those that there are not."""
        words = self.desk.words
        return {"review.keep": words.take, "review.reject": words.drop}

    def reload(self) -> None:
        """Show what the log and the disk say now."""
        self.run_worker(self._do(None), group="review")

    async def _do(self, work: Callable[[], str | None] | None, go_to: str | None = None) -> bool:
        """Run the decision `work` in a thread and show what came of it. False if review refused."""
        refused = False
        async with self._turnstile:
            desk = self.desk
            try:
                if work is not None:
                    said = await asyncio.to_thread(work)
                    if said:
                        self.app.notify(said, timeout=4)
            except ReviewError as error:
                self.app.notify(str(error), severity="error", timeout=8)
                refused = True
            if refused and not desk.misfits():
                return False
            try:
                known, self._first = self._first, None
                changes = known if known is not None else await asyncio.to_thread(desk.changes)
                comments = await asyncio.to_thread(self._review.comments)
            except ReviewError as error:
                self.app.notify(str(error), severity="error", timeout=8)
                return False
        if not self.is_attached:
            return False
        if desk is self.desk:
            self._show(changes, comments, None if refused else go_to, has_decided=work is not None)
        if work is not None:
            self.post_message(self.DiskChanged())
        return not refused

    def _show(
        self,
        changes: Sequence[FileChange],
        comments: Sequence[Comment],
        go_to: str | None = None,
        *,
        has_decided: bool = False,
    ) -> None:
        view = self.view
        had_focus = view.has_focus or self.has_focus
        view.words = self.desk.words
        here = [comment for comment in comments if comment.source == self.desk.source]
        view.set_changes(changes, here, self.desk.misfits())
        view.display = bool(changes)
        self._nothing.display = not changes
        self._nothing.update(
            f"Nothing to review in {self.desk.title}.\n\nWhat changes appears here, hunk by hunk."
        )
        # With nothing left to look at, the keys that undo, commit and change the subject still work.
        self.can_focus = not changes
        if had_focus:
            (view if changes else self).focus()
        if go_to is not None:
            view.go_to_hunk(go_to)
        hunks = view.hunk_ids()
        if has_decided:
            self._gone = max(0, self.total - len(hunks))
        if not hunks:
            self._gone = 0
        self.total = len(hunks) + self._gone
        self.decided = self.total - sum(is_pending for _, is_pending in hunks)
        self.post_message(self.Counted(self.decided, self.total))

    def _run(self, work: Callable[[], str | None], go_to: str | None = None) -> None:
        self.run_worker(self._do(work, go_to), group="review")

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
        self._run(lambda: self.desk.undo() or "There is no decision to take back.")

    def action_redo(self) -> None:
        self._run(lambda: self.desk.redo() or "Nothing was undone that could be done again.")

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

    # Committing.

    def action_commit(self) -> None:
        self.run_worker(self._ask_commit(), group="commit", exclusive=True)

    async def _ask_commit(self) -> None:
        try:
            changes = await asyncio.to_thread(self.desk.to_commit)
        except ReviewError as error:
            self.app.notify(str(error), severity="warning")
            return
        if not changes:
            what = f"Nothing is {self.desk.words.taken} yet, and only that is committed."
            self.app.notify(what, severity="warning")
            return
        suggest = self._suggest
        self.app.push_screen(
            CommitDialog(
                self._commit,
                hunks=sum(len(change.hunks) for change in changes),
                files=len(changes),
                pending=self.pending,
                suggest=(lambda: suggest(changes)) if suggest is not None else None,
            )
        )

    async def _commit(self, message: str, sign_off: bool, amend: bool) -> str:
        async with self._turnstile:
            said = await asyncio.to_thread(lambda: self.desk.commit(message, sign_off=sign_off, amend=amend))
            self._gone = 0
        await self._do(None)
        self.post_message(self.DiskChanged())
        return said

    # Comments.

    def action_comment(self) -> None:
        change, hunk = self.view.current_change, self.view.current_hunk
        if change is None or hunk is None:
            return
        existing = self.view.current_comment
        if existing is not None:
            self._change_comment(existing)
            return
        line = self.view.current_diff_line
        if line is not None:
            number = (line.before_number if line.kind == "removed" else line.after_number) or 0
            quoted = line.text
        else:
            number, quoted = (self.view.current_line if hunk.lines else 0), ""
        place = f"{change.path}:{number}" if number else change.path
        source = self.desk.source

        def save(text: str | None) -> None:
            if text:
                self._run(lambda: _silently(self._review.comment(change.path, number, quoted, text, source)))

        self.app.push_screen(CommentDialog(place, quoted), save)

    def _change_comment(self, comment: Comment) -> None:
        def save(text: str | None) -> None:
            if text is not None:
                self._run(lambda: self._review.change_comment(comment.id, text))

        self.app.push_screen(CommentDialog(_place(comment), comment.quoted, comment.text), save)

    def action_comments(self) -> None:
        self.run_worker(self._list_comments(), group="listing", exclusive=True)

    async def _list_comments(self) -> None:
        comments = {str(one.id): one for one in await asyncio.to_thread(self._review.comments)}
        if not comments:
            self.app.notify("There are no comments yet.", timeout=3)
            return
        entries = [
            Entry(key, one.text.split("\n")[0], _place(one), f"({one.source})" if one.source else "", "accent")
            for key, one in comments.items()
        ]

        def done(chosen: tuple[str, str] | None) -> None:
            if chosen is None:
                return
            comment = comments[chosen[1]]
            if chosen[0] == "e":
                self._change_comment(comment)
            elif chosen[0] == "d":
                self._run(lambda: self._review.change_comment(comment.id, ""))
            elif comment.source != self.desk.source or not self.view.go_to_comment(comment.id):
                self.app.notify("What that comment was on is not in view here.", severity="warning")

        verbs = {"enter": "goes there", "e": "edits", "d": "deletes"}
        self.app.push_screen(Listing("Comments", entries, verbs), done)

    def action_next_comment(self) -> None:
        if not self.view.step_comment(1):
            self.app.notify("There is no comment further down.", timeout=3)

    def action_prior_comment(self) -> None:
        if not self.view.step_comment(-1):
            self.app.notify("There is no comment further up.", timeout=3)

    # Files and turns.

    def action_list_files(self) -> None:
        changes = self.view.changes
        if not changes:
            return
        comments = [comment.path for comment in self.view.comments]
        entries = []
        for change in changes:
            decided = sum(hunk.decision != "pending" for hunk in change.hunks)
            done = decided == len(change.hunks)
            mark, letter = "✓" if done else "○", KIND_LETTERS[change.kind]
            notes = comments.count(change.path)
            entries.append(
                Entry(
                    change.path,
                    change.path,
                    f"{mark} {letter} +{change.added:<4} −{change.removed:<4}",
                    f"{decided}/{len(change.hunks)}" + (f"  ✎ {notes}" if notes else ""),
                    "success" if done else "accent",
                )
            )
        here = self.view.current_change

        def go(chosen: tuple[str, str] | None) -> None:
            if chosen is not None:
                self.view.go_to_file(chosen[1])

        title = f"{len(changes)} files, {self.decided} of {self.total} hunks decided"
        verbs = {"enter": "goes there"}
        self.app.push_screen(Listing(title, entries, verbs, here.path if here is not None else ""), go)

    def action_rewind(self) -> None:
        self.run_worker(self._list_turns(), group="listing", exclusive=True)

    async def _list_turns(self) -> None:
        turns = {str(one.turn): one for one in await asyncio.to_thread(self._review.turns)}
        if not turns:
            self.app.notify("No turn's changes are left to go back on.", timeout=3)
            return
        entries = [
            Entry(key, ", ".join(one.paths), f"before turn {key}", tone="accent")
            for key, one in reversed(turns.items())
        ]

        def done(chosen: tuple[str, str] | None) -> None:
            if chosen is not None:
                turn = int(chosen[1])
                self._run(lambda: self._review.rewind(turn) or f"The files are as before turn {turn}.")

        self.app.push_screen(Listing("Put the files back to", entries, {"enter": "goes back"}), done)

    # Search.

    def action_search(self) -> None:
        if self.view.display:
            self._input.value = ""
            self._input.display = True
            self._input.focus()

    def leave_mode(self) -> bool:
        """Leave what is innermost: the search field, the selection, the matches. False if there was nothing."""
        if self._input.display:
            self._input.display = False
            self.view.focus()
            return True
        if self.view.leave_selection():
            return True
        if self.view.query_text and self.view.has_focus:
            self.view.find("")
            return True
        return False

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        if self._input.display:
            self.view.find(event.value, from_cursor=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        value = event.value
        self._input.display = False
        self.view.focus()
        if value and not self.view.find(value, from_cursor=True):
            self.app.notify(f"{value!r} is in no hunk.", severity="warning")

    # Looking.

    def action_open(self) -> None:
        change = self.view.current_change
        if change is not None:
            self.post_message(self.OpenWanted(change.path, self.view.current_line))

    def action_edit(self) -> None:
        change = self.view.current_change
        if change is None:
            return
        try:
            edit(self.app, self._root / change.path, self.view.current_line)
        except TidegateError as error:
            self.app.notify(str(error), severity="error", timeout=8)
        self.reload()
        self.post_message(self.DiskChanged())

    def action_copy(self) -> None:
        text = self.view.clean_text()
        if text:
            self.app.copy_to_clipboard(text)
            count = text.count("\n") + 1
            self.app.notify(f"Copied {count} line{'' if count == 1 else 's'}.", timeout=2)
            self.view.leave_selection()

    def action_more(self) -> None:
        self.run_worker(self._more(), group="more", exclusive=True)

    async def _more(self) -> None:
        change = self.view.current_change
        if change is None:
            return
        try:
            lines = await asyncio.to_thread(self.desk.lines, change)
        except (ReviewError, OSError) as error:
            self.app.notify(str(error), severity="error")
            return
        if not (lines and self.view.show_around(lines, more=True)):
            self.app.notify("The file as it is after this change is not here.", severity="warning")

    def action_less(self) -> None:
        self.view.show_around((), more=False)

    def action_ignore_space(self) -> None:
        ignored = self.view.ignore_space()
        self.app.notify(
            "Changes of white space are not shown." if ignored else "White space is shown again.", timeout=3
        )

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

    def action_reload(self) -> None:
        self.reload()


def _place(comment: Comment) -> str:
    return f"{visible(comment.path)}:{comment.line}" if comment.line else visible(comment.path)


def _silently(comment: Comment) -> str:  # noqa: ARG001  what was made is seen
    return ""
