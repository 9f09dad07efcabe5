"""The agent's side of a review: what turns and their commands change, told apart from what the user changes.

Everything here happens inside the review's lock, with the log as it now is.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from app.git.git import Git
from app.review import snapshot
from app.review.diff.renames import find_renames
from app.review.disk import Disk
from app.review.errors import ReviewError
from app.review.feedback import feedback_text
from app.review.log.change_log import ReviewState
from app.review.log.entries import CommandBegan, CommandEnded, FeedbackGiven, Retold, TurnBegan, TurnEnded
from app.review.log.file_state import FileState
from app.review.log.ledger import Images, Ledger
from app.review.log.store import Store
from app.review.log.weave import Owner
from app.review.model import FileImage

_LONGEST_WORDS = 200  # characters of what the user said that stay with a turn


class TurnRecorder:
    """Begins and ends turns, and records what happens in them. Raises ReviewError and OSError."""

    def __init__(self, root: Path, store: Store, disk: Disk, ledger: Ledger) -> None:
        self._root = root
        self._store = store
        self._disk = disk
        self._ledger = ledger
        self._git = Git(root)
        self._is_ours = False
        self.call = ""
        """The id of the tool call whose work it is that the agent changes."""
        self._memory: snapshot.Memory = {}
        self._memory_of = 0

    @property
    def _state(self) -> ReviewState:
        return self._ledger.state

    def need_none(self) -> None:
        """Raises ReviewError while a turn runs."""
        if self._state.turn is not None:
            if not self._is_ours:
                raise _others_turn()
            raise ReviewError("A turn is still writing", "wait for its end")

    def begin(self, turn: int, session: str, words: str) -> None:
        """See ChangeRecorder."""
        self._ledger.take_in("user")
        if not self._store.hold_turn():
            raise _others_turn()
        try:
            taken = self._take_snapshot()
            serial = self._state.serial + 1
            self._ledger.append(TurnBegan(turn, taken.record(), session, words[:_LONGEST_WORDS], serial))
        except BaseException:
            self._store.release_turn()
            raise
        self._is_ours = True

    def record(self, path: str, before: FileImage | None, after: FileImage | None) -> None:
        """See ChangeRecorder. What differs between the log and `before` is taken as the user's own edit."""
        if path in self._state.files:
            self._ledger.reconcile(path, before, "user")
        self._ledger.edit(path, after, "agent", before, self.call)
        if before is None or after is None:
            self._pair_renames(frozenset({path}))

    def command_started(self, named: Sequence[str]) -> None:
        """See ChangeRecorder."""
        if not (self._is_ours and self._state.turn) or self._state.is_command_open:
            return
        self._ledger.take_in("user")
        now, before = self._take_snapshot(named).record(), self._state.snapshot["files"]
        files = {
            path: name for path, name in now["files"].items() if path not in before or before[path] != name
        }
        gone = tuple(path for path in before if path not in now["files"])
        self._ledger.append(CommandBegan(now["head"], now["complete"], now["taken_ns"], files, gone))

    def command_finished(self, still_runs: bool) -> tuple[str, ...]:
        """See ChangeRecorder."""
        if not (self._is_ours and self._state.is_command_open):
            return ()
        earlier = {path: file.image() for path, file in self._state.files.items()}
        self._find_changes()
        if not still_runs:
            self._ledger.append(CommandEnded())
        now = ((path, file.image()) for path, file in self._state.files.items())
        return tuple(sorted(path for path, image in now if path not in earlier or earlier[path] != image))

    def take_in(self, path: str, owner: Owner) -> None:
        """While a command runs: what has become of `path` since it was last looked at is `owner`'s doing."""
        if not self._state.is_command_open:
            return
        if path in self._state.files:
            self._ledger.reconcile(path, self._ledger.read(path), owner)
        elif found := self._differences().get(path):
            before, after = found
            self._ledger.edit(path, after, owner, before, self.call if owner == "agent" else "")

    def end(self, turn: int) -> None:
        """See ChangeRecorder."""
        if self._state.turn is None:
            return
        if self._state.turn.turn != turn:
            raise ReviewError(f"Turn {turn} is not the one that runs", "end that one")
        self._close()

    def recover(self) -> None:
        """End a turn whose process has died."""
        if self._state.turn and not self._is_ours and self._store.hold_turn():
            # Alive, it would hold the turn.
            self._close()

    def feedback(self) -> str:
        """See ChangeRecorder."""
        text = feedback_text(self._state)
        if text:
            self._ledger.append(FeedbackGiven())
        return text

    def retell(self, turn: int, session: str) -> None:
        """See ChangeRecorder."""
        told = tuple(serial for serial in self._state.since(turn, session) if serial in self._state.told)
        if told:
            self._ledger.append(Retold(told))

    def _close(self) -> None:
        if self._state.turn:
            if self._state.is_command_open:
                self._find_changes()
            else:
                self._ledger.take_in("user")
            head = self._git.head if self._git.is_repository else ""
            self._ledger.append(TurnEnded(self._state.turn.turn, head))
        self._is_ours = False
        self.call = ""
        self._store.release_turn()

    def _take_snapshot(self, named: Sequence[str] = ()) -> snapshot.Snapshot:
        if self._ledger.times_replaced != self._memory_of:
            self._memory, self._memory_of = {}, self._ledger.times_replaced
        put = self._ledger.put_image
        return snapshot.take(self._root, self._disk, put, time.time_ns(), self._memory, named=named)

    def _find_changes(self) -> None:
        """Record as the agent's what differs from the log, or from the snapshot where the log says nothing."""
        known = {path: file.image() for path, file in self._state.files.items()}
        self._ledger.take_in("agent", self.call)
        for path, (before, after) in self._differences().items():
            if path not in known:
                self._ledger.edit(path, after, "agent", before, self.call)
        now = {path: file.image() for path, file in self._state.files.items()}
        self._pair_renames(
            frozenset(path for path in now if path not in known or (known[path] is None) != (now[path] is None))
        )

    def _differences(self) -> Images:
        taken = snapshot.Snapshot.of_record(self._state.snapshot)
        return snapshot.differences(self._root, self._disk, taken, self._ledger.image, self._memory)

    def _pair_renames(self, fresh: frozenset[str]) -> None:
        """Make renames of files that went and files that came in this turn, at least one of them just now: by
        `mv`, or by one call that wrote the new file and another that removed the old one."""
        gone: dict[str, FileImage] = {}
        made: dict[str, FileImage] = {}
        files = self._state.files.values()
        # A file that was renamed on, or removed after all, leaves its old name free for another rename.
        taken = {
            file.origin.path
            for file in files
            if file.origin and (file.image() is not None or not self._is_of_this_turn(file))
        }
        for path, file in self._state.files.items():
            if not self._is_of_this_turn(file):
                continue
            was, now = file.weave.image(file.weave.atoms), file.image()
            if was and not now and path not in taken:
                gone[path] = was
            elif now and not was and not file.origin:
                made[path] = now
        if fresh & (gone.keys() | made.keys()):
            for old, new in find_renames(gone, made):
                self._ledger.move(old, new, gone[old], made[new])

    def _is_of_this_turn(self, file: FileState) -> bool:
        """Whether all of a file's edits are the agent's, made in the turn that runs, so that nobody has decided
        on any."""
        blocks = file.weave.blocks.values()
        return self._state.turn is not None and all(
            block.owner == "agent" and block.turn == self._state.serial for block in blocks
        )


def _others_turn() -> ReviewError:
    return ReviewError("Another window's turn is running in this directory", "wait until it has ended")
