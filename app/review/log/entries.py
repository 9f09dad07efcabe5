"""The entries of the review's log, and how they are written down. Nothing here touches the disk."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from app.review.log.weave import Atom, Owner

Standing = Literal["pending", "kept", "rejected", "settled", "void"]


@dataclass(frozen=True, slots=True)
class ImageName:
    """A file's image by the name of its content in the store."""

    blob: str
    mode: int


@dataclass(frozen=True, slots=True)
class TurnBegan:
    """`snapshot` is what the workspace held, for finding what commands change. `session` and `turn` say which
    turn it is, `words` what the user said; `serial` counts the turns of this log."""

    turn: int
    snapshot: Mapping[str, Any]
    session: str = ""
    words: str = ""
    serial: int = 0


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """`head` is the commit that was checked out then, "" if none."""

    turn: int
    head: str


@dataclass(frozen=True, slots=True)
class CommandBegan:
    """From here on it is the agent's commands that change files. What the workspace holds now, as it differs
    from the turn's last snapshot: `files` that are other or new in it, and those that are `gone` from it."""

    head: str
    complete: bool
    taken_ns: int
    files: Mapping[str, Any]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CommandEnded:
    """From here on files are changed only by recorded edits and by the user."""


@dataclass(frozen=True, slots=True)
class Edited:
    """A file went from `before` to `after`. `blocks` are the differences as four numbers each, written down so
    that the log means the same whatever becomes of the diff engine. `turn` is the turn's serial number.
    `made_directories` are the parents that did not exist before; `call` is the id of the agent's tool call."""

    edit: int
    path: str
    owner: Owner
    turn: int
    before: ImageName | None
    after: ImageName | None
    blocks: tuple[tuple[int, int, int, int], ...]
    mode: bool
    whole: bool
    made_directories: tuple[str, ...] = ()
    moved_from: str = ""
    moved_edit: int = 0
    call: str = ""


