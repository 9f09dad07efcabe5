"""What the review asks in dialogs: the commit's message, comments, which file, which turn, a hunk's text."""

# ruff: noqa: PLC0415
import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from app.errors import TidegateError
from app.review.model import Comment
from app.ui.diff.headings import KIND_LETTERS
from app.ui.drawing.text import visible
from app.ui.editor import edit, edit_text
from app.ui.panes.review_table import ReviewTable


class ReviewDialogs(ReviewTable):
    """The table, and what is said about it. A dialog is imported when it is opened."""

    _message = ""  # of the commit: written, and not committed yet
    _is_opening = False  # a dialog, for which the disk is being asked

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        # What is typed ahead for the dialog must not decide anything here.
        return not self._is_opening and super().check_action(action, parameters)

    def _open(self, ask: Coroutine[Any, Any, None]) -> None:
        """Open a dialog once it is known what is in it."""

        async def open_it() -> None:
            try:
                await ask
            finally:
                self._is_opening = False

        self._is_opening = True
        self.run_worker(open_it(), group="dialog")

    # Committing.

    def action_commit(self) -> None:
        self._open(self._ask_commit())

    async def _ask_commit(self) -> None:
        from app.ui.dialogs.commit import CommitDialog

        try:
            # What was just decided is part of it.
            async with self._turnstile:
                changes = await asyncio.to_thread(self.desk.to_commit)
                can_commit = await asyncio.to_thread(lambda: self.desk.can_commit)
        except TidegateError as error:
            self.app.notify(str(error), severity="warning")
            return
        if not changes:
            what = f"Nothing is {self.desk.words.taken} yet, and only that is committed."
            self.app.notify(what, severity="warning")
            return
        if not can_commit:
            self._run(self.desk.put_away)
            return
        suggest, desk = self._suggest, self.desk

        def keep(message: str | None) -> None:
            self._message = message or ""

        self.app.push_screen(
            CommitDialog(
                self._commit,
                hunks=sum(len(change.hunks) for change in changes),
                files=len(changes),
                pending=self.pending,
                last_message=lambda: asyncio.to_thread(desk.last_message),
                message=self._message,
                suggest=(lambda: suggest(changes)) if suggest is not None else None,
            ),
            keep,
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
        from app.ui.dialogs.comment import CommentDialog

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
                self._run(lambda: _silently(self.port.comment(change.path, number, quoted, text, source)))

        self.app.push_screen(CommentDialog(place, quoted), save)

    def _change_comment(self, comment: Comment) -> None:
        from app.ui.dialogs.comment import CommentDialog

        def save(text: str | None) -> None:
            if text is not None:
                self._run(lambda: self.port.change_comment(comment.id, text))

        self.app.push_screen(CommentDialog(_place(comment), comment.quoted, comment.text), save)

    def action_comments(self) -> None:
        self._open(self._list_comments())

    async def _list_comments(self) -> None:
        from app.ui.dialogs.listing import Entry, Listing

        comments = {str(one.id): one for one in await asyncio.to_thread(self.port.comments)}
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
                self._run(lambda: self.port.change_comment(comment.id, ""))
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
        from app.ui.dialogs.listing import Entry, Listing

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
        self.post_message(self.RewindWanted())

    def action_list_turns(self) -> None:
        self._open(self._list_turns())

    async def _list_turns(self) -> None:
        from app.ui.dialogs.listing import Entry, Listing

        turns = await asyncio.to_thread(self.port.turns)
        if not turns:
            self.app.notify("No turn's changes are left to decide.", timeout=3)
            return
        entries = [
            Entry(str(one.serial), _first_line(one.words), f"turn {one.turn}", ", ".join(one.paths), "accent")
            for one in reversed(turns)
        ]
        entries.append(Entry("all", "All of them", "", f"{len(turns)} turn{'' if len(turns) == 1 else 's'}"))

        def done(chosen: tuple[str, str] | None) -> None:
            if chosen is None:
                return
            verb, key = chosen
            with_later = key == "all" or verb in ("A", "X")
            first = 0 if key == "all" else int(key)
            serials = [
                one.serial for one in turns if one.serial == first or (with_later and one.serial > first)
            ]
            self._run(lambda: self._decide_turns(verb.lower() == "a", serials))

        verbs = {"a": "keeps", "x": "rejects", "A": "keeps it and later ones", "X": "rejects these"}
        self.app.push_screen(Listing("The changes of", entries, verbs), done)

    def _decide_turns(self, keeps: bool, serials: Sequence[int]) -> str:
        ids = self.port.hunk_ids(turns=serials)
        if keeps:
            self.port.keep(ids)
            return ""
        return self.port.reject(ids)

    # Editing.

    def action_edit(self) -> None:
        change, hunk = self.view.current_change, self.view.current_hunk
        if change is None or hunk is None:
            return
        from app.ui.dialogs.edit_hunk import EditHunkDialog

        try:
            text = self.desk.text_of(change, hunk)
        except TidegateError as error:
            self.app.notify(str(error), severity="warning")
            return

        def save(new: str | None) -> None:
            if new is not None and new != text:
                self._run(lambda: self.desk.edit(change, hunk, new), hunk.id)

        def outside(now: str) -> str:
            written = edit_text(self.app, now.removesuffix("\n"), change.path)
            return f"{written}\n" if written else ""

        place = f"{visible(change.path)}:{hunk.after_start}"
        self.app.push_screen(EditHunkDialog(place, text, outside), save)

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


def _place(comment: Comment) -> str:
    return f"{visible(comment.path)}:{comment.line}" if comment.line else visible(comment.path)


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "(no words)")


def _silently(comment: Comment) -> str:  # noqa: ARG001  what was made is seen
    return ""
