"""The durable tier's folder: its file names, listing it, and evicting from it.

    ROOT/MODEL/model.json                               what the fingerprint MODEL stands for
    ROOT/MODEL/DIGEST-PARENT-POSITION.segment           keys and values between two prefixes
    ROOT/MODEL/DIGEST-POSITION.recurrent                the recurrent part at a prefix; its mtime, its last use
    ROOT/MODEL/.PID-TOKEN-NUMBER.partial                a file being written
    ROOT/MODEL/replies.sqlite                           the tokens of replies
    ROOT/MODEL/expert-use.npz                           how often each expert was used

The names hold everything needed to find a prefix, so that a start reads no file. Several processes may use the
folder: files appear whole, by renaming, and a file that another process removed is a miss. Files with other
names are the user's, who may have named any folder, and are never touched.
"""

import contextlib
import itertools
import os
import re
import secrets
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from mlx_model.state.prefix_state import ROOT, PrefixState, Segment

Kind = Literal["segment", "recurrent"]

DESCRIPTION = "model.json"
REPLIES = "replies.sqlite"
EXPERT_USE = "expert-use.npz"

_OF_MODEL = {DESCRIPTION, REPLIES, EXPERT_USE, f"{REPLIES}-wal", f"{REPLIES}-shm"}
_PARTIAL = re.compile(r"\.(\d+)-(\w+)-\d+\.partial")
_TOKEN = secrets.token_hex(4)
_NUMBERS = itertools.count()
_ABANDONED_SECONDS = 3600.0
"""Age at which a partial file or an orphaned segment is removed, even if its process is alive: writing one
takes seconds."""


@dataclass(frozen=True, slots=True)
class SnapshotName:
    """A file of the durable tier. `parent` is ROOT for a recurrent part: it describes the whole prefix."""

    kind: Kind
    digest: bytes
    parent: bytes
    position: int

    @classmethod
    def of_segment(cls, segment: Segment) -> Self:
        """The file that holds a segment."""
        return cls("segment", segment.digest, segment.parent, segment.position)

    @classmethod
    def of_recurrent(cls, state: PrefixState) -> Self:
        """The file that holds a state's recurrent part."""
        return cls("recurrent", state.digest, ROOT, state.position)

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """The inverse of `str`; None for any other file's name."""
        stem, _, kind = name.rpartition(".")
        parts = stem.split("-")
        with contextlib.suppress(ValueError):
            if kind == "segment":
                digest, parent, position = parts
                return cls("segment", bytes.fromhex(digest), bytes.fromhex(parent), int(position))
            if kind == "recurrent":
                digest, position = parts
                return cls("recurrent", bytes.fromhex(digest), ROOT, int(position))
        return None

    def __str__(self) -> str:
        parent = f"{self.parent.hex()}-" if self.kind == "segment" else ""
        return f"{self.digest.hex()}-{parent}{self.position}.{self.kind}"

    def facts(self, model: str) -> dict[str, Any]:
        """The facts that the file's header must hold, so that a file under a wrong name is refused."""
        return {
            "kind": self.kind,
            "model": model,
            "digest": self.digest.hex(),
            "parent": self.parent.hex(),
            "position": self.position,
        }


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file found in the folder: its size in bytes and its last use (seconds since the epoch)."""

    path: Path
    name: SnapshotName
    size: int
    used: float


def model_folders(root: Path) -> list[Path]:
    """The folders of all models; none when the root is missing. Raises OSError."""
    try:
        return sorted(path for path in root.iterdir() if path.is_dir() and _holds_states(path))
    except (FileNotFoundError, NotADirectoryError):
        return []


def remove_model(folder: Path) -> None:
    """Delete our files in one model's folder, and the folder if nothing else is in it. Raises OSError."""
    for name in file_names(folder):
        if _is_ours(name):
            (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something of the user's is in it
        folder.rmdir()


def file_names(folder: Path) -> set[str]:
    """The names of all files in one model's folder. Raises OSError."""
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries}