@dataclass(frozen=True, slots=True)
class Offered(Edited):
    """Another way to make a change: an edit of the file as it is without the atoms `without`. Its lines do not
    count until a decision has them."""

    without: tuple[tuple[str, tuple[int, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Voided:
    """An edit that was written down never reached the disk."""

    edit: int


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The user took these atoms of the agent's back by other means than a decision."""

    path: str
    atoms: tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class BroughtBack:
    """The file is again what it was before the last `TakenBack` (as by `git stash pop`)."""

    path: str


@dataclass(frozen=True, slots=True)
class Shift:
    """Atoms of one file, by block, that went from one standing to another."""

    path: str
    source: Standing
    target: Standing
    atoms: tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class Write:
    """What a decision does to one file on disk."""

    path: str
    before: ImageName | None
    after: ImageName | None


@dataclass(frozen=True, slots=True)
class RejectedText:
    """What the agent is told of a rejected hunk: its place and its lines as a diff shows them. `instead`: the
    lines of the take that the user chose in its place."""

    path: str
    line: int
    text: str
    instead: str = ""


@dataclass(frozen=True, slots=True)
class Decided:
    """An intent: it counts from here on, `writes` follow, and `Done` or `RolledBack` closes it.

    `undoes` and `redoes` name the decision that is taken back or made again. `is_rewind`: it went back to
    before a turn. `restored` is what was rejected earlier and is brought back by this. `is_take`: another way
    of writing a hunk takes its place, or leaves it again.
    """

    decision: int
    sentence: str
    shifts: tuple[Shift, ...]
    writes: tuple[Write, ...] = ()
    rejected: tuple[RejectedText, ...] = ()
    undoes: int = 0
    redoes: int = 0
    is_rewind: bool = False
    restored: tuple[RejectedText, ...] = ()
    is_take: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """All writes of a decision are on disk."""

    decision: int


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The disk refused a decision; it never was."""

    decision: int


@dataclass(frozen=True, slots=True)
class CommitBegan:
    """An intent to commit on top of `parent` ("" for a first commit); `files` gives for each path the blob in
    the commit, "" where it is deleted, and its mode."""

    commit: int
    parent: str
    files: tuple[tuple[str, str, int], ...]
    shifts: tuple[Shift, ...]


@dataclass(frozen=True, slots=True)
class CommitEnded:
    """`commit_hash` is "" when nothing was committed."""

    commit: int
    commit_hash: str


@dataclass(frozen=True, slots=True)
class Settled:
    """These paths need no more review: someone committed them."""

    paths: tuple[str, ...]
    head: str


@dataclass(frozen=True, slots=True)
class Commented:
    """Words on a line of a hunk; `text` "" removes the comment."""

    comment: int
    path: str
    line: int
    quoted: str
    text: str
    source: str = ""
    hunk: str = ""


@dataclass(frozen=True, slots=True)
class Stood:
    """The states of a file's atoms at this place of a compacted log (see app.review.log.compaction).
    `untraced`: the rejected ones of which nothing is shown any more."""

    path: str
    standing: tuple[tuple[str, int, Standing], ...]
    untraced: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @classmethod
    def of(cls, path: str, standing: Mapping[Atom, Standing], untraced: Set[Atom] = frozenset()) -> "Stood":
        """From the state's own form."""
        atoms = tuple((name, number, word) for (name, number), word in standing.items())
        return cls(path, atoms, by_block(untraced))


@dataclass(frozen=True, slots=True)
class Compacted:
    """All of a state that its files do not hold, as plain data. Mappings with numbers for keys are lists of
    pairs; decisions are lines of a log."""

    serial: int
    edits: int
    numbers: int
    head: str | None
    turns: Sequence[Any]
    told: Sequence[Any]
    images: Mapping[str, Any]
    firsts: Sequence[Any]
    comments: Sequence[Any]
    unsaid_comments: Sequence[int]
    unsaid_rejections: Sequence[Any]
    undoable: Sequence[str]
    redoable: Sequence[str]

    @staticmethod
    def decisions(lines: Iterable[str]) -> list[Decided]:
        """`undoable` and `redoable` as decisions."""
        found = [decode(line.encode("ascii")) for line in lines]
        return [entry for entry in found if isinstance(entry, Decided)]


@dataclass(frozen=True, slots=True)
class FeedbackGiven:
    """The agent was told everything up to here."""


@dataclass(frozen=True, slots=True)
class Retold:
    """What was told in these turns, by their serial numbers, is to be told once more."""

    serials: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Together:
    """Several entries that count as one: a crash leaves all of them or none."""

    entries: "tuple[Entry, ...]"


@dataclass(frozen=True, slots=True)
class Lost:
    """What stands in the place of an entry that cannot be read: line `line` of `file` is damaged."""

    file: str
    line: int


Entry = (
    TurnBegan
    | TurnEnded
    | CommandBegan
    | CommandEnded
    | Edited
    | Offered
    | Voided
    | TakenBack
    | BroughtBack
    | Decided
    | Done
    | RolledBack
    | CommitBegan
    | CommitEnded
    | Settled
    | Commented
    | FeedbackGiven
    | Retold
    | Stood
    | Compacted
    | Together
    | Lost
)
_KINDS: dict[str, type] = {kind.__name__: kind for kind in get_args(Entry)}


def encode(entry: Entry) -> bytes:
    """One line of JSON, ending included."""
    # Paths that are no UTF-8 hold surrogates, which ASCII JSON carries as escapes.
    return json.dumps(_plain(entry), separators=(",", ":")).encode("ascii") + b"\n"


def _plain(entry: Entry) -> dict[str, Any]:
    kind = {"kind": type(entry).__name__}
    if isinstance(entry, Together):
        return {**kind, "entries": [_plain(part) for part in entry.entries]}
    return {**kind, **asdict(entry)}


def decode(line: bytes) -> Entry:
    """The inverse of `encode`. Raises ValueError for anything else."""
    try:
        return _entry(json.loads(line))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _entry(record: dict[str, Any]) -> Entry:
    kind = _KINDS[record.pop("kind")]
    if kind is Together:
        return Together(tuple(map(_entry, record["entries"])))
    for name in ("before", "after"):
        if record.get(name) is not None:
            record[name] = ImageName(**record[name])
    if "blocks" in record:
        record["blocks"] = tuple(tuple(numbers) for numbers in record["blocks"])
        record["made_directories"] = tuple(record["made_directories"])
    if "shifts" in record:
        record["shifts"] = tuple(_shift(shift) for shift in record["shifts"])
    if "writes" in record:
        record["writes"] = tuple(
            Write(write["path"], image_name(write["before"]), image_name(write["after"]))
            for write in record["writes"]
        )
        for name in ("rejected", "restored"):
            record[name] = tuple(RejectedText(**text) for text in record.get(name, ()))
    if kind is CommitBegan:
        record["files"] = tuple(tuple(file) for file in record["files"])
    if kind is Stood:
        record["standing"] = tuple(tuple(atom) for atom in record["standing"])
        record["untraced"] = _atoms(record.get("untraced", ()))
    if kind is Offered:
        record["without"] = _atoms(record["without"])
    if kind is TakenBack:
        record["atoms"] = _atoms(record["atoms"])
    for name in ("paths", "serials", "gone"):
        if name in record:
            record[name] = tuple(record[name])
    entry: Entry = kind(**record)
    return entry


def image_name(record: Mapping[str, Any] | None) -> ImageName | None:
    return ImageName(**record) if record else None


def _shift(record: Mapping[str, Any]) -> Shift:
    return Shift(record["path"], record["source"], record["target"], _atoms(record["atoms"]))


def _atoms(record: Sequence[Any]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((block, tuple(numbers)) for block, numbers in record)


def single(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries, with what counts together one by one."""
    for entry in entries:
        if isinstance(entry, Together):
            yield from single(entry.entries)
        else:
            yield entry


def shift_of(path: str, source: Standing, target: Standing, atoms: Set[Atom]) -> Shift:
    """A shift of these atoms."""
    return Shift(path, source, target, by_block(atoms))


def by_block(atoms: Set[Atom]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Atoms as a log has them, in an order that does not vary."""
    grouped: dict[str, list[int]] = {}
    for name, number in sorted(atoms):
        grouped.setdefault(name, []).append(number)
    return tuple((name, tuple(numbers)) for name, numbers in grouped.items())


def inverse(shifts: Iterable[Shift]) -> tuple[Shift, ...]:
    """What takes shifts back."""
    return tuple(Shift(shift.path, shift.target, shift.source, shift.atoms) for shift in shifts)


def undoing(decision: Decided, sentence: str) -> Decided:
    """What takes a decision back."""
    return Decided(
        0,
        sentence,
        inverse(decision.shifts),
        tuple(Write(write.path, write.after, write.before) for write in decision.writes),
        undoes=decision.decision,
        restored=decision.restored,
        is_take=decision.is_take,
    )
