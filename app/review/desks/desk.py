"""What is reviewed, the agent's work or anything that git can show, behind one port for the screen.

A desk says what taking and dropping a part means for what it shows: the agent's hunks are kept and rejected,
the work tree's staged and discarded, the index's unstaged, a patch's applied and skipped; a commit is seen.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from app.review.diff.misfit import Misfit
from app.review.errors import ReviewError
from app.review.model import FileChange, Hunk

if TYPE_CHECKING:
    from app.review.needed.of_diff import DiffSubsets
    from app.review.needed.subsets import Subsets


@dataclass(frozen=True, slots=True)
class HunkPart:
    """A hunk, or some of its lines by their index in `Hunk.lines`."""

    change: FileChange
    hunk: Hunk
    lines: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """Of the `total` runs of changed lines of a hunk those that were seen, [start, end) in its lines."""

    total: int
    runs: tuple[tuple[int, int], ...]

    @property
    def is_whole(self) -> bool:
        """Whether all of the hunk was seen."""
        return len(self.runs) == self.total


@dataclass(frozen=True, slots=True)
class Words:
    """What a desk calls its two decisions, as verb and as state; a verb is "" where there is no such thing."""

    take: str
    taken: str
    drop: str
    dropped: str


class Desk(Protocol):
    """What the screen needs of whatever is reviewed. Every method raises ReviewError, and then nothing has
    changed."""

    title: str
    """What is reviewed, in words."""
    source: str
    """The `source` of comments made here."""
    words: Words
    """The names of its decisions."""

    def changes(self) -> tuple[FileChange, ...]:
        """The changes under review, as they are now."""
        ...

    def take(self, parts: Sequence[HunkPart]) -> str:
        """Decide for these; returns a sentence worth telling, or ""."""
        ...

    def drop(self, parts: Sequence[HunkPart]) -> str:
        """Decide against these; returns a sentence worth telling, or ""."""
        ...

    def bring_back(self, change: FileChange, hunk: Hunk) -> str:
        """Decide for a hunk that was decided against; returns a sentence worth telling, or ""."""
        ...

    def seen(self) -> Mapping[str, Seen]:
        """By hunk id what the user has marked as seen, of hunks of which anything was."""
        return {}

    def see(self, parts: Sequence[HunkPart], *, is_seen: bool) -> None:  # noqa: ARG002
        """Mark these as seen, or as not seen, for wherever the same change is shown."""
        raise ReviewError(
            f"There are no marks of what was seen in {self.title}",
            f"they are for commits, ranges and patches; here, {self.words.take or self.words.drop} it",
        )

    def step(self, step: int) -> "Desk":  # noqa: ARG002
        """The desk of the next (1) or previous (-1) commit. Blocks on git."""
        raise ReviewError(
            f"There are no commits to go through in {self.title}", "review a commit or a range: A..B"
        )

    def commit_id(self) -> str:
        """The id of the commit that is reviewed, of a range its last one; "" where there is none."""
        return ""

    def write_note(self, text: str) -> str:  # noqa: ARG002
        """Keep `text` as git's note of the review on the commit that is reviewed, in the place of an earlier
        one; returns a sentence."""
        raise ReviewError(f"There is no commit to keep a note on in {self.title}", "review a commit or a range")

    def subsets(self) -> "Subsets | DiffSubsets":
        """The hunks, of which any subset can be had as files."""
        raise ReviewError(
            f"Hunks cannot be left out one by one in {self.title}", "review the work tree, or a commit or range"
        )

    def write_tree(self, place: Path) -> Path | None:  # noqa: ARG002
        """Write all files that these changes are in into `place`; returns their root there. None: they are the
        work tree's."""
        return None

    def undo(self) -> str:
        """Take the last decision back; "" if there is none."""
        ...

    def redo(self) -> str:
        """The inverse of `undo`."""
        ...

    def lines(self, change: FileChange) -> Sequence[str]:
        """The lines of the whole file after the change, for showing more of it; empty if unknown."""
        ...

    def misfits(self) -> Mapping[str, Misfit]:
        """Why hunks, by their ids, could not be taken when that was last tried."""
        ...

    def text_of(self, change: FileChange, hunk: Hunk) -> str:
        """A hunk's lines after the change, to be edited."""
        ...

    def edit(self, change: FileChange, hunk: Hunk, text: str) -> str:
        """Put `text` in the place of what `text_of` gave; returns a sentence worth telling, or ""."""
        ...

    def users_own(self, change: FileChange) -> AbstractContextManager[None]:
        """Inside of it the user edits the file by other means; see ReviewPort."""
        ...

    @property
    def can_commit(self) -> bool:
        """Whether there is a repository to commit to."""
        ...

    def put_away(self) -> str:
        """Take what was taken off the table, where it cannot be committed; returns a sentence."""
        ...

    def to_commit(self) -> tuple[FileChange, ...]:
        """What `commit` would commit, or `put_away` put away."""
        ...

    def last_message(self) -> str:
        """The message of the commit that amending would replace, "" without one."""
        ...

    def commit(self, message: str, *, sign_off: bool = False, amend: bool = False) -> str:
        """Commit what was taken; see ReviewPort."""
        ...


def file_lines(data: bytes | None) -> Sequence[str]:
    """A file's lines as a diff has them; empty when there is no such file, or it is binary."""
    if data is None or b"\0" in data:
        return ()
    return data.removesuffix(b"\n").decode("utf-8", "surrogateescape").split("\n") if data else ()
