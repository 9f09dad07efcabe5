"""What the review's log adds up to: a pure read model that any process can make again from the entries and the
content they name. Nothing here touches the disk.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.review.diff.compare import Block
from app.review.errors import LostContent, ReviewError
from app.review.log.entries import (
    BroughtBack,
    CommandBegan,
    CommandEnded,
    Commented,
    CommitBegan,
    CommitEnded,
    Compacted,
    Decided,
    Done,
    Edited,
    Entry,
    FeedbackGiven,
    ImageName,
    Lost,
    Offered,
    RejectedText,
    Retold,
    RolledBack,
    Settled,
    Shift,
    Stood,
    TakenBack,
    Together,
    TurnBegan,
    TurnEnded,
    Voided,
    image_name,
    inverse,
)
from app.review.log.file_state import FileState, Origin
from app.review.log.weave import Atom, EditBlocks, Weave
from app.review.model import FileImage


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
    calls: dict[int, str] = field(default_factory=dict)
    """By edit, the id of the tool call that made it, where one did."""
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
    losses: list[str] = field(default_factory=list)
    """What the log or the store does not tell any more, a sentence each. An entry may then speak of what is not
    known, and counts as far as it speaks of the rest."""

    def apply(self, entry: Entry, content: Callable[[ImageName | None], FileImage | None]) -> None:
        """Take in the next entry; `content` reads an image from the store."""
        try:
            self._apply(entry, content)
        except (LookupError, ValueError, ReviewError):
            if not self.losses:
                raise
            self.losses.append("An entry of the review's log counts in part, for it speaks of what is lost.")

    def _apply(self, entry: Entry, content: Callable[[ImageName | None], FileImage | None]) -> None:
        match entry:
            case Lost():
                place = f"Line {entry.line} of {entry.file}"
                self.losses.append(f"{place} is damaged: one change or decision is not known.")
                self._forget_decisions()
            case TurnBegan():
                self.turn, self.serial = entry, entry.serial
                self.snapshot, self.is_command_open = dict(entry.snapshot), False
                self.turns[entry.serial] = TurnName(entry.session, entry.turn, entry.words)
                self._end_review()
            case TurnEnded():
                self.turn, self.head = None, entry.head
                self.snapshot, self.is_command_open = {}, False
            case CommandBegan():
                gone = frozenset(entry.gone)
                known = self.snapshot.get("files", {})
                files = {path: name for path, name in known.items() if path not in gone}
                taken = {"head": entry.head, "complete": entry.complete, "taken_ns": entry.taken_ns}
                self.snapshot = {**self.snapshot, **taken, "files": {**files, **entry.files}}
                self.is_command_open = True
            case CommandEnded():
                self.is_command_open = False
            case Offered():
                self._offered(entry, content)
            case Edited():
                self._edited(entry, content)
            case Voided():
                self._voided(entry)
            case TakenBack():
                self._taken_back(entry)
            case BroughtBack():
                self._brought_back(entry)
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
                self._settled(entry)
            case Commented():
                self._commented(entry)
            case FeedbackGiven():
                self.told[self.serial] = Told(dict(self.unsaid_rejections), tuple(self.unsaid_comments))
                self.unsaid_comments.clear()
                self.unsaid_rejections.clear()
            case Retold():
                self._retold(entry)
            case Stood():
                if entry.path in self.files:
                    file = self.files[entry.path]
                    file.standing = {(name, number): word for name, number, word in entry.standing}
                    file.untraced = _of_log(entry.untraced)
                    file.changed()
            case Compacted():
                self._compacted(entry)
            case Together():
                for part in entry.entries:
                    self.apply(part, content)

    def since(self, turn: int, session: str) -> tuple[int, ...]:
        """The serial numbers of a session's turns from `turn` on."""
        names = self.turns.items()
        return tuple(serial for serial, name in names if name.session == session and name.turn >= turn)

    def rejected_moves(self) -> dict[str, tuple[str, Origin]]:
        """The renames that were rejected as a whole: by the old path the new one, and how the two hang
        together."""
        found: dict[str, tuple[str, Origin]] = {}
        for path, file in self.files.items():
            old = self.files.get(file.origin.path) if file.origin else None
            if file.origin is not None and old is not None:
                removal = old.weave.blocks[file.origin.removal].atoms
                if removal <= old.traced() and file.weave.blocks[file.origin.arrival].atoms <= file.traced():
                    found[file.origin.path] = (path, file.origin)
        return found

    def moves(self) -> dict[str, tuple[str, Origin]]:
        """The renames that hold: by the old path the new one, and how the two hang together."""
        found: dict[str, tuple[str, Origin]] = {}
        for path, file in self.files.items():
            origin = file.origin
            old = self.files.get(origin.path) if origin else None
            if origin is None or old is None or old.image() is not None or file.image() is None:
                continue
            removal = {old.standing.get(atom, "pending") for atom in old.weave.blocks[origin.removal].atoms}
            arrival = {file.standing.get(atom, "pending") for atom in file.weave.blocks[origin.arrival].atoms}
            if removal == arrival and removal <= {"pending", "kept"}:
                found[origin.path] = (path, origin)
        return found

    def _compacted(self, entry: Compacted) -> None:
        self.serial, self.edits, self.numbers, self.head = entry.serial, entry.edits, entry.numbers, entry.head
        self.turns = {serial: TurnName(**name) for serial, name in entry.turns}
        self.told = {
            serial: Told(
                {int(number): _texts(texts) for number, texts in told["rejections"].items()},
                tuple(told["comments"]),
            )
            for serial, told in entry.told
        }
        self.images = {path: image_name(image) for path, image in entry.images.items()}
        self.firsts = {
            serial: {path: image_name(image) for path, image in paths.items()} for serial, paths in entry.firsts
        }
        self.comments = {comment["comment"]: Commented(**comment) for comment in entry.comments}
        self.unsaid_comments = {number: self.comments[number] for number in entry.unsaid_comments}
        self.unsaid_rejections = {number: _texts(texts) for number, texts in entry.unsaid_rejections}
        self.undoable = entry.decisions(entry.undoable)
        self.redoable = entry.decisions(entry.redoable)

    def _edited(self, entry: Edited, content: Callable[[ImageName | None], FileImage | None]) -> None:
        self.edits = max(self.edits, entry.edit)
        if entry.call:
            self.calls[entry.edit] = entry.call
        self.images[entry.path] = entry.after
        if entry.owner == "agent":
            first = None if entry.moved_from else entry.before
            self.firsts.setdefault(entry.turn, {}).setdefault(entry.path, first)
        try:
            self._weave(entry, content)
        except LostContent as error:
            self._lose(entry.path, str(error))

    def _weave(self, entry: Edited, content: Callable[[ImageName | None], FileImage | None]) -> None:
        if self.losses and entry.path in self.files:
            image = None if entry.moved_from else content(entry.before)
            if self.files[entry.path].image() != image:
                self._lose(entry.path, "a change to it is not known")
        known = self.files.get(entry.path)
        # A file of which only a trace is left may have been edited while nobody looked (in an older log).
        if known is None or (not any(known.live()) and known.image() != content(entry.before)):
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

    def _offered(self, entry: Offered, content: Callable[[ImageName | None], FileImage | None]) -> None:
        self.edits = max(self.edits, entry.edit)
        if entry.call:
            self.calls[entry.edit] = entry.call
        if entry.path not in self.files:
            self.files[entry.path] = FileState(Weave(content(entry.before)))
            self.images.setdefault(entry.path, entry.before)
            self.firsts.setdefault(entry.turn, {}).setdefault(entry.path, entry.before)
        state = self.files[entry.path]
        state.made_directories |= frozenset(entry.made_directories)
        change = EditBlocks(tuple(Block(*numbers) for numbers in entry.blocks), entry.mode, entry.whole)
        made = state.weave.edit(
            entry.edit,
            entry.owner,
            entry.turn,
            change=change,
            after=content(entry.after),
            without=state.gone | _of_log(entry.without),
        )
        atoms = frozenset(atom for block in made for atom in block.atoms)
        state.standing.update(dict.fromkeys(atoms, "rejected"))
        state.untraced |= atoms
        state.changed()

    def _lose(self, path: str, why: str) -> None:
        """Of `path`, what was done so far cannot be reviewed any more. What is done to it later can."""
        self.losses.append(
            f"{path}: what was changed there before cannot be decided here any more, for {why}. "
            "The file stays as it is."
        )
        self.files.pop(path, None)
        for file in self.files.values():
            if file.origin and file.origin.path == path:
                file.origin = None
        self._forget_decisions()

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

    def _taken_back(self, entry: TakenBack) -> None:
        file = self.files.get(entry.path)
        if file is None:
            return  # lost with the store's damage
        atoms = _of_log(entry.atoms)
        file.taken_back = {atom: file.standing.get(atom, "pending") for atom in atoms}
        file.edit_taken_at = file.newest_edit
        file.standing.update(dict.fromkeys(atoms, "void"))
        file.changed()

    def _brought_back(self, entry: BroughtBack) -> None:
        file = self.files.get(entry.path)
        if file is None:
            return
        file.standing = file.before_taking_back() or file.standing
        file.taken_back = {}
        file.changed()

    def _decided(self, entry: Decided) -> None:
        self.numbers = max(self.numbers, entry.decision)
        if self.losses:
            entry = replace(entry, shifts=tuple(self._known(entry.shifts)))
        self._shift(entry.shifts)
        if entry.is_rewind or entry.is_take:
            self._leave_no_trace(entry.shifts)
        self.images.update((write.path, write.after) for write in entry.writes)
        if entry.undoes and self.undoable:
            self.redoable.append(self.undoable.pop())
            for texts in (self.unsaid_rejections, *(told.rejections for told in self.told.values())):
                texts.pop(entry.undoes, None)
        elif entry.redoes and self.redoable:
            self.undoable.append(self.redoable.pop())
        elif not (entry.undoes or entry.redoes):
            self.undoable.append(entry)
            self.redoable.clear()
        if entry.rejected:
            self.unsaid_rejections[entry.redoes or entry.decision] = entry.rejected
        self._restored(entry)
        self.open_decision = entry if entry.writes else None

    def _restored(self, entry: Decided) -> None:
        """The agent is not told that something was rejected which is there again."""
        if not entry.restored:
            return
        if entry.undoes:
            self.unsaid_rejections[entry.undoes] = entry.restored
            return
        said = {(text.path, text.text) for text in entry.restored}
        left = {
            number: tuple(text for text in texts if (text.path, text.text) not in said)
            for number, texts in self.unsaid_rejections.items()
        }
        self.unsaid_rejections = {number: texts for number, texts in left.items() if texts}

    def _leave_no_trace(self, shifts: Iterable[Shift]) -> None:
        for shift in shifts:
            file = self.files[shift.path]
            atoms = _of_log(shift.atoms)
            file.untraced = file.untraced | atoms if shift.target == "rejected" else file.untraced - atoms

    def _end_review(self) -> None:
        """With a turn a new review begins, where nothing is left to decide of the last one."""
        if any(any(file.live()) for file in self.files.values()):
            return
        decided = {shift.path for one in (*self.undoable, *self.redoable) for shift in one.shifts}
        for path, file in list(self.files.items()):
            file.untraced |= file.traced()
            file.changed()
            if path not in decided:
                del self.files[path]

    def _settled(self, entry: Settled) -> None:
        for path in entry.paths:
            file = self.files.get(path)
            if file is None or not file.traced():
                self.files.pop(path, None)
                continue
            names = frozenset[str]().union(*file.live())
            atoms = (atom for name in names for atom in file.weave.blocks[name].atoms)
            file.standing.update({atom: "settled" for atom in atoms if atom not in file.gone})
            file.changed()
        self._forget_decisions()
        self.head = entry.head

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
        self._shift(self._known(begun.shifts) if self.losses else begun.shifts)
        self._forget_decisions()
        # With nothing to undo any more, a file with nothing to decide or bring back has no use for its history.
        for path, state in list(self.files.items()):
            if state.is_over():
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

    def _known(self, shifts: Iterable[Shift]) -> Iterator[Shift]:
        """The shifts, as far as what they move is there."""
        for shift in shifts:
            blocks = self.files[shift.path].weave.blocks if shift.path in self.files else {}
            atoms = tuple((name, numbers) for name, numbers in shift.atoms if name in blocks)
            if atoms:
                yield replace(shift, atoms=atoms)

    def _shift(self, shifts: Iterable[Shift]) -> None:
        for shift in shifts:
            file = self.files[shift.path]
            standing = file.standing
            for name, numbers in shift.atoms:
                for number in numbers:
                    if standing.get((name, number)) == "void":
                        # Taken back by hand; that holds until it is there again.
                        if (name, number) in file.taken_back:
                            file.taken_back[name, number] = shift.target
                    elif shift.target == "pending":
                        standing.pop((name, number), None)
                    else:
                        standing[name, number] = shift.target
            file.changed()


def _of_log(atoms: Iterable[tuple[str, tuple[int, ...]]]) -> frozenset[Atom]:
    return frozenset((name, number) for name, numbers in atoms for number in numbers)


def _texts(records: Iterable[Mapping[str, Any]]) -> tuple[RejectedText, ...]:
    return tuple(RejectedText(**record) for record in records)
