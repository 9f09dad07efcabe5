"""What the agent and the screen may ask of review."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from app.review.model import Comment, FileChange, FileImage, FileSummary, Selection, TurnSummary
from app.review.needed.subsets import Subsets
from app.review.remarks.model import Said
from app.review.remarks.store import RemarkStore
from app.review.written.written import Written


class ChangeRecorder(Protocol):
    """The agent's side: what it changed, and when a turn begins and ends."""

    def begin_turn(self, turn: int, session: str = "", words: str = "") -> None:
        """A turn begins: until it ends, decisions raise ReviewError. What differs between disk and log now is
        the user's own. `turn` counts within `session`; `words` are the user's message."""
        ...

    def record(self, path: str, before: FileImage | None, after: FileImage | None) -> None:
        """The agent replaced `before` by `after` at `path` (None: no such file), durably noted BEFORE the
        disk is written, so that the pre-image is never lost."""
        ...

    def begin_call(self, call: str) -> None:
        """What the agent changes from now on is the work of its tool call with this id."""
        ...

    def end_turn(self, turn: int) -> None:
        """The turn is over: what shell commands changed is found and recorded; decisions may be made again."""
        ...

    def command_started(self, named: Sequence[str] = ()) -> None:
        """A shell command of this turn, or another thing that changes files without `record`, is about to
        begin: what differs on the disk until now is the user's own, and what will differ is the agent's. The
        content of files that the command names (`named`) is kept even where git ignores them."""
        ...

    def command_finished(self, still_runs: bool = False) -> tuple[str, ...]:
        """The command has ended: what it changed is recorded as the agent's; returns the paths. `still_runs`:
        it goes on in the background, and what changes from now on is the agent's too."""
        ...

    def feedback(self) -> str:
        """What the user rejected and said since the last call, as a compact message for the next turn; "" if
        nothing. Does not repeat itself."""
        ...

    def retell(self, turn: int, session: str) -> None:
        """The agent no longer knows of this session's turns from `turn` on: what `feedback` said in them is
        said again."""
        ...

    def say(self, said: Said) -> str:
        """The agent speaks in the review; returns a sentence on what became of it, for the agent. Raises
        ReviewError where what it speaks of is not there."""
        ...

    def turn_files(self) -> tuple[FileSummary, ...]:
        """What the last turn did, file by file; nothing of files that are again as they were before it."""
        ...


class ReviewPort(ChangeRecorder, Protocol):
    """The screen's side. Every method that decides raises app.review.errors.ReviewError when the disk refuses
    or a turn is writing; then nothing has changed."""

    remarks: RemarkStore
    """What others than the user said about hunks."""
    written: Written
    """Which calls wrote the hunks, and how else they could be."""

    def changes(self) -> tuple[FileChange, ...]:
        """All that the agent changed and the user has not yet settled by a commit, by path; the disk's
        present state is taken in first."""
        ...

    def losses(self) -> tuple[str, ...]:
        """What is not known any more because the review's store is damaged, a sentence each; those of what was
        last read."""
        ...

    def changes_and_traces(self) -> tuple[FileChange, ...]:
        """`changes`, and what was rejected since the review began, which leaves a trace until it ends: with the
        first turn after all was decided."""
        ...

    def bring_back(self, hunk_ids: frozenset[str]) -> None:
        """Put what was rejected in these hunks back, and keep it, also after the rest was committed; `undo`
        rejects it again."""
        ...

    def subsets(self) -> Subsets:
        """The hunks under review, kept ones too, of which any subset can be had as files; the disk's present
        state is taken in first. Raises ReviewError while a turn runs."""
        ...

    def keep(self, hunk_ids: frozenset[str]) -> None:
        """Decide that these hunks stay as they are."""
        ...

    def reject(self, hunk_ids: frozenset[str]) -> str:
        """Put back exactly the bytes that were there before these, and before what rests on them. Hunks that
        the user has edited are left; the sentence says which, "" if none. When nothing else was asked for, that
        is a ReviewError."""
        ...

    def keep_selected(self, selection: Selection) -> None:
        """Decide that these stay, whole hunks and lines of others, as one decision."""
        ...

    def reject_selected(self, selection: Selection) -> str:
        """Take these back as one decision, whole hunks and lines of others; see `reject`."""
        ...

    def hunk_ids(self, path: str | None = None, turns: Collection[int] | None = None) -> frozenset[str]:
        """The ids of all hunks, or only of those in the file `path`, or made by `turns` (serial numbers of
        TurnSummary), to be kept or rejected together."""
        ...

    def rewind(self, turn: int, session: str = "", *, tells: bool = True) -> str:
        """Put the files back to what they were before `turn`, as far as this session's turns since changed
        them, decided and committed changes included; `undo` brings it back. Returns a sentence on what had to
        be left, "" if nothing. `tells`: the agent hears of it with the next turn."""
        ...

    def is_rewound(self) -> bool:
        """Whether the last decision, which `undo` would take back, is a rewind."""
        ...

    def turns(self) -> tuple[TurnSummary, ...]:
        """The turns whose changes are still under review, oldest first."""
        ...

    def replace_files(self, sentence: str, wanted: Mapping[str, FileImage | None]) -> None:
        """Write files as one decision that `undo` takes back; what is under review in them becomes an edit of
        the user's own. `sentence` says what it was."""
        ...

    def users_own(self, path: str) -> AbstractContextManager[None]:
        """For while the user edits `path` from here: its changes are recorded as the user's, even where a
        command of the agent's is running."""
        ...

    def comment(
        self, path: str, line: int, quoted: str, text: str, *, source: str = "", hunk: str = ""
    ) -> Comment:
        """Comment on a line of a hunk; the agent is told with the next turn."""
        ...

    def change_comment(self, comment: int, text: str) -> None:
        """Replace the text of a comment; "" removes it."""
        ...

    def comments(self) -> tuple[Comment, ...]:
        """All comments, by path and line."""
        ...

    def undo(self) -> str:
        """Undo the last decision; returns a sentence that names it, "" if there is none."""
        ...

    def redo(self) -> str:
        """The inverse of `undo`."""
        ...

    def put_away(self) -> str:
        """Take the kept hunks off the list without a commit, outside a repository; returns a
        sentence. `undo` brings it back."""
        ...

    def commit(self, message: str, *, sign_off: bool = False, amend: bool = False) -> str:
        """Commit exactly the kept hunks; whatever else is staged or changed is not touched. Returns a
        sentence with the short hash and what hooks printed. A hook that fails raises ReviewError with its
        output. `sign_off` adds git's Signed-off-by line; `amend` replaces the last commit, with the kept hunks
        added to it."""
        ...
