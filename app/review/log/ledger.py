"""The review's log and the work tree, kept in step: the one place where either is written.

An intent is in the log before a file is touched, and closed in the log afterwards. A crash therefore leaves
either the old state or an open intent, which the next action of any process completes.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from app.review.diff.compare import diff_tokens
from app.review.disk import Disk
from app.review.errors import LostContent, ReviewError
from app.review.log.change_log import ReviewState
from app.review.log.compaction import blobs, compact
from app.review.log.decisions import images_after
from app.review.log.entries import (
    BroughtBack,
    Compacted,
    Decided,
    Done,
    Edited,
    Entry,
    ImageName,
    Offered,
    RolledBack,
    TakenBack,
    Together,
    Voided,
    Write,
    by_block,
)
from app.review.log.file_state import FileState
from app.review.log.store import Store
from app.review.log.taken_back import taken_back
from app.review.log.weave import Atom, EditBlocks, Owner, compare
from app.review.model import FileImage

# So many entries since the last time make a log worth compacting.
LONG = 400
Images = dict[str, tuple[FileImage | None, FileImage | None]]


class Ledger:
    """Log, store and disk. `state` is what the log adds up to; it is current inside `acting`."""

    def __init__(self, store: Store, disk: Disk) -> None:
        self.state = ReviewState()
        self.times_replaced = 0
        """How often the log was compacted since; contents that nobody speaks of may be gone then."""
        self._store = store
        self._disk = disk
        self._lock = threading.RLock()
        self._depth = 0

    @contextmanager
    def acting(self, recover: Callable[[], None]) -> Iterator[None]:
        """Alone among threads and processes, with the log as it now is and no intent left open; `recover`
        closes those that this class does not know. Raises ReviewError when the disk refuses."""
        with self._lock:
            try:
                if self._depth:
                    yield
                    return
                with self._store.lock():
                    self._depth += 1
                    try:
                        if self._store.is_replaced():
                            self.state = ReviewState()
                            self.times_replaced += 1
                        for entry in self._store.read():
                            self.state.apply(entry, self.image)
                        if self.state.open_decision:
                            self._complete(self.state.open_decision)
                        recover()
                        yield
                    finally:
                        self._depth -= 1
            except OSError as error:
                raise ReviewError(_disk_sentence(error), "mend that and try again") from error

    def compact(self) -> None:
        """Make the log short, once it has become long; what may be decided, undone and gone back on stays. A
        crash leaves the old log or the new one."""
        if self.state.turn or self.state.open_commit or self.state.open_decision or self.state.losses:
            return
        entries = self._store.everything()
        last = max((n for n, entry in enumerate(entries) if isinstance(entry, Compacted)), default=-1)
        if len(entries) - last > LONG:
            short = compact(entries, self.image, self._store.size)
            self._store.replace(short)
            self._store.keep_only(frozenset(blobs(short)))

    def append(self, entry: Entry) -> None:
        """Add to the log, and to the state. Raises OSError."""
        self._store.append(entry)
        self.state.apply(entry, self.image)

    def image(self, name: ImageName | None) -> FileImage | None:
        """An image from the store."""
        return FileImage(self._store.get(name.blob), name.mode) if name else None

    def put_image(self, image: FileImage) -> ImageName:
        """Keep an image in the store. Raises OSError."""
        return ImageName(self._store.put(image.data), image.mode)

    def _put(self, image: FileImage | None) -> ImageName | None:
        return self.put_image(image) if image else None

    def read(self, path: str) -> FileImage | None:
        """The file on disk. Raises OSError."""
        return self._disk.read(path)

    def edit(
        self,
        path: str,
        after: FileImage | None,
        owner: Owner,
        before: FileImage | None = None,
        call: str = "",
    ) -> None:
        """Write down that `path` became `after`; `before` counts where the log does not know the file yet.
        `call` is the id of the tool call that did it, if one did."""
        state = self.state.files.get(path)
        if state:
            gone = state.gone
            was = state.image()
            visible = [state.weave.tokens[n].data for n in state.weave.visible(gone)]
        else:
            was = before
            visible = diff_tokens(before)
        if was == after:
            return
        directories = self._new_directories(path) if was is None and owner == "agent" else ()
        change = compare(visible, was, after)
        self.append(
            Edited(
                edit=self.state.edits + 1,
                path=path,
                owner=owner,
                turn=self.state.serial,
                before=self._put(was),
                after=self._put(after),
                blocks=_numbers(change),
                mode=change.mode,
                whole=change.whole,
                made_directories=directories,
                call=call,
            )
        )

    def offer(
        self,
        path: str,
        before: FileImage | None,
        after: FileImage,
        *,
        without: frozenset[Atom],
        turn: int,
        call: str,
    ) -> int:
        """Write down another way that the agent's call `call` could have changed `path`: from `before`, which
        it is without the atoms `without`, to `after`. Nothing counts of it yet. It belongs to the turn with
        the serial number `turn`. Returns the edit's number."""
        state = self.state.files.get(path)
        visible = diff_tokens(before)
        if state is not None:
            visible = [state.weave.tokens[n].data for n in state.weave.visible(state.gone | without)]
        change = compare(visible, before, after)
        number = self.state.edits + 1
        self.append(
            Offered(
                edit=number,
                path=path,
                owner="agent",
                turn=turn,
                before=self._put(before),
                after=self._put(after),
                blocks=_numbers(change),
                mode=change.mode,
                whole=change.whole,
                made_directories=() if self.read(path) else self._new_directories(path),
                call=call,
                without=by_block(without),
            )
        )
        return number

    def move(self, old: str, new: str, before: FileImage, after: FileImage) -> None:
        """Write down that the agent renamed `old`, which was `before`, to `new`, which is `after`. What the log
        has on either counts no more; nothing of it may be decided."""
        origins = {path: file.origin.path if file.origin else "" for path, file in self.state.files.items()}
        overtaken = [path for path, origin in origins.items() if path in (old, new) or origin == old]
        edits = {block.edit for path in overtaken for block in self.state.files[path].weave.blocks.values()}
        was, became = self.put_image(before), self.put_image(after)
        number = self.state.edits + 1
        taken_away = compare(diff_tokens(before), before, None)
        removal = Edited(number, old, "agent", self.state.serial, was, None, _numbers(taken_away), True, True)
        arrival = Edited(
            edit=number + 1,
            path=new,
            owner="agent",
            turn=self.state.serial,
            before=was,
            after=was,
            blocks=(),
            mode=True,
            whole=False,
            made_directories=self._new_directories(new),
            moved_from=old,
            moved_edit=number,
        )
        entries: list[Entry] = [*map(Voided, sorted(edits)), removal, arrival]
        if after != before:
            change = compare(diff_tokens(before), before, after)
            entries.append(
                replace(
                    arrival,
                    edit=number + 2,
                    after=became,
                    blocks=_numbers(change),
                    mode=change.mode,
                    whole=change.whole,
                    made_directories=(),
                    moved_from="",
                    moved_edit=0,
                )
            )
        self.append(Together(tuple(entries)))

    def _new_directories(self, path: str) -> tuple[str, ...]:
        # A command has made its directories already; git too takes away those that a removal leaves empty.
        written = self.read(path) is not None
        parents = tuple(parent.as_posix() for parent in Path(path).parents if parent != Path())
        return parents if written else self._disk.missing_parents(path)

    def take_in(self, owner: Owner, call: str = "") -> None:
        """Bring the log to what is on disk in every file under review; what is other there is `owner`'s."""
        for path in list(self.state.files):
            if path in self.state.files:  # what is voided in one file may take another off the review
                self.reconcile(path, self.read(path), owner, call)

    def reconcile(self, path: str, found: FileImage | None, owner: Owner, call: str = "") -> None:
        """Bring the log to what is on disk: an edit of `owner`, or the newest edit never arrived there (or was
        taken back by hand, which comes to the same)."""
        state = self.state.files[path]
        if found == state.image():
            return
        edits = {block.edit for block in state.weave.blocks.values()}
        if not (state.origin and found is None and max(edits) - min(edits) <= 1):
            # Otherwise a rename alone, which is written down as two edits.
            edits = {state.newest_edit}
        blocks = [block for block in state.weave.blocks.values() if block.edit in edits]
        atoms = frozenset(atom for block in blocks for atom in block.atoms)
        if not atoms & state.standing.keys() and state.weave.image(state.gone | atoms) == found:
            self.append(Together(tuple(map(Voided, sorted(edits)))))
            return
        if owner == "user":
            if self._is_brought_back(state, found):
                self.append(BroughtBack(path))
                return
            taken = taken_back(state, found)
            if taken:
                self.append(TakenBack(path, by_block(taken)))
        self.edit(path, found, owner, call=call)

    @staticmethod
    def _is_brought_back(state: FileState, found: FileImage | None) -> bool:
        standing = state.before_taking_back()
        if standing is None:
            return False
        gone = frozenset(atom for atom, word in standing.items() if word in ("rejected", "void"))
        return state.weave.image(gone) == found

    def decide(self, wanted: Decided, others: Images | None = None) -> None:
        """Write the intent down, then the files, then that it is done; a disk that refuses undoes it all.
        `others` are files to write that no shift stands for."""
        found = {**images_after(self.state, wanted.shifts), **(others or {})}
        # A file that goes makes room for one that comes: in a directory of its name, or the other way round.
        images = dict(sorted(found.items(), key=lambda item: item[1][1] is not None))
        writes = tuple(Write(path, self._put(old), self._put(new)) for path, (old, new) in images.items())
        decided = replace(wanted, decision=self.state.numbers + 1, writes=writes)
        self.append(decided)
        if not writes:
            return
        written: list[str] = []
        try:
            for path, (old, new) in images.items():
                if not self._exchange(path, old, new):
                    raise ReviewError(f"{path} has just been changed by someone else", "try again")
                written.append(path)
        except (OSError, ReviewError) as error:
            for path in reversed(written):
                old, new = images[path]
                self._exchange(path, new, old)
            self.append(RolledBack(decided.decision))
            if isinstance(error, OSError):
                raise ReviewError(
                    _disk_sentence(error), "nothing was changed; mend that and try again"
                ) from error
            raise
        # Should this not reach the log, the next action finds the decision open and all of its writes made.
        with suppress(OSError):
            self.append(Done(decided.decision))

    def _complete(self, decision: Decided) -> None:
        """Bring the files to where an open decision wants them. A file that is neither as before nor as after
        has been edited by the user since and is left alone, as is one whose content is lost. Where the disk
        refuses, back to where they were."""
        try:
            for write in decision.writes:
                self._disk.tidy(write.path)
                try:
                    self._exchange(write.path, self.image(write.before), self.image(write.after))
                except LostContent as error:
                    self.state.losses.append(f"{write.path} was left as it is, for {error}.")
        except OSError:
            for write in reversed(decision.writes):
                self._exchange(write.path, self.image(write.after), self.image(write.before))
            self.append(RolledBack(decision.decision))
        else:
            self.append(Done(decision.decision))

    def _exchange(self, path: str, old: FileImage | None, new: FileImage | None) -> bool:
        """Bring a file from `old` to `new`, unless it is neither; then false, and it is left as it is."""
        done = self._disk.exchange(path, old, new)
        # Even if not done: a process may have died between the two.
        if new is None and path in self.state.files:
            self._disk.remove_directories(self.state.files[path].made_directories)
        return done


def _numbers(change: EditBlocks) -> tuple[tuple[int, int, int, int], ...]:
    return tuple((b.before_start, b.before_end, b.after_start, b.after_end) for b in change.blocks)


def _disk_sentence(error: OSError) -> str:
    name = f"{error.filename}: " if error.filename else ""
    return f"The disk refused ({name}{error.strerror or error})"
