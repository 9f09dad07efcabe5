"""The review's log: what its entries are, how they are written down, and what they add up to.

The log is append-only. `ReviewState` is its fold: a pure read model that any process can make again from the
entries and the content they name. Nothing here touches the disk.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from app.review.diff import Block
from app.review.errors import ReviewError
from app.review.model import FileImage
from app.review.weave import Atom, BlockFacts, EditBlocks, Owner, Weave

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
    """From here on files are changed by what is recorded beforehand, and by the user."""


@dataclass(frozen=True, slots=True)
class Edited:
    """A file went from `before` to `after`. `blocks` are the differences as four numbers each, written down so
    that the log means the same whatever becomes of the diff engine. `turn` is the turn's serial number.
    `made_directories` are the parents that did not exist before."""

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


@dataclass(frozen=True, slots=True)
class Voided:
    """An edit that was written down never reached the disk."""

    edit: int


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
    """What the agent is told of a rejected hunk: its place and its lines as a diff shows them."""

    path: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Decided:
    """An intent: it counts from here on, `writes` follow, and `Done` or `RolledBack` closes it.

    `undoes` and `redoes` name the decision that is taken back or made again. `is_rewind`: it went back to
    before a turn.
    """

    decision: int
    sentence: str
    shifts: tuple[Shift, ...]
    writes: tuple[Write, ...] = ()
    rejected: tuple[RejectedText, ...] = ()
    undoes: int = 0
    redoes: int = 0
    is_rewind: bool = False


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


@dataclass(frozen=True, slots=True)
class FeedbackGiven:
    """The agent was told everything up to here."""


@dataclass(frozen=True, slots=True)
class Retold:
    """What was told in these turns, by their serial numbers, is to be told once more."""

    serials: tuple[int, ...]


Entry = (
    TurnBegan
    | TurnEnded
    | CommandBegan
    | CommandEnded
    | Edited
    | Voided
    | Decided
    | Done
    | RolledBack
    | CommitBegan
    | CommitEnded
    | Settled
    | Commented
    | FeedbackGiven
    | Retold
)
_KINDS: dict[str, type] = {kind.__name__: kind for kind in get_args(Entry)}


def encode(entry: Entry) -> bytes:
    """One line of JSON, ending included."""
    record = {"kind": type(entry).__name__, **asdict(entry)}
    # Paths that are no UTF-8 hold surrogates, which ASCII JSON carries as escapes.
    return json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> Entry:
    """The inverse of `encode`. Raises ValueError for anything else."""
    record = json.loads(line)
    try:
        kind = _KINDS[record.pop("kind")]
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
                Write(write["path"], _image_name(write["before"]), _image_name(write["after"]))
                for write in record["writes"]
            )
            record["rejected"] = tuple(RejectedText(**text) for text in record["rejected"])
        if kind is CommitBegan:
            record["files"] = tuple(tuple(file) for file in record["files"])
        for name in ("paths", "serials", "gone"):
            if name in record:
                record[name] = tuple(record[name])
        entry: Entry = kind(**record)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error
    return entry


def _image_name(record: Mapping[str, Any] | None) -> ImageName | None:
    return ImageName(**record) if record else None


def _shift(record: Mapping[str, Any]) -> Shift:
    atoms = tuple((block, tuple(numbers)) for block, numbers in record["atoms"])
    return Shift(record["path"], record["source"], record["target"], atoms)


@dataclass(frozen=True, slots=True)
class Origin:
    """A renamed file was `path`; `removal` is the block that took it away there, `arrival` the one that made it
    here. They stand and fall together."""

    path: str
    removal: str
    arrival: str


@dataclass
class FileState:
    """One file under review: its weave and where each of its atoms stands. What is not in `standing` is
    pending if it is the agent's, and simply there if it is the user's. `gone` are the atoms that do not count:
    rejected, or never written."""

    weave: Weave
    standing: dict[Atom, Standing] = field(default_factory=dict)
    made_directories: frozenset[str] = frozenset()
    gone: frozenset[Atom] = frozenset()
    origin: Origin | None = None
    newest_edit: int = 0
    # Counts the changes to this state, so that what was made from it can be kept as long as it holds.
    version: int = 0

    def __post_init__(self) -> None:
        self.changed()

    def changed(self) -> None:
        """To be called after every change: forgets what was made from the earlier state."""
        self.version += 1
        self.gone = frozenset(atom for atom, word in self.standing.items() if word in ("rejected", "void"))
        self._image: tuple[FileImage | None] | None = None

    def image(self) -> FileImage | None:
        """What the log says is on disk."""
        if self._image is None:
            self._image = (self.weave.image(self.gone),)
        return self._image[0]

    def live(self) -> tuple[frozenset[str], frozenset[str]]:
        """Blocks with atoms that are kept, and with atoms that are pending. The user's own blocks count where
        they rest on the agent's: they stand or fall with these."""
        kept: set[str] = set()
        pending: set[str] = set()
        for block in self.weave.blocks.values():
            if block.owner == "agent":
                words = {self.standing.get(atom, "pending") for atom in block.atoms}
                if "kept" in words:
                    kept.add(block.id)
                if "pending" in words:
                    pending.add(block.id)
            elif any(self.standing.get(atom) == "kept" for atom in block.atoms):
                kept.add(block.id)
            elif self.counts(block) and block.rests_on & (kept | pending):
                (pending if block.rests_on & pending else kept).add(block.id)
        return frozenset(kept), frozenset(pending)

    def counts(self, block: BlockFacts) -> bool:
        """Whether any atom of a block is neither settled nor gone."""
        return any(self.standing.get(atom) not in ("settled", "void", "rejected") for atom in block.atoms)

    def atoms_standing(self, names: Iterable[str], word: Standing) -> frozenset[Atom]:
        """The atoms of these blocks that stand so; a user's atom without a word is pending here."""
        return frozenset(
            atom
            for name in names
            for atom in self.weave.blocks[name].atoms
            if self.standing.get(atom, "pending") == word
        )

    def above(self, names: Iterable[str]) -> frozenset[str]:
        """These blocks and all that rest on them, as far as they count."""
        found = set(names)
        # A block rests only on older ones, and the weave keeps blocks in the order they were made.
        for block in self.weave.blocks.values():
            if block.rests_on & found and self.counts(block):
                found.add(block.id)
        return frozenset(found)

    def below(self, names: Iterable[str]) -> frozenset[str]:
        """These blocks and all that they rest on, as far as they count."""
        found = set(names)
        for block in reversed(self.weave.blocks.values()):
            if block.id in found:
                found.update(name for name in block.rests_on if self.counts(self.weave.blocks[name]))
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class TurnName:
    """Which turn of which session, and what the user said."""

    session: str
    turn: int
    words: str


