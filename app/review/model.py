"""The nouns of review: a file's image, lines, hunks and what was decided about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

LineKind = Literal["context", "removed", "added"]
Decision = Literal["pending", "kept", "rejected"]
ChangeKind = Literal[
    "modified", "created", "deleted", "renamed", "mode", "binary", "symlink", "copied", "combined"
]


@dataclass(frozen=True, slots=True)
class FileImage:
    """A file's whole content at one moment. `mode` is git's: 0o100644, 0o100755 or 0o120000 (symlink, whose
    data is its target)."""

    data: bytes
    mode: int = 0o100644


@dataclass(frozen=True, slots=True)
class DiffLine:
    """One line of a diff. `text` has no "\\n"; numbers count from 1 and are None on the other side.

    Only "\\n" ends a line: a carriage return before it belongs to `text`. Bytes that are no UTF-8 are surrogate
    escapes in `text`, so that it turns back into the same bytes; show `printable(text)`.

    `has_newline` is false for a last line that git marks "\\ No newline at end of file".
    """

    kind: LineKind
    text: str
    before_number: int | None
    after_number: int | None
    has_newline: bool = True


@dataclass(frozen=True, slots=True)
class Hunk:
    """A run of changed lines with context. `id` is stable for as long as the change it names exists.

    `before_start` and `after_start` count from 1 as in a unified diff's header; `section` is the text that
    git prints behind the second @@.
    """

    id: str
    before_start: int
    before_count: int
    after_start: int
    after_count: int
    lines: Sequence[DiffLine]
    section: str = ""
    decision: Decision = "pending"

    @property
    def added(self) -> int:
        """How many lines were added."""
        return len(self.lines) - self.before_count

    @property
    def removed(self) -> int:
        """How many lines were removed."""
        return len(self.lines) - self.after_count


@dataclass(frozen=True, slots=True)
class FileChange:
    """What happened to one file, as hunks. `path` is relative to the root with forward slashes.

    A binary file, a mode change and the like have no lines: then `hunks` holds one hunk without lines, which
    can be kept or rejected like any other.
    """

    path: str
    kind: ChangeKind
    hunks: tuple[Hunk, ...]
    previous_path: str | None = None
    before_mode: int | None = None
    after_mode: int | None = None
    binary_patch: bytes = b""
    blobs: bytes = b""
    """git's names of a binary file's contents, where the diff has not these themselves."""

    @property
    def added(self) -> int:
        """How many lines were added."""
        return sum(hunk.added for hunk in self.hunks)

    @property
    def removed(self) -> int:
        """How many lines were removed."""
        return sum(hunk.removed for hunk in self.hunks)


# For each hunk's id the indices of its selected lines; None selects all of it. Hunks not named are left out.
Selection = Mapping[str, frozenset[int] | None]


@dataclass(frozen=True, slots=True)
class Remark:
    """Words on a line of a hunk: each class of them says who speaks. `line` counts from 1 in the file as it was
    then, 0 for the file as a whole; `quoted` is that line's text; `source` names what was reviewed, "" for the
    agent's work; `hunk` is the id of the hunk that it was made in."""

    id: int
    path: str
    line: int
    quoted: str
    text: str
    source: str = ""
    hunk: str = ""


@dataclass(frozen=True, slots=True)
class Comment(Remark):
    """The user's own words, kept in the review's log. `is_sent`: the agent was told."""

    is_sent: bool = False


@dataclass(frozen=True, slots=True)
class WrittenBy:
    """A tool call of the agent's that has a part in a hunk: `call` is its id ("" where the log does not know
    it), made in turn `turn` of `session`; `lines` are the indices in Hunk.lines of those it added."""

    session: str
    turn: int
    call: str
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TurnSummary:
    """What is left to see of one turn's changes. `serial` is the turn's number in the review, whose turns may
    be those of several sessions; `session` and `turn` say which it is, and `words` what the user said."""

    turn: int
    paths: tuple[str, ...]
    session: str = ""
    words: str = ""
    serial: int = 0


@dataclass(frozen=True, slots=True)
class FileSummary:
    """What a turn did to a file: lines added and removed, and notes of the agent's on them."""

    path: str
    added: int
    removed: int
    notes: int = 0


def printable(text: str) -> str:
    """`text` without surrogate escapes: each byte that is no UTF-8 becomes U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def printable_line(text: str) -> str:
    """A line's printable text, without the CR of a line that ends in CR and LF."""
    return printable(text.removesuffix("\r"))
