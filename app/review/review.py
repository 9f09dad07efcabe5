"""The one class that changes a review: it reads and writes the log, the store and the work tree.

Every action runs under a lock that other windows on the same workspace respect, first takes in what they and
the user did in the meantime, and writes its intent to the log before it touches a file. A crash therefore
leaves either the old state or an intent, which the next action of any process completes.
"""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from app.review import commit, snapshot
from app.review.change_log import (
    Commented,
    Decided,
    Done,
    Edited,
    Entry,
    FeedbackGiven,
    FileState,
    ImageName,
    ReviewState,
    RolledBack,
    Settled,
    TurnBegan,
    TurnEnded,
    Voided,
    Write,
    inverse,
)
from app.review.decisions import (
    AtomsByPath,
    images_after,
    keepable,
    lines_of,
    obstacles,
    places,
    rejectable,
    resolve,
    shifts_to,
    with_existence,
    with_return,
)
from app.review.diff import diff_tokens
from app.review.disk import Disk, WorkTree
from app.review.display import KEPT_MARK, ShownFile, show
from app.review.errors import ReviewError
from app.review.feedback import feedback_text, rejected_text
from app.review.git import Git
from app.review.model import Comment, FileChange, FileImage
from app.review.store import FileStore, Store
from app.review.weave import Owner, compare

Images = dict[str, tuple[FileImage | None, FileImage | None]]


