"""The durable tier: snapshots in files, so that a conversation continues after a restart without a prefill."""

import errno
import json
import logging
import os
import shutil
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from mlx_model.durable import replacing, sync_path
from mlx_model.state.disk.folder import (
    DESCRIPTION,
    SnapshotName,
    file_names,
    make_room,
    partial_path,
    sweep_partials,
)
from mlx_model.state.disk.snapshot_file import (
    SnapshotFileDamaged,
    file_bytes,
    read_snapshot_file,
    write_snapshot_file,
)
from mlx_model.state.disk.writer import BackgroundWriter
from mlx_model.state.prefix_state import ROOT, Arrays, PrefixState, Segment, array_bytes
from mlx_model.state.prefix_store import DurableTier

_log = logging.getLogger(__name__)

_LISTING_SETTLES = 0.05
"""Seconds after which a folder's mtime is sure to change with the next file: file systems' clocks tick every 1
to 10 ms."""

_ROOM_KNOWN_SECONDS = 60.0
"""How long a count of the folder's size is relied on, while other processes may add to it."""


_CLOSE_SECONDS = 30.0
"""Seconds that the end of the engine waits for the snapshots being written."""


@dataclass(frozen=True, slots=True)
class DiskLimits:
    """Bytes: `cap` of the snapshots of all models together, `reserve` left free on the disk, `pending` that may
    wait in memory to be written."""

    cap: int = 20 * 10**9
    reserve: int = 1 << 30
    pending: int = 1 << 30