@dataclass(slots=True)
class Told:
    """What the agent was told with one turn: rejections by decision, and the numbers of comments."""

    rejections: dict[int, tuple[RejectedText, ...]]
    comments: tuple[int, ...]


@dataclass
class ReviewState:
    """What the log adds up to. `turns` and `told` go by the turns' serial numbers, of which `serial` is the
    last.

    `images` is what was last known to be on disk of every file that was ever under review, and `firsts` what
    each turn found where it changed something: they outlive the review of a file, for going back.
    """

    files: dict[str, FileState] = field(default_factory=dict)
    turn: TurnBegan | None = None
    snapshot: dict[str, Any] = field(default_factory=dict)
    is_command_open: bool = False
    serial: int = 0
    turns: dict[int, TurnName] = field(default_factory=dict)
    told: dict[int, Told] = field(default_factory=dict)
    images: dict[str, ImageName | None] = field(default_factory=dict)
    firsts: dict[int, dict[str, ImageName | None]] = field(default_factory=dict)
    head: str | None = None
    edits: int = 0
    numbers: int = 0
    undoable: list[Decided] = field(default_factory=list)
    redoable: list[Decided] = field(default_factory=list)
    open_decision: Decided | None = None
    open_commit: CommitBegan | None = None
    comments: dict[int, Commented] = field(default_factory=dict)
    unsaid_comments: dict[int, Commented] = field(default_factory=dict)
    unsaid_rejections: dict[int, tuple[RejectedText, ...]] = field(default_factory=dict)

    def apply(self, entry: Entry, content: Callable[[ImageName | None], FileImage | None]) -> None:
        """Take in the next entry; `content` reads an image from the store."""
        match entry:
            case TurnBegan():
                self.turn, self.serial = entry, entry.serial
                self.snapshot, self.is_command_open = dict(entry.snapshot), False
                self.turns[entry.serial] = TurnName(entry.session, entry.turn, entry.words)
            case TurnEnded():
                self.turn, self.head = None, entry.head
                self.snapshot, self.is_command_open = {}, False
            case CommandBegan():
                gone = frozenset(entry.gone)
                files = {path: name for path, name in self.snapshot["files"].items() if path not in gone}
                taken = {"head": entry.head, "complete": entry.complete, "taken_ns": entry.taken_ns}
                self.snapshot = {**self.snapshot, **taken, "files": {**files, **entry.files}}
                self.is_command_open = True
            case CommandEnded():
                self.is_command_open = False
            case Edited():
                self._edited(entry, content)
            case Voided():
                self._voided(entry)
            case Decided():
                self._decided(entry)
            case Done():
                self.open_decision = None
            case RolledBack():
                self._rolled_back(entry)
            case CommitBegan():
                self.open_commit, self.numbers = entry, entry.commit
            case CommitEnded():
                self._commit_ended(entry)
            case Settled():
                for path in entry.paths:
                    self.files.pop(path, None)
                self._forget_decisions()
                self.head = entry.head
            case Commented():
                self._commented(entry)
            case FeedbackGiven():
                self.told[self.serial] = Told(dict(self.unsaid_rejections), tuple(self.unsaid_comments))
                self.unsaid_comments.clear()
                self.unsaid_rejections.clear()
            case Retold():
                self._retold(entry)

    def moves(self) -> dict[str, tuple[str, Origin]]:
        """The renames that hold: by the old path the new one, and how the two hang together."""
        found: dict[str, tuple[str, Origin]] = {}
        for path, file in self.files.items():
            origin = file.origin
            old = self.files.get(origin.path) if origin else None
            if origin is None or old is None or old.image() is not None:
                continue
            removal = {old.standing.get(atom, "pending") for atom in old.weave.blocks[origin.removal].atoms}
            arrival = {file.standing.get(atom, "pending") for atom in file.weave.blocks[origin.arrival].atoms}
            if removal == arrival and removal <= {"pending", "kept"}:
                found[origin.path] = (path, origin)
        return found

    def _edited(self, entry: Edited, content: Callable[[ImageName | None], FileImage | None]) -> None:
        self.edits = entry.edit
        self.images[entry.path] = entry.after
        if entry.owner == "agent":
            first = None if entry.moved_from else entry.before
            self.firsts.setdefault(entry.turn, {}).setdefault(entry.path, first)
        if entry.path not in self.files:
            self.files[entry.path] = FileState(Weave(content(entry.before), exists=not entry.moved_from))
            if entry.moved_from:
                removal, arrival = f"{entry.moved_edit}.0", f"{entry.edit}.0"
                self.files[entry.path].origin = Origin(entry.moved_from, removal, arrival)
        state = self.files[entry.path]
        change = EditBlocks(tuple(Block(*numbers) for numbers in entry.blocks), entry.mode, entry.whole)
        after = content(entry.after)
        state.weave.edit(entry.edit, entry.owner, entry.turn, change=change, after=after, without=state.gone)
        state.made_directories |= frozenset(entry.made_directories)
        state.newest_edit = entry.edit
        state.changed()
        if entry.owner == "agent":
            # What comes back by redoing would land beside work that did not know of it.
            self.redoable.clear()

    def _voided(self, entry: Voided) -> None:
        decided = {shift.path for one in (*self.undoable, *self.redoable) for shift in one.shifts}
        for path, state in list(self.files.items()):
            for block in list(state.weave.blocks.values()):
                if block.edit == entry.edit:
                    state.standing.update(dict.fromkeys(block.atoms, "void"))
                    state.changed()
            atoms = (atom for block in state.weave.blocks.values() for atom in block.atoms)
            if path not in decided and all(state.standing.get(atom) == "void" for atom in atoms):
                del self.files[path]

    def _decided(self, entry: Decided) -> None:
        self.numbers = entry.decision
        self._shift(entry.shifts)
        self.images.update((write.path, write.after) for write in entry.writes)
        if entry.undoes:
            self.redoable.append(self.undoable.pop())
            for texts in (self.unsaid_rejections, *(told.rejections for told in self.told.values())):
                texts.pop(entry.undoes, None)
        elif entry.redoes:
            self.undoable.append(self.redoable.pop())
        else:
            self.undoable.append(entry)
            self.redoable.clear()
        if entry.rejected:
            self.unsaid_rejections[entry.redoes or entry.decision] = entry.rejected
        self.open_decision = entry if entry.writes else None

    def _rolled_back(self, entry: RolledBack) -> None:
        decision = self.open_decision
        if decision is None or decision.decision != entry.decision:
            raise ReviewError(
                "The review log closes a decision that is not open", "move it away and start again"
            )
        self.open_decision = None
        self._shift(inverse(decision.shifts))
        self.images.update((write.path, write.before) for write in decision.writes)
        if decision.undoes:
            self.undoable.append(self.redoable.pop())
            self.unsaid_rejections.update({d.decision: d.rejected for d in self.undoable[-1:] if d.rejected})
        elif decision.redoes:
            self.redoable.append(self.undoable.pop())
        else:
            self.undoable.pop()
        if decision.rejected:
            self.unsaid_rejections.pop(decision.redoes or decision.decision, None)

    def _commit_ended(self, entry: CommitEnded) -> None:
        begun, self.open_commit = self.open_commit, None
        if not entry.commit_hash or begun is None:
            return
        self.head = entry.commit_hash
        self._shift(begun.shifts)
        self._forget_decisions()
        # With nothing to undo any more, a file without live changes has no use for its history.
        for path, state in list(self.files.items()):
            if not any(state.live()):
                del self.files[path]

    def _forget_decisions(self) -> None:
        self.undoable.clear()
        self.redoable.clear()

    def _commented(self, entry: Commented) -> None:
        self.numbers = max(self.numbers, entry.comment)
        if entry.text:
            self.comments[entry.comment] = self.unsaid_comments[entry.comment] = entry
        else:
            self.comments.pop(entry.comment, None)
            self.unsaid_comments.pop(entry.comment, None)

    def _retold(self, entry: Retold) -> None:
        for serial in entry.serials:
            told = self.told.pop(serial, None)
            if told:
                self.unsaid_rejections = {**told.rejections, **self.unsaid_rejections}
                again = {number: self.comments[number] for number in told.comments if number in self.comments}
                self.unsaid_comments = {**again, **self.unsaid_comments}

    def _shift(self, shifts: Iterable[Shift]) -> None:
        for shift in shifts:
            file = self.files[shift.path]
            standing = file.standing
            for name, numbers in shift.atoms:
                for number in numbers:
                    if shift.target == "pending":
                        standing.pop((name, number), None)
                    else:
                        standing[name, number] = shift.target
            file.changed()


def shift_of(path: str, source: Standing, target: Standing, atoms: Set[Atom]) -> Shift:
    """A shift of these atoms, in an order that does not vary."""
    grouped: dict[str, list[int]] = {}
    for name, number in sorted(atoms):
        grouped.setdefault(name, []).append(number)
    return Shift(path, source, target, tuple((name, tuple(numbers)) for name, numbers in grouped.items()))


def inverse(shifts: Iterable[Shift]) -> tuple[Shift, ...]:
    """What takes shifts back."""
    return tuple(Shift(shift.path, shift.target, shift.source, shift.atoms) for shift in shifts)