class Review:
    """A review of what an agent does to a workspace; implements ReviewPort.

    Safe to call from several threads. Every method raises ReviewError when the log or the disk refuses; then
    nothing has changed.
    """

    def __init__(self, root: Path, store: Store | None = None, disk: Disk | None = None) -> None:
        self._root = root
        self._store = store or FileStore.of_workspace(root)
        self._disk = disk or WorkTree(root)
        self._git = Git(root)
        self._state = ReviewState()
        self._lock = threading.RLock()
        self._in_turn = False
        self._seen_head: str | None = None
        self._depth = 0
        self._shown_files: dict[str, tuple[FileState, int, ShownFile | None]] = {}
        with self._acting():
            pass

    # The agent's side

    def begin_turn(self, turn: int) -> None:
        """See ChangeRecorder. Raises ReviewError when another window's turn is running."""
        with self._acting():
            self._need_no_turn()
            self._take_in_users_edits()
            if not self._store.hold_turn():
                raise ReviewError(
                    "Another window's turn is running in this directory", "wait until it has ended"
                )
            try:
                taken = snapshot.take(self._root, self._disk, self._put_image, time.time_ns())
                self._append(TurnBegan(turn, taken.record()))
            except BaseException:
                self._store.release_turn()
                raise
            self._in_turn = True

    def record(self, path: str, before: FileImage | None, after: FileImage | None) -> None:
        """See ChangeRecorder. What differs between the log and `before` is taken as the user's own edit."""
        if before == after:
            return
        with self._acting():
            if path in self._state.files:
                self._reconcile(path, before, "user")
            self._edit(path, after, "agent", before)

    def command_finished(self) -> tuple[str, ...]:
        """See ChangeRecorder."""
        with self._acting():
            if not (self._in_turn and self._state.turn):
                return ()
            earlier = {path: file.image() for path, file in self._state.files.items()}
            self._find_changes(self._state.turn)
            now = ((path, file.image()) for path, file in self._state.files.items())
            return tuple(sorted(path for path, image in now if path not in earlier or earlier[path] != image))

    def end_turn(self, turn: int) -> None:
        """See ChangeRecorder."""
        with self._acting():
            if self._state.turn is None:
                return
            if self._state.turn.turn != turn:
                raise ReviewError(f"Turn {turn} is not the one that runs", "end that one")
            self._close_turn()

    def feedback(self) -> str:
        """See ChangeRecorder."""
        with self._acting():
            text = feedback_text(self._state)
            if text:
                self._append(FeedbackGiven())
            return text

    # The screen's side

    def changes(self) -> tuple[FileChange, ...]:
        """See ReviewPort. While a turn runs the user's own edits are not looked for."""
        with self._acting():
            if self._state.turn is None:
                self._take_in_users_edits()
                self._settle_what_others_committed()
            return tuple(shown.change for shown in self._shown())

    def progress(self) -> tuple[int, int]:
        """How many hunks are decided and how many there are; rejected ones are gone and do not count."""
        hunks = [hunk for change in self.changes() for hunk in change.hunks]
        return sum(hunk.decision != "pending" for hunk in hunks), len(hunks)

    def keep(self, hunk_ids: frozenset[str]) -> None:
        """See ReviewPort. What these rest on is kept too."""
        with self._deciding():
            shifts = shifts_to(self._state, keepable(self._state, resolve(self._state, hunk_ids)), "kept")
            if shifts:
                self._decide(Decided(0, f"Kept {_count(len(hunk_ids), 'hunk')}", shifts))

    def reject(self, hunk_ids: frozenset[str]) -> str:
        """See ReviewPort."""
        with self._deciding():
            chosen, blocked = rejectable(self._state, resolve(self._state, hunk_ids))
            what, remedy = "", ""
            if blocked:
                what = f"You edited what was to be rejected at {places(self._state, blocked)}"
                remedy = "it stays; take your own edit back first, or edit it further"
                if not chosen:
                    raise ReviewError(what, remedy)
            if chosen:
                self._reject(chosen, f"Rejected {_count(len(hunk_ids) - len(blocked), 'hunk')}")
            return f"{what}: {remedy}" if what else ""

    def keep_lines(self, hunk_id: str, lines: frozenset[int]) -> None:
        """See ReviewPort."""
        with self._deciding():
            path, atoms, everything = lines_of(self._state, hunk_id, lines)
            if everything:
                self.keep(frozenset({hunk_id}))
                return
            shifts = shifts_to(self._state, {path: with_existence(self._state.files[path], atoms)}, "kept")
            if shifts:
                self._decide(Decided(0, f"Kept {_count(len(lines), 'line')} of {path}", shifts))

    def reject_lines(self, hunk_id: str, lines: frozenset[int]) -> str:
        """See ReviewPort."""
        with self._deciding():
            path, atoms, everything = lines_of(self._state, hunk_id, lines)
            if everything:
                return self.reject(frozenset({hunk_id}))
            file = self._state.files[path]
            if any(file.weave.blocks[name].owner == "user" for name, _ in atoms):
                raise ReviewError(f"Some of these lines in {path} are your own", "change them in the file")
            if atoms:
                self._reject(
                    {path: with_return(file, atoms)}, f"Rejected {_count(len(lines), 'line')} of {path}"
                )
            return ""

    def keep_all(self) -> None:
        """Keep everything that is pending."""
        self.keep(self.hunk_ids())

    def reject_all(self) -> str:
        """Reject everything, kept or pending; see `reject`."""
        return self.reject(self.hunk_ids())

    def hunk_ids(self, path: str | None = None, since_turn: int = 0, turn: int | None = None) -> frozenset[str]:
        """The ids that stand for a file's changes, for one turn's, for those since a turn (itself included), or
        for all."""
        with self._acting():
            found: set[str] = set()
            for name, state in self._state.files.items():
                kept, pending = state.live()
                for block in kept | pending:
                    facts = state.weave.blocks[block]
                    wanted = facts.owner == "agent" and facts.turn >= since_turn
                    if wanted and path in (None, name) and turn in (None, facts.turn):
                        found.add(block)
                        if block in kept & pending:
                            found.add(block + KEPT_MARK)
            return frozenset(found)

    def rewind(self, turn: int) -> str:
        """Put the files back to what they were before `turn` began; `undo` brings it back. See `reject`."""
        return self.reject(self.hunk_ids(since_turn=turn))

    def replace_files(self, sentence: str, wanted: Mapping[str, FileImage | None]) -> None:
        """Write files as one decision that `undo` takes back; what is under review in them becomes an edit of
        the user's own. `sentence` says what it was."""
        with self._deciding():
            images = {path: (self._read(path), image) for path, image in wanted.items()}
            changed = {path: pair for path, pair in images.items() if pair[0] != pair[1]}
            if changed:
                self._decide(Decided(0, sentence, ()), changed)

    def undo(self) -> str:
        """See ReviewPort. Refused where the user has edited the same place since."""
        with self._deciding():
            if not self._state.undoable:
                return ""
            last = self._state.undoable[-1]
            sentence = f"Undone: {_lower(last.sentence)}"
            back = tuple(Write(write.path, write.after, write.before) for write in last.writes)
            self._move(Decided(0, sentence, inverse(last.shifts), back, undoes=last.decision))
            return sentence

    def redo(self) -> str:
        """See ReviewPort. Refused where the user has edited the same place since."""
        with self._deciding():
            if not self._state.redoable:
                return ""
            last = self._state.redoable[-1]
            sentence = f"Done again: {_lower(last.sentence)}"
            again = replace(last, decision=0, sentence=sentence, undoes=0, redoes=last.decision)
            self._move(again)
            return sentence

    def commit(self, message: str) -> str:
        """See ReviewPort."""
        with self._deciding():
            self._settle_what_others_committed()
            return commit.commit_kept(self._git, self._state, message, self._append)

    def comment(self, path: str, line: int, quoted: str, text: str, source: str = "") -> Comment:
        """Say something about a line; the agent hears it with the next turn. `source` names what is reviewed
        when it is not the agent's work."""
        with self._acting():
            entry = Commented(self._state.numbers + 1, path, line, quoted, text, source)
            self._append(entry)
            return Comment(entry.comment, path, line, quoted, text, source)

    def change_comment(self, comment: int, text: str) -> None:
        """Put other words to a comment; "" removes it. Raises ReviewError when it is not there."""
        with self._acting():
            old = self._state.comments.get(comment)
            if old is None:
                raise ReviewError("That comment is no longer there", "look again")
            self._append(Commented(comment, old.path, old.line, old.quoted, text, old.source))

    def comments(self) -> tuple[Comment, ...]:
        """All comments, by path and line."""
        with self._acting():
            found = [
                Comment(entry.comment, entry.path, entry.line, entry.quoted, entry.text, entry.source)
                for entry in self._state.comments.values()
            ]
        return tuple(sorted(found, key=lambda comment: (comment.path, comment.line, comment.id)))

    # Common to all actions

    @contextmanager
    def _acting(self) -> Iterator[None]:
        """Alone, with the log as it now is and no intent left open."""
        with self._lock:
            try:
                if self._depth:
                    yield
                    return
                with self._store.lock():
                    self._depth += 1
                    try:
                        for entry in self._store.read():
                            self._state.apply(entry, self._image)
                        self._recover()
                        yield
                    finally:
                        self._depth -= 1
            except OSError as error:
                raise ReviewError(_disk_sentence(error), "mend that and try again") from error

    @contextmanager
    def _deciding(self) -> Iterator[None]:
        with self._acting():
            self._need_no_turn()
            self._take_in_users_edits()
            yield

    def _need_no_turn(self) -> None:
        if self._state.turn is not None:
            raise ReviewError("A turn is still writing", "decide when it has ended")

    def _append(self, entry: Entry) -> None:
        self._store.append(entry)
        self._state.apply(entry, self._image)

    def _image(self, name: ImageName | None) -> FileImage | None:
        return FileImage(self._store.get(name.blob), name.mode) if name else None

    def _put_image(self, image: FileImage) -> ImageName:
        return ImageName(self._store.put(image.data), image.mode)

    def _put(self, image: FileImage | None) -> ImageName | None:
        return self._put_image(image) if image else None

    def _read(self, path: str) -> FileImage | None:
        try:
            return self._disk.read(path)
        except IsADirectoryError:
            return None

    def _recover(self) -> None:
        """Complete what a crash or another window left open."""
        if self._state.open_decision:
            self._complete(self._state.open_decision)
        if self._state.open_commit:
            commit.recover(self._git, self._state.open_commit, self._append)
        if self._state.turn and not self._in_turn and self._store.hold_turn():
            # Its process has died, or it would hold the turn.
            self._close_turn()

    def _complete(self, decision: Decided) -> None:
        """Bring the files to where an open decision wants them. A file that is neither as before nor as after
        has been edited by the user since and is left alone."""
        for write in decision.writes:
            found = self._read(write.path)
            if found == self._image(write.before) and found != self._image(write.after):
                self._write(write.path, self._image(write.after))
        self._append(Done(decision.decision))

    def _write(self, path: str, image: FileImage | None) -> None:
        self._disk.write(path, image)
        if image is None and path in self._state.files:
            self._disk.remove_directories(self._state.files[path].made_directories)

    # Edits

    def _edit(self, path: str, after: FileImage | None, owner: Owner, before: FileImage | None = None) -> None:
        """Write down that `path` became `after`; `before` counts where the log does not know the file yet."""
        state = self._state.files.get(path)
        if state:
            gone = state.gone
            was = state.image()
            visible = [state.weave.tokens[n].data for n in state.weave.visible(gone)]
        else:
            was = before
            visible = diff_tokens(before)
        if was == after:
            return
        directories: tuple[str, ...] = ()
        if was is None and owner == "agent":
            # A command has made its directories already; git too takes away those that a removal leaves empty.
            written = self._read(path) is not None
            parents = tuple(parent.as_posix() for parent in Path(path).parents if parent != Path())
            directories = parents if written else self._disk.missing_parents(path)
        change = compare(visible, was, after)
        self._append(
            Edited(
                edit=self._state.edits + 1,
                path=path,
                owner=owner,
                turn=self._state.last_turn,
                before=self._put(was),
                after=self._put(after),
                blocks=tuple((b.before_start, b.before_end, b.after_start, b.after_end) for b in change.blocks),
                mode=change.mode,
                whole=change.whole,
                made_directories=directories,
            )
        )

    def _take_in_users_edits(self) -> None:
        for path in list(self._state.files):
            self._reconcile(path, self._read(path), "user")

    def _reconcile(self, path: str, found: FileImage | None, owner: Owner) -> None:
        """Bring the log to what is on disk: an edit of `owner`, or the agent's newest edit never arrived there
        (or was taken back by hand, which comes to the same)."""
        state = self._state.files[path]
        if found == state.image():
            return
        newest = [block for block in state.weave.blocks.values() if block.edit == state.newest_edit]
        atoms = frozenset(atom for block in newest for atom in block.atoms)
        undecided = all(block.owner == "agent" for block in newest) and not atoms & state.standing.keys()
        if undecided and state.weave.image(state.gone | atoms) == found:
            self._append(Voided(state.newest_edit))
        else:
            self._edit(path, found, owner)

    def _find_changes(self, turn: TurnBegan) -> None:
        """Record as the agent's what differs from the log, or from the snapshot where the log says nothing."""
        known = set(self._state.files)
        for path in known:
            self._reconcile(path, self._read(path), "agent")
        taken = snapshot.Snapshot.of_record(turn.snapshot)
        for path, (before, after) in snapshot.differences(self._root, self._disk, taken, self._image).items():
            if path not in known:
                self._edit(path, after, "agent", before)

    def _close_turn(self) -> None:
        if self._state.turn:
            self._find_changes(self._state.turn)
            head = self._git.head if self._git.is_repository else ""
            self._append(TurnEnded(self._state.turn.turn, head))
        self._in_turn = False
        self._store.release_turn()

    def _settle_what_others_committed(self) -> None:
        """A file that someone committed as it stands needs no review any more. What the agent committed itself
        during a turn does."""
        if not self._state.files or not self._git.is_repository:
            return
        head = self._git.head
        if not head or head in (self._seen_head, self._state.head):
            return
        if self._state.head is not None:
            committed = self._git.images(head, self._state.files)
            settled = [path for path, file in self._state.files.items() if file.image() == committed.get(path)]
            if settled:
                self._append(Settled(tuple(settled), head))
        self._seen_head = head

    # Decisions

    def _shown(self) -> Iterator[ShownFile]:
        for path in sorted(self._state.files):
            shown = self._show(path)
            if shown:
                yield shown

    def _show(self, path: str) -> ShownFile | None:
        file = self._state.files[path]
        known = self._shown_files.get(path)
        if known is None or known[0] is not file or known[1] != file.version:
            known = self._shown_files[path] = (file, file.version, show(path, file))
        return known[2]

    def _reject(self, chosen: AtomsByPath, sentence: str) -> None:
        rejected = tuple(
            text for path, atoms in sorted(chosen.items()) for text in rejected_text(self._show(path), atoms)
        )
        self._decide(Decided(0, sentence, shifts_to(self._state, chosen, "rejected"), rejected=rejected))

    def _move(self, wanted: Decided) -> None:
        """Take a decision back or make it again. Files under review come from their weave, with the user's
        edits of the meantime in them; others must be as the decision left them."""
        in_the_way = obstacles(self._state, wanted.shifts)
        images: Images = {}
        if not wanted.shifts:
            images = {
                write.path: (self._image(write.before), self._image(write.after)) for write in wanted.writes
            }
            in_the_way = [path for path, (old, _) in images.items() if self._read(path) != old]
        if in_the_way:
            raise ReviewError(
                f"{', '.join(in_the_way)} was edited in the same place since", "take that edit back first"
            )
        self._decide(wanted, images)

    def _decide(self, wanted: Decided, others: Images | None = None) -> None:
        """Write the intent down, then the files, then that it is done; a disk that refuses undoes it all.
        `others` are files to write that no shift stands for."""
        images = {**images_after(self._state, wanted.shifts), **(others or {})}
        writes = tuple(Write(path, self._put(old), self._put(new)) for path, (old, new) in images.items())
        decided = replace(wanted, decision=self._state.numbers + 1, writes=writes)
        self._append(decided)
        if not writes:
            return
        written: list[str] = []
        try:
            for path, (old, new) in images.items():
                if self._read(path) != old:
                    raise ReviewError(f"{path} has just been changed by someone else", "try again")
                written.append(path)
                self._write(path, new)
        except (OSError, ReviewError) as error:
            for path in reversed(written):
                self._disk.write(path, images[path][0])
            self._append(RolledBack(decided.decision))
            if isinstance(error, OSError):
                raise ReviewError(
                    _disk_sentence(error), "nothing was changed; mend that and try again"
                ) from error
            raise
        self._append(Done(decided.decision))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]


def _disk_sentence(error: OSError) -> str:
    name = f"{error.filename}: " if error.filename else ""
    return f"The disk refused ({name}{error.strerror or error})"
