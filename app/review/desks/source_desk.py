"""Review of anything that git can show: the work tree, the index, a commit, a range or a patch."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from app.errors import TidegateError
from app.review.desks.desk import Desk, HunkPart, Seen, Words, file_lines
from app.review.desks.sources import STAGED, Source, Sources
from app.review.desks.walk import Walk
from app.review.diff.misfit import Misfit
from app.review.diff.splice import new_side
from app.review.errors import ReviewError
from app.review.model import Decision, FileChange, Hunk, Selection
from app.review.port import ReviewPort
from app.review.seen.marks import SeenMarks
from app.review.seen.seeing import Seeing

if TYPE_CHECKING:
    from app.review.needed.of_diff import DiffSubsets


@dataclass(frozen=True, slots=True)
class Step:
    """A decision that can be taken back."""

    sentence: str
    back: Callable[[], object]
    again: Callable[[], object]


_WORDS = {
    "worktree": Words("stage", "staged", "discard", "discarded"),
    "staged": Words("", "staged", "unstage", "unstaged"),
    "patch": Words("apply", "applied", "skip", "skipped"),
    "commit": Words("mark as seen", "seen", "", "dropped"),
    "range": Words("mark as seen", "seen", "", "dropped"),
}


class SourceDesk(Desk):
    """What git can show; a Desk. What was taken and dropped of a patch is known as long as this object lives;
    the index and the work tree know theirs themselves; what was seen is kept."""

    def __init__(
        self, source: Source, sources: Sources, review: ReviewPort, walk: Walk | None = None, place: str = ""
    ) -> None:
        """`walk` goes through the commits of which this is one, at `place`."""
        self._walk = walk
        self._from = source
        self._sources = sources
        self._review = review
        self._decisions: dict[str, Decision] = {}
        self._seeing = Seeing(SeenMarks(sources.seen_file))
        self._misfits: dict[str, Misfit] = {}
        self._read: tuple[FileChange, ...] = ()
        self._undoable: list[Step] = []
        self._redoable: list[Step] = []
        self.title = f"{source.title} ({place})" if place else source.title
        self.source = source.title
        self.words = _WORDS[source.kind]

    @property
    def is_still(self) -> bool:
        """Whether decisions do not change the list of changes."""
        return self._from.kind not in ("worktree", "staged")

    @override
    def changes(self) -> tuple[FileChange, ...]:
        changes = self._read or self.look()
        if self.is_still:
            self._read = changes
        decisions = self._decisions
        if self._is_history:
            seen = self._seeing.of(changes)
            decisions = {
                _key(change, hunk): "kept"
                for change in changes
                for hunk in change.hunks
                if hunk.id in seen and seen[hunk.id].is_whole
            }
        if not decisions:
            return changes
        return tuple(
            replace(
                change,
                hunks=tuple(
                    replace(hunk, decision=decisions[name])
                    if (name := _key(change, hunk)) in decisions
                    else hunk
                    for hunk in change.hunks
                ),
            )
            for change in changes
        )

    @property
    def _is_history(self) -> bool:
        return self._from.kind in ("commit", "range")

    @override
    def seen(self) -> Mapping[str, Seen]:
        return self._seeing.of(self._read) if self.is_still else {}

    @override
    def see(self, parts: Sequence[HunkPart], *, is_seen: bool) -> None:
        if not self.is_still:
            super().see(parts, is_seen=is_seen)
        keys = self._seeing.keys(self._read, parts, is_seen=is_seen)
        self._seeing.mark(keys, is_seen=is_seen)
        self.did(
            Step(
                f"Marked {count_of(parts)} as {'seen' if is_seen else 'not seen'}",
                lambda: self._seeing.mark(keys, is_seen=not is_seen),
                lambda: self._seeing.mark(keys, is_seen=is_seen),
            )
        )

    @override
    def commit_id(self) -> str:
        return self._sources.commit_of(self._from) if self._is_history else ""

    @override
    def write_note(self, text: str) -> str:
        return (
            self._sources.write_note(commit, text) if (commit := self.commit_id()) else super().write_note(text)
        )

    @override
    def step(self, step: int) -> Desk:
        if not self._is_history:
            return super().step(step)
        if self._walk is None:
            self._walk = Walk(self._sources.root, self._from)
        to = self._walk.go(step)
        return SourceDesk(to.source, self._sources, self._review, self._walk, to.place)

    @override
    def subsets(self) -> "DiffSubsets":
        from app.review.desks import trees  # noqa: PLC0415  looking needs it not

        return trees.subsets(self._sources, self._from, self.changes())

    @override
    def write_tree(self, place: Path) -> Path | None:
        from app.review.desks import trees  # noqa: PLC0415  as above

        return trees.write_tree(self._sources.root, self._from, place)

    def look(self) -> tuple[FileChange, ...]:
        """The changes as git shows them now."""
        return self._sources.changes(self._from)

    @override
    def take(self, parts: Sequence[HunkPart]) -> str:
        if not self.words.take:
            raise ReviewError("This is staged already", f"it can be {self.words.dropped}, or committed")
        if self._from.kind == "worktree":
            return self._move(parts, self._sources.stage, f"Staged {count_of(parts)}")
        if self._is_history:
            self.see(parts, is_seen=True)
            return ""
        said = self.apply(parts) if self._from.kind == "patch" else ""
        self._mark(parts, "kept", f"{_capital(self.words.taken)} {count_of(parts)}")
        return said

    def apply(self, parts: Sequence[HunkPart]) -> str:
        """Apply these to the work tree, all or nothing; returns a sentence worth telling, or "". Why some do
        not fit is among the misfits then."""
        try:
            said = self._sources.apply(by_change(parts))
        except TidegateError as error:
            found = self._sources.misfits(by_change(parts))
            self._misfits.update(found or {part.hunk.id: Misfit(str(error)) for part in parts})
            raise ReviewError(
                f"{_hunks(len(found)) if found else 'The patch'} does not fit, and nothing was applied",
                "see where it is marked",
            ) from error
        for part in parts:
            self._misfits.pop(part.hunk.id, None)
        return said

    @override
    def bring_back(self, change: FileChange, hunk: Hunk) -> str:
        return self.take([HunkPart(change, hunk)])

    @override
    def drop(self, parts: Sequence[HunkPart]) -> str:
        if not self.words.drop:
            raise ReviewError(
                "A commit stays what it is", "comment on it, and the agent hears of it with the next turn"
            )
        if self._from.kind == "staged":
            return self._move(parts, self._sources.unstage, f"Unstaged {count_of(parts)}")
        if self._from.kind == "patch":
            self._mark(parts, "rejected", f"Skipped {count_of(parts)}")
            return ""
        self._sources.discard(by_change(parts))
        self.did(Step(f"Discarded {count_of(parts)}", self._review.undo, self._review.redo))
        return ""

    def _move(
        self, parts: Sequence[HunkPart], move: Callable[[FileChange, Selection], None], sentence: str
    ) -> str:
        """Change the index, all or nothing."""
        # What goes makes room for what comes: for a file in a directory of its name, or the other way round.
        is_staged = self._from.kind == "staged"
        groups = sorted(
            by_change(parts),
            key=lambda group: (group[0].before_mode if is_staged else group[0].after_mode) is not None,
        )
        paths = [path for change, _ in groups for path in (change.path, change.previous_path) if path]

        def move_all() -> None:
            for change, selection in groups:
                move(change, selection)

        return self._change_index(paths, move_all, sentence)

    def _change_index(self, paths: Sequence[str], work: Callable[[], None], sentence: str) -> str:
        before = self._sources.index_of(paths)
        try:
            work()
        except TidegateError:
            self._sources.put_index(paths, before)
            raise
        after = self._sources.index_of(paths)

        def put(now: bytes, wanted: bytes) -> None:
            if self._sources.index_of(paths) != now:
                raise ReviewError("The index has been changed since", "stage or unstage by hand")
            self._sources.put_index(paths, wanted)

        self.did(Step(sentence, lambda: put(after, before), lambda: put(before, after)))
        return ""

    def _mark(self, parts: Sequence[HunkPart], decision: Decision, sentence: str) -> None:
        earlier = dict(self._decisions)
        later = earlier | {_key(part.change, part.hunk): decision for part in parts}
        writes = self._from.kind == "patch" and decision == "kept"

        def set_to(decisions: dict[str, Decision], write: Callable[[], object]) -> None:
            if writes:
                write()
            self._decisions = decisions

        self._decisions = later
        self.did(
            Step(
                sentence,
                lambda: set_to(earlier, self._review.undo),
                lambda: set_to(later, self._review.redo),
            )
        )

    def did(self, step: Step) -> None:
        self._undoable.append(step)
        self._redoable.clear()

    @override
    def undo(self) -> str:
        """Only what was decided here is taken back."""
        if not self._undoable:
            return ""
        self._undoable[-1].back()
        step = self._undoable.pop()
        self._redoable.append(step)
        return f"Undone: {step.sentence[:1].lower()}{step.sentence[1:]}"

    @override
    def redo(self) -> str:
        if not self._redoable:
            return ""
        self._redoable[-1].again()
        step = self._redoable.pop()
        self._undoable.append(step)
        return f"Done again: {step.sentence[:1].lower()}{step.sentence[1:]}"

    @override
    def lines(self, change: FileChange) -> Sequence[str]:
        return file_lines(self._sources.after(self._from, change))

    @override
    def misfits(self) -> Mapping[str, Misfit]:
        return self._misfits

    @override
    def text_of(self, change: FileChange, hunk: Hunk) -> str:
        if self._from.kind in ("commit", "range"):
            raise ReviewError("A commit stays what it is", "edit the file itself (E)")
        if self._from.kind == "patch" and hunk.decision != "pending":
            state = self.words.taken if hunk.decision == "kept" else self.words.dropped
            raise ReviewError(f"This is {state} already", "take that back first (u)")
        return new_side(change, hunk)

    @override
    def edit(self, change: FileChange, hunk: Hunk, text: str) -> str:
        """In the index and in a patch, it can be taken back like a decision."""
        if self._from.kind == "worktree":
            self._sources.edit(change, hunk, text)
            return ""
        sentence = f"Edited a hunk of {change.path}"
        if self._from.kind == "staged":
            work = lambda: self._sources.edit_staged(change, hunk, text)  # noqa: E731
            return self._change_index([change.path], work, sentence)
        from app.review.diff.edited_hunk import with_new_side  # noqa: PLC0415  looking needs it not

        before = self._read
        places = (n for n, one in enumerate(before) if one.path == change.path and hunk in one.hunks)
        number = next(places, None)
        if number is None:
            raise ReviewError(f"This hunk of {change.path} is another one by now", "look again (r), then edit")
        after = (*before[:number], with_new_side(before[number], hunk, text), *before[number + 1 :])

        def put(changes: tuple[FileChange, ...]) -> None:
            self._read = changes
            self._misfits.pop(hunk.id, None)

        put(after)
        self.did(Step(sentence, lambda: put(before), lambda: put(after)))
        return ""

    @override
    def users_own(self, change: FileChange) -> AbstractContextManager[None]:
        return self._review.users_own(change.path)

    @property
    @override
    def can_commit(self) -> bool:
        return True

    @override
    def put_away(self) -> str:
        raise ReviewError("Nothing here leaves the list without a commit", "commit it")

    @override
    def to_commit(self) -> tuple[FileChange, ...]:
        """What is staged."""
        if self.is_still:
            raise ReviewError(
                f"Nothing here is staged ({self.title})", "commit from the work tree or the index"
            )
        return self._sources.changes(STAGED)

    @override
    def last_message(self) -> str:
        return self._sources.last_message

    @override
    def commit(self, message: str, *, sign_off: bool = False, amend: bool = False) -> str:
        """Commit the index."""
        said = self._sources.commit(message, sign_off=sign_off, amend=amend)
        self._undoable.clear()
        self._redoable.clear()
        return said


def _key(change: FileChange, hunk: Hunk) -> str:
    return f"{change.path}\0{hunk.id}"


def by_change(parts: Sequence[HunkPart]) -> list[tuple[FileChange, dict[str, frozenset[int] | None]]]:
    found: dict[str, tuple[FileChange, dict[str, frozenset[int] | None]]] = {}
    for part in parts:
        found.setdefault(part.change.path, (part.change, {}))[1][part.hunk.id] = part.lines
    return list(found.values())


def count_of(parts: Sequence[HunkPart]) -> str:
    lines = sum(len(part.lines) for part in parts if part.lines is not None)
    if lines:
        return f"{lines} line{'' if lines == 1 else 's'} of {parts[0].change.path}"
    return _hunks(len(parts))


def _hunks(count: int) -> str:
    return f"{count} hunk{'' if count == 1 else 's'}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
