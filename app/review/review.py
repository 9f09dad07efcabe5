"""What the agent and the screen may do with a review.

Every action runs under a lock that other windows on the same workspace respect, and first takes in what they
and the user did in the meantime.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from typing_extensions import override

from app.git.git import Git
from app.review import commit, rewinding, snapshot
from app.review.checkout import images
from app.review.disk import Disk, WorkTree
from app.review.display import (
    KEPT_MARK,
    ShownFile,
    live_atoms,
    show,
    show_rejected,
    with_traces,
)
from app.review.errors import ReviewError
from app.review.feedback import rejected_text
from app.review.log.change_log import ReviewState, TurnName
from app.review.log.decisions import (
    AtomsByPath,
    LinesOf,
    keepable,
    lines_of,
    obstacles,
    places,
    rejectable,
    resolve,
    restorable,
    shifts_to,
    spare_existence,
    united,
    with_arrival,
    with_return,
)
from app.review.log.entries import Commented, Decided, RejectedText, Settled, undoing
from app.review.log.file_state import FileState
from app.review.log.ledger import Images, Ledger
from app.review.log.sentences import count, lower, what_of
from app.review.log.store import FileStore, Store, review_directory
from app.review.log.turn_files import turn_files
from app.review.model import (
    Comment,
    FileChange,
    FileImage,
    FileSummary,
    Remark,
    Selection,
    TurnSummary,
)
from app.review.needed.subsets import Subsets
from app.review.port import ReviewPort
from app.review.remarks.model import Note, Said
from app.review.remarks.speaking import speak
from app.review.remarks.store import RemarkStore
from app.review.turns import TurnRecorder
from app.review.written.written import Written


class Review(ReviewPort):
    """A review of what an agent does to a workspace; implements ReviewPort.

    Safe to call from several threads. Every method raises ReviewError when the log or the disk refuses; then
    nothing has changed.
    """

    def __init__(self, root: Path, store: Store | None = None, disk: Disk | None = None) -> None:
        store = store or FileStore.of_workspace(root)
        disk = disk or WorkTree(root)
        self._git = Git(root)
        self._ledger = Ledger(store, disk)
        self._turns = TurnRecorder(root, store, disk, self._ledger)
        self._seen_head: str | None = None
        self._shown_files: dict[str, tuple[FileState, tuple[int, bool], ShownFile | None]] = {}
        with self._acting():
            self._ledger.compact()
        # Read the short log where it was replaced.
        with self._acting():
            self.remarks = RemarkStore(review_directory(root) / "remarks.jsonl")
            self.remarks.keep_only(self._has_hunk_of)
        self.written = Written(self._ledger, self._acting, self._deciding, self._shown, self._rejected_texts)

    # The agent's side

    @override
    def begin_turn(self, turn: int, session: str = "", words: str = "") -> None:
        """Raises ReviewError when another window's turn is running."""
        with self._acting():
            self._turns.need_none()
            self._turns.begin(turn, session, words)

    @override
    def record(self, path: str, before: FileImage | None, after: FileImage | None) -> None:
        if before != after:
            with self._acting():
                self._turns.record(path, before, after)

    @override
    def command_started(self, named: Sequence[str] = ()) -> None:
        with self._acting():
            self._turns.command_started(named)

    @override
    def command_finished(self, still_runs: bool = False) -> tuple[str, ...]:
        with self._acting():
            return self._turns.command_finished(still_runs)

    @override
    def begin_call(self, call: str) -> None:
        self._turns.call = call

    @override
    def end_turn(self, turn: int) -> None:
        with self._acting():
            self._turns.end(turn)

    @override
    def feedback(self) -> str:
        with self._acting():
            return self._turns.feedback()

    @override
    def retell(self, turn: int, session: str) -> None:
        with self._acting():
            self._turns.retell(turn, session)

    @override
    def say(self, said: Said) -> str:
        with self._acting():
            changes = [shown.change for shown in self._shown()]
            return speak(said, changes, self._state.comments, self.remarks)

    @override
    def turn_files(self) -> tuple[FileSummary, ...]:
        with self._acting():
            notes = [remark for remark in self.remarks.all() if isinstance(remark, Note)]
            return turn_files(self._state, self._state.serial, self._ledger.image, notes)

    # The screen's side

    @override
    def changes(self) -> tuple[FileChange, ...]:
        """While a turn runs the user's own edits are not looked for."""
        with self._acting():
            if self._state.turn is None:
                self._ledger.take_in("user")
                self._settle_what_others_committed()
            return tuple(shown.change for shown in self._shown())

    @override
    def losses(self) -> tuple[str, ...]:
        lost = self.remarks.lost
        more = (f"{count(lost, 'remark')} on hunks cannot be read any more.",) if lost else ()
        return (*self._state.losses, *more)

    @override
    def changes_and_traces(self) -> tuple[FileChange, ...]:
        with self._acting():
            found = {change.path: change for change in self.changes()}
            moves = self._state.rejected_moves()
            arrivals = {new for new, _ in moves.values()}
            for path, file in self._state.files.items():
                rejected = None if path in moves else show_rejected(path, file, path in arrivals)
                if rejected is not None:
                    found[path] = with_traces(found.get(path), rejected.change)
            return tuple(found[path] for path in sorted(found))

    @override
    def bring_back(self, hunk_ids: frozenset[str]) -> None:
        with self._deciding():
            atoms = restorable(self._state, resolve(self._state, hunk_ids))
            texts = tuple(
                text
                for path, members in sorted(atoms.items())
                for text in rejected_text(show_rejected(path, self._state.files[path]), members)
            )
            shifts = shifts_to(self._state, atoms, "kept", ("rejected",))
            if not shifts:
                raise ReviewError("That was not rejected, or is no longer known", "look at the hunks again")
            sentence = f"Brought back {count(len(hunk_ids), 'hunk')}"
            self._move(Decided(0, sentence, shifts, restored=texts))

    def progress(self) -> tuple[int, int]:
        """How many hunks are decided and how many there are; rejected ones are gone and do not count."""
        hunks = [hunk for change in self.changes() for hunk in change.hunks]
        return sum(hunk.decision != "pending" for hunk in hunks), len(hunks)

    @override
    def subsets(self) -> Subsets:
        with self._acting():
            self._turns.need_none()
            self._ledger.take_in("user")
            return Subsets(self._state)

    @override
    def keep(self, hunk_ids: frozenset[str]) -> None:
        self.keep_selected(dict.fromkeys(hunk_ids))

    @override
    def reject(self, hunk_ids: frozenset[str]) -> str:
        return self.reject_selected(dict.fromkeys(hunk_ids))

    @override
    def keep_selected(self, selection: Selection) -> None:
        """What these rest on is kept too."""
        with self._deciding():
            ids, lines = self._whole_and_lines(selection)
            wanted = keepable(self._state, resolve(self._state, ids))
            for one in lines:
                wanted = united(wanted, with_arrival(self._state, one.path, one.atoms))
            shifts = shifts_to(self._state, wanted, "kept")
            if shifts:
                self._ledger.decide(Decided(0, f"Kept {what_of(len(ids), lines)}", shifts))

    @override
    def reject_selected(self, selection: Selection) -> str:
        with self._deciding():
            ids, lines = self._whole_and_lines(selection)
            chosen, blocked = rejectable(self._state, resolve(self._state, ids))
            what, remedy = "", ""
            if blocked:
                what = f"You edited what was to be rejected at {places(self._state, blocked)}"
                remedy = "it stays; take your own edit back first, or edit it further"
                if not (chosen or lines):
                    raise ReviewError(what, remedy)
            for one in lines:
                file = self._state.files[one.path]
                if any(file.weave.blocks[name].owner == "user" for name, _ in one.atoms):
                    raise ReviewError(
                        f"Some of these lines in {one.path} are your own", "change them in the file"
                    )
                if one.atoms:
                    chosen = united(chosen, {one.path: with_return(file, one.atoms)})
            if chosen:
                self._reject(chosen, f"Rejected {what_of(len(ids) - len(blocked), lines)}")
            return f"{what}: {remedy}" if what else ""

    def _whole_and_lines(self, selection: Selection) -> tuple[list[str], list[LinesOf]]:
        """The ids of hunks selected whole, and the lines of the others. Raises ReviewError if one is gone."""
        lines = [
            lines_of(self._state, hunk_id, numbers)
            for hunk_id, numbers in selection.items()
            if numbers is not None
        ]
        ids = [hunk_id for hunk_id, numbers in selection.items() if numbers is None]
        ids += [one.hunk_id for one in lines if one.is_everything]
        return ids, [one for one in lines if not one.is_everything]

    @override
    def hunk_ids(self, path: str | None = None, turns: Collection[int] | None = None) -> frozenset[str]:
        with self._acting():
            found: set[str] = set()
            for name, state in self._state.files.items():
                kept, pending = state.live()
                for block in kept | pending:
                    facts = state.weave.blocks[block]
                    wanted = facts.owner == "agent" and (turns is None or facts.turn in turns)
                    if wanted and path in (None, name):
                        found.add(block)
                        if block in kept & pending:
                            found.add(block + KEPT_MARK)
            return frozenset(found)

    @override
    def turns(self) -> tuple[TurnSummary, ...]:
        with self._acting():
            found: dict[int, set[str]] = {}
            for path, state in self._state.files.items():
                for name in frozenset().union(*state.live()):
                    facts = state.weave.blocks[name]
                    if facts.owner == "agent":
                        found.setdefault(facts.turn, set()).add(path)
            result: list[TurnSummary] = []
            for serial in sorted(found):
                known = self._state.turns.get(serial, TurnName("", serial, ""))
                paths = tuple(sorted(found[serial]))
                result.append(TurnSummary(known.turn, paths, known.session, known.words, serial))
            return tuple(result)

    @override
    def rewind(self, turn: int, session: str = "", *, tells: bool = True) -> str:
        with self._deciding():
            wanted = rewinding.plan(self._state, self._state.since(turn, session))
            images, left, lost = rewinding.files_to_write(
                self._state, wanted, self._ledger.image, self._ledger.read, self._git
            )
            shifts = shifts_to(self._state, wanted.atoms, "rejected", ("pending", "kept", "settled"))
            if shifts or images:
                rejected = self._rejected_texts(wanted.atoms) if tells else ()
                sentence = f"Went back to before turn {turn}"
                self._ledger.decide(Decided(0, sentence, shifts, rejected=rejected, is_rewind=True), images)
            left += [places(self._state, [part]) for part in wanted.blocked]
            said = [f"Left as they are, for you edited them since: {', '.join(left)}"] if left else []
            if lost:
                said.append(f"Left as they are, for what they were is lost: {', '.join(lost)}")
            if beyond := snapshot.not_covered(self._git):
                said.append(f"Not known, and so as it is now: what commands did in {beyond}")
            return ". ".join(said)

    @contextmanager
    @override
    def users_own(self, path: str) -> Iterator[None]:
        with self._acting():
            self._turns.take_in(path, "agent")
        try:
            yield
        finally:
            with self._acting():
                self._turns.take_in(path, "user")

    @override
    def is_rewound(self) -> bool:
        with self._acting():
            return bool(self._state.undoable) and self._state.undoable[-1].is_rewind

    @override
    def replace_files(self, sentence: str, wanted: Mapping[str, FileImage | None]) -> None:
        with self._deciding():
            images = {path: (self._ledger.read(path), image) for path, image in wanted.items()}
            changed = {path: pair for path, pair in images.items() if pair[0] != pair[1]}
            if changed:
                self._ledger.decide(Decided(0, sentence, ()), changed)

    @override
    def undo(self) -> str:
        """Refused where the user has edited the same place since."""
        with self._deciding():
            if not self._state.undoable:
                return ""
            last = self._state.undoable[-1]
            sentence = f"Undone: {lower(last.sentence)}"
            self._move(undoing(last, sentence))
            return sentence

    @override
    def redo(self) -> str:
        """Refused where the user has edited the same place since."""
        with self._deciding():
            if not self._state.redoable:
                return ""
            last = self._state.redoable[-1]
            sentence = f"Done again: {lower(last.sentence)}"
            self._move(replace(last, decision=0, sentence=sentence, undoes=0, redoes=last.decision))
            return sentence

    @override
    def commit(self, message: str, *, sign_off: bool = False, amend: bool = False) -> str:
        with self._deciding():
            self._settle_what_others_committed()
            options = commit.options(sign_off, amend)
            return commit.commit_kept(self._git, self._state, message, self._ledger.append, options)

    @override
    def put_away(self) -> str:
        with self._deciding():
            kept = {path: live_atoms(file, file.live()[0], True) for path, file in self._state.files.items()}
            shifts = shifts_to(self._state, kept, "settled", ("kept",))
            if not shifts:
                raise ReviewError("Nothing is kept that could leave the list", "keep some hunks first")
            number = sum(item.kept for shown in self._shown() for item in shown.shown)
            self._ledger.decide(Decided(0, f"Took {count(number, 'kept hunk')} off the list", shifts))
            return f"{count(number, 'kept hunk')} left the list; the files stay as they are."

    @override
    def comment(
        self, path: str, line: int, quoted: str, text: str, *, source: str = "", hunk: str = ""
    ) -> Comment:
        with self._acting():
            entry = Commented(self._state.numbers + 1, path, line, quoted, text, source, hunk)
            self._ledger.append(entry)
            return self._comment(entry)

    def change_comment(self, comment: int, text: str) -> None:
        """Put other words to a comment; "" removes it. Raises ReviewError when it is not there."""
        with self._acting():
            old = self._state.comments.get(comment)
            if old is None:
                raise ReviewError("That comment is no longer there", "look again")
            self._ledger.append(replace(old, text=text))

    def comments(self) -> tuple[Comment, ...]:
        """All comments, by path and line."""
        with self._acting():
            found = [self._comment(entry) for entry in self._state.comments.values()]
        return tuple(sorted(found, key=lambda comment: (comment.path, comment.line, comment.id)))

    def _comment(self, entry: Commented) -> Comment:
        is_sent = entry.comment not in self._state.unsaid_comments
        return Comment(
            entry.comment, entry.path, entry.line, entry.quoted, entry.text, entry.source, entry.hunk, is_sent
        )

    def _has_hunk_of(self, remark: Remark) -> bool:
        """Whether the log still knows the hunk that a remark is on, as far as it is the log's."""
        if remark.source or not remark.hunk:
            return True
        file = self._state.files.get(remark.path)
        names = remark.hunk.partition(":")[0].split("+")
        return file is not None and any(name in file.weave.blocks for name in names)

    # Common to all actions

    @property
    def _state(self) -> ReviewState:
        return self._ledger.state

    def _acting(self) -> AbstractContextManager[None]:
        return self._ledger.acting(self._recover)

    @contextmanager
    def _deciding(self) -> Iterator[None]:
        with self._acting():
            self._turns.need_none()
            self._ledger.take_in("user")
            yield

    def _recover(self) -> None:
        """Complete what a crash or another window left open."""
        if self._state.open_commit:
            commit.recover(self._git, self._state.open_commit, self._ledger.append)
        self._turns.recover()

    def _settle_what_others_committed(self) -> None:
        """A file that someone committed with its present content needs no review any more. What the agent
        committed itself during a turn does."""
        if not self._state.files or not self._git.is_repository:
            return
        head = self._git.head
        if not head or head in (self._seen_head, self._state.head):
            return
        if self._state.head is not None:
            committed = images(self._git, head, self._state.files)
            settled = [path for path, file in self._state.files.items() if file.image() == committed.get(path)]
            if settled:
                self._ledger.append(Settled(tuple(settled), head))
        self._seen_head = head

    # Decisions

    def _shown(self) -> Iterator[ShownFile]:
        for path in self._shown_files.keys() - self._state.files.keys():
            del self._shown_files[path]
        moves = self._state.moves()
        new_paths = {new for new, _ in moves.values()}
        for path in sorted(self._state.files):
            if path in moves:
                continue
            shown = self._show(path, path in new_paths)
            if shown:
                yield shown

    def _show(self, path: str, is_moved: bool) -> ShownFile | None:
        file = self._state.files[path]
        known = self._shown_files.get(path)
        if known is None or known[0] is not file or known[1] != (file.version, is_moved):
            known = self._shown_files[path] = (file, (file.version, is_moved), show(path, file, is_moved))
        return known[2]

    def _reject(self, chosen: AtomsByPath, sentence: str) -> None:
        chosen, left = spare_existence(self._state, chosen)
        shifts = (*shifts_to(self._state, chosen, "rejected"), *shifts_to(self._state, left, "pending"))
        self._ledger.decide(Decided(0, sentence, shifts, rejected=self._rejected_texts(chosen)))

    def _rejected_texts(self, chosen: AtomsByPath) -> tuple[RejectedText, ...]:
        moves = self._state.moves()
        new_paths = {new for new, _ in moves.values()}
        return tuple(
            text
            for path, atoms in sorted(chosen.items())
            if path not in moves
            for text in rejected_text(self._show(path, path in new_paths), atoms)
        )

    def _move(self, wanted: Decided) -> None:
        """Take a decision back or make it again. Files under review come from their weave, with the user's
        edits of the meantime in them; others must be as the decision left them."""
        woven = {shift.path for shift in wanted.shifts}
        images: Images = {
            write.path: (self._ledger.image(write.before), self._ledger.image(write.after))
            for write in wanted.writes
            if write.path not in woven
        }
        in_the_way = obstacles(self._state, wanted.shifts)
        in_the_way += [path for path, (old, _) in images.items() if self._ledger.read(path) != old]
        if in_the_way:
            raise ReviewError(
                f"{', '.join(in_the_way)} was edited in the same place since", "take that edit back first"
            )
        self._ledger.decide(wanted, images)