def stored_files(folder: Path) -> Iterator[StoredFile]:
    """Every snapshot file of one model. Files that are removed meanwhile are left out."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            name = SnapshotName.parse(entry.name)
            if name is None:
                continue
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                yield StoredFile(Path(entry.path), name, status.st_size, status.st_mtime)


def partial_path(folder: Path) -> Path:
    """A fresh name for a file being written."""
    return folder / f".{os.getpid()}-{_TOKEN}-{next(_NUMBERS)}.partial"


def sweep_partials(root: Path) -> int:
    """Remove partial files of processes that have ended; returns how many. Raises OSError."""
    swept = 0
    for folder in model_folders(root):
        for name in file_names(folder):
            partial = _PARTIAL.fullmatch(name)
            if partial and _abandoned(folder / name, int(partial[1]), partial[2]):
                (folder / name).unlink(missing_ok=True)
                swept += 1
    return swept


def make_room(root: Path, needed: int, cap: int, reserve: int, keep: Collection[bytes]) -> int | None:
    """Delete least recently used snapshots of any model until `needed` more bytes fit under `cap` and leave
    `reserve` bytes of the disk free; segments of the prefixes in `keep` stay. Returns how many bytes more than
    needed then fit, or None when it cannot be done. Raises OSError."""
    if needed > cap:
        return None
    models = [_ModelFiles(folder, keep) for folder in model_folders(root)]
    total = sum(model.size for model in models)
    excess = max(total + needed - cap, needed + reserve - shutil.disk_usage(root).free)
    excess -= sum(model.drop_orphans() for model in models)
    if excess > total:
        return None  # the disk is full of other files: emptying the cache would not help
    oldest = [
        (file.used, index, digest)
        for index, model in enumerate(models)
        for digest, file in model.recurrent.items()
    ]
    for _, index, digest in sorted(oldest):
        if excess <= 0:
            break
        excess -= models[index].drop(digest)
    return -excess if excess <= 0 else None


class _ModelFiles:
    """One model's files, and which segment each one continues."""

    def __init__(self, folder: Path, keep: Collection[bytes]) -> None:
        self._keep = keep
        self.recurrent: dict[bytes, StoredFile] = {}
        self._segments: dict[bytes, StoredFile] = {}
        self._children: dict[bytes, int] = {}
        self.size = 0
        for file in stored_files(folder):
            self.size += file.size
            if file.name.kind == "recurrent":
                self.recurrent[file.name.digest] = file
            else:
                self._segments[file.name.digest] = file
                self._children[file.name.parent] = self._children.get(file.name.parent, 0) + 1

    def drop(self, digest: bytes) -> int:
        """Delete a snapshot, and the segments that no other snapshot needs; returns the bytes freed."""
        return _remove(self.recurrent.pop(digest)) + self._drop_unused(digest)

    def drop_orphans(self) -> int:
        """Delete old segments without a recurrent part: their writer was killed, or the part was damaged."""
        limit = time.time() - _ABANDONED_SECONDS
        leaves = [d for d in self._segments if not self._children.get(d)]
        return sum(self._drop_unused(d) for d in leaves if self._segments[d].used < limit)

    def _drop_unused(self, digest: bytes) -> int:
        freed = 0
        while (
            digest in self._segments
            and digest not in self.recurrent
            and digest not in self._keep
            and not self._children.get(digest)
        ):
            file = self._segments.pop(digest)
            freed += _remove(file)
            digest = file.name.parent
            self._children[digest] -= 1
        return freed


def _remove(file: StoredFile) -> int:
    file.path.unlink(missing_ok=True)
    return file.size


def _is_ours(name: str) -> bool:
    return name in _OF_MODEL or bool(_PARTIAL.fullmatch(name)) or SnapshotName.parse(name) is not None


def _holds_states(folder: Path) -> bool:
    """Whether a folder holds a model's states. A model.json alone does not prove it: other programs use that
    name."""
    try:
        with os.scandir(folder) as entries:
            return any(entry.name != DESCRIPTION and _is_ours(entry.name) for entry in entries)
    except (FileNotFoundError, PermissionError):
        return False


def _abandoned(path: Path, process: int, token: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
            return True
    if process == os.getpid():
        return token != _TOKEN  # process ids are reused
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False