class DiskTier(DurableTier):
    """Snapshots of one model under `root`, shared by any number of processes.

    `model` is the model's fingerprint, `description` what it stands for, to show the user. A disk that is full
    or unreadable, and a file that is damaged, of another model or gone, are a miss and one log line.
    """

    def __init__(
        self, root: Path, model: str, description: Mapping[str, str], limits: DiskLimits | None = None
    ) -> None:
        self._root = root
        self._folder = root / model
        self._model = model
        self._description = dict(description)
        self._limits = limits or DiskLimits()
        self._listed: int | None = None
        self._segments: dict[bytes, SnapshotName] = {}
        self._recurrent: dict[bytes, SnapshotName] = {}
        self._positions: list[int] = []
        self._names: dict[str, SnapshotName | None] = {}
        self._unusable: set[bytes] = set()
        # Snapshots that wait to be written, or are being written, are found like those on disk.
        self._waiting: dict[bytes, PrefixState] = {}
        self._room = 0
        self._room_known = float("-inf")
        self._write_failed = False
        self._behind = False
        self._writer = BackgroundWriter(self._limits.pending, "snapshot writer")
        try:
            sweep_partials(root)
        except OSError as error:
            _log.warning("The cache folder %s cannot be swept: %s.", root, error)

    @override
    def positions(self, limit: int) -> Sequence[int]:
        # Before the listing, so that a snapshot written meanwhile is in one of the two.
        waiting = [state.position for state in tuple(self._waiting.values()) if state.position <= limit]
        self._refresh()
        written = self._positions[: bisect_right(self._positions, limit)]
        return sorted({*written, *waiting}) if waiting else written

    @override
    def __contains__(self, digest: bytes) -> bool:
        waiting = self._waiting.get(digest)
        if waiting is None and digest not in self._recurrent:
            return False
        at = digest if waiting is None else waiting.segments[0].parent
        while at != ROOT:
            queued, name = self._waiting.get(at), self._segments.get(at)
            if queued is not None:
                at = queued.segments[0].parent
            elif name is None or at in self._unusable:
                return False
            else:
                at = name.parent
        return digest not in self._unusable

    @override
    def waiting(self, digest: bytes) -> Sequence[Segment]:
        state = self._waiting.get(digest)
        return () if state is None else state.segments

    @override
    def load(self, digest: bytes, held: Callable[[bytes], Sequence[Segment]]) -> PrefixState | None:
        waiting = self._waiting.get(digest)
        if waiting is None and digest not in self._recurrent:
            return None  # written and removed again since it was last looked for
        # From the end to the beginning: segments in memory, and the names of those to be read.
        parts: list[Segment | SnapshotName] = []
        at = digest
        while at != ROOT:
            known, queued = held(at), waiting if at == digest else self._waiting.get(at)
            if known or queued is not None:
                found = known or (queued.segments if queued is not None else ())
                parts.extend(reversed(found))
                at = found[0].parent
                continue
            name = self._segments.get(at)
            if name is None:
                # Evicted by another process, or not listed yet: a listing of a folder is not atomic.
                return None
            parts.append(name)
            at = name.parent
        recurrent = waiting.recurrent if waiting is not None else self._read(self._recurrent[digest])
        if recurrent is None:
            return None
        segments: list[Segment] = []
        for part in reversed(parts):
            if isinstance(part, SnapshotName):
                arrays = self._read(part)
                if arrays is None:
                    return None
                segments.append(Segment(part.digest, part.parent, part.position, arrays))
            else:
                segments.append(part)
        state = PrefixState(tuple(segments), recurrent)
        self.touch(state)
        return state

    @override
    def touch(self, state: PrefixState) -> None:
        """Notes that the snapshot is used, and the first of its chain, where new conversations begin."""
        for used in {state.digest, state.segments[0].digest} & self._recurrent.keys():
            try:
                os.utime(self._folder / str(self._recurrent[used]))
            except OSError as error:
                # The file is gone, or the folder is read-only: neither is worth a line for the user.
                _log.debug("The last use of a snapshot was not noted: %s.", error)

    @override
    def save(self, state: PrefixState) -> None:
        if state.digest in self._waiting:
            return
        size = array_bytes(state.recurrent) + array_bytes(state.segments[-1].arrays)
        self._waiting[state.digest] = state
        taken = self._writer.submit(lambda: self._write(state), size)
        if not taken:
            del self._waiting[state.digest]
        if not taken and not self._behind:
            _log.warning("Snapshots are not kept on disk for now: the disk is slower than the conversation.")
        self._behind = not taken

    @override
    def flush(self) -> None:
        self._writer.flush()

    @override
    def close(self) -> None:
        """Finishes writing, for _CLOSE_SECONDS at most: a snapshot that is lost costs a prefill."""
        if not self._writer.close(timeout=_CLOSE_SECONDS):
            _log.warning("Some snapshots were not kept: the disk did not take them in time.")

    def _refresh(self) -> None:
        """List the folder again if it changed: this process's writer, or another's, added or removed files."""
        try:
            changed = self._folder.stat().st_mtime_ns
            if changed == self._listed:
                return
            present = file_names(self._folder)
        except FileNotFoundError:
            changed, present = 0, set()
        except OSError as error:
            _log.warning("The cache folder %s cannot be listed: %s.", self._folder, error)
            changed, present = 0, set()
        self._names = {text: self._names.get(text) or SnapshotName.parse(text) for text in present}
        names = [name for name in self._names.values() if name is not None]
        self._segments = {name.digest: name for name in names if name.kind == "segment"}
        self._recurrent = {name.digest: name for name in names if name.kind == "recurrent"}
        self._positions = sorted({name.position for name in self._recurrent.values()})
        self._listed = changed if time.time() - changed / 1e9 > _LISTING_SETTLES else None

    def _read(self, name: SnapshotName) -> Arrays | None:
        path = self._folder / str(name)
        try:
            return read_snapshot_file(path, name.facts(self._model))
        except SnapshotFileDamaged as error:
            self._discard(name, str(error))
        except FileNotFoundError:
            self._listed = None  # another process made room
        except OSError as error:
            self._unusable.add(name.digest)
            _log.warning("The cached snapshot %s cannot be read: %s.", path, error)
        return None

    def _discard(self, name: SnapshotName, reason: str) -> None:
        path = self._folder / str(name)
        self._listed = None
        try:
            path.unlink(missing_ok=True)
            _log.warning("The cached snapshot %s was removed: %s.", path, reason)
        except OSError as error:
            self._unusable.add(name.digest)
            _log.warning("The cached snapshot %s is ignored (%s); removing it fails: %s.", path, reason, error)

    def _write(self, state: PrefixState) -> None:
        """On the writer's thread."""
        try:
            self._write_missing(state)
            self._write_failed = False
        except (OSError, MemoryError) as error:
            if not self._write_failed:
                _log.warning("Snapshots cannot be written to %s: %s.", self._folder, str(error) or "no memory")
            self._write_failed = True
        finally:
            self._waiting.pop(state.digest, None)

    def _write_missing(self, state: PrefixState) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._write_description()
        parts = [(SnapshotName.of_segment(segment), segment.arrays) for segment in state.segments]
        parts.append((SnapshotName.of_recurrent(state), state.recurrent))
        keep = {segment.digest for segment in state.segments} | self._ancestors(state.segments[0].parent)
        present = file_names(self._folder)
        missing = [part for part in parts if str(part[0]) not in present]
        if not missing:
            return
        self._make_room(sum(file_bytes(name.facts(self._model), arrays) for name, arrays in missing), keep)
        for name, arrays in missing:
            self._write_file(name, arrays)
            if name.kind == "segment":
                # The same prefix after another parent: one chain is enough, and this one is complete.
                for other in present:
                    if other.startswith(name.digest.hex()) and other.endswith(".segment"):
                        (self._folder / other).unlink(missing_ok=True)
        sync_path(self._folder)

    def _ancestors(self, digest: bytes) -> set[bytes]:
        """The prefix on disk and those it continues, as far as they are listed."""
        found: set[bytes] = set()
        while (name := self._segments.get(digest)) is not None and digest not in found:
            found.add(digest)
            digest = name.parent
        return found

    def _make_room(self, needed: int, keep: set[bytes]) -> None:
        """Lists the whole folder only when room is short, or after _ROOM_KNOWN_SECONDS."""
        limits = self._limits
        free = shutil.disk_usage(self._root).free - limits.reserve
        fresh = time.monotonic() - self._room_known < _ROOM_KNOWN_SECONDS
        if not fresh or needed > min(self._room, free):
            room = make_room(self._root, needed, limits.cap, limits.reserve, keep)
            if room is None:
                raise OSError(errno.ENOSPC, "there is no room under the cap or on the disk")
            self._room, self._room_known = room + needed, time.monotonic()
        self._room -= needed

    def _write_file(self, name: SnapshotName, arrays: Arrays) -> None:
        with replacing(self._folder / str(name), partial_path(self._folder)) as partial:
            write_snapshot_file(partial, name.facts(self._model), arrays)

    def _write_description(self) -> None:
        path = self._folder / DESCRIPTION
        if not path.exists():
            with replacing(path, partial_path(self._folder)) as partial:
                partial.write_text(json.dumps(self._description, indent=1) + "\n", encoding="utf-8")
