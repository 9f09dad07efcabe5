"""Where a review is kept: an append-only log and the contents it names, outside the repository.

One folder a workspace under `data_directory()/reviews/`. Each entry is on disk (fsync) before `append` returns.
A log that ends in a torn line was cut off by a crash while that line was written: the line never counted, and
is cut away at the next append.
"""

import fcntl
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Protocol

from typing_extensions import override

from app import durable
from app.checked_lines import sealed, unsealed
from app.paths import data_directory
from app.review.errors import LostContent, ReviewError
from app.review.log.entries import Entry, Lost, decode, encode

_NEW_LOG = "new-log-"


class Store(Protocol):
    """The log and the contents. `lock` keeps other processes out while one reads and appends."""

    def lock(self) -> AbstractContextManager[None]: ...

    def read(self) -> list[Entry]:
        """The entries that were appended, by anyone, since the last call; Lost for those that are damaged."""
        ...

    def is_replaced(self) -> bool:
        """Whether the log was replaced, by anyone, since the last call of `read`, which then begins anew."""
        ...

    def append(self, entry: Entry) -> None:
        """Add an entry; it is durable when this returns. Raises OSError."""
        ...

    def everything(self) -> list[Entry]:
        """All entries of the log."""
        ...

    def replace(self, entries: Sequence[Entry]) -> None:
        """Put these entries in the log's place, in one step. Raises OSError."""
        ...

    def keep_only(self, names: Collection[str]) -> None:
        """Remove all other contents. Raises OSError."""
        ...

    def size(self, name: str) -> int:
        """How many bytes a content has, 0 where it is missing."""
        ...

    def put(self, data: bytes) -> str:
        """Keep content; returns its name. It is durable when this returns. Raises OSError."""
        ...

    def get(self, name: str) -> bytes:
        """Content by its name. Raises LostContent when it is missing or damaged."""
        ...

    def hold_turn(self) -> bool:
        """Say that this process runs the turn; false when another one does."""
        ...

    def release_turn(self) -> None:
        """The turn is over."""
        ...


class FileStore(Store):
    """A Store in a folder."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._offset = 0
        self._lines = 0
        self._file = 0
        self._turn: IO[bytes] | None = None
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            (directory / "contents").mkdir(exist_ok=True)
            self._log.touch()
        except OSError as error:
            raise ReviewError(f"The review log cannot be kept in {directory}: {error.strerror}") from error

    @classmethod
    def of_workspace(cls, root: Path) -> "FileStore":
        """The store that belongs to a workspace, wherever it is opened from."""
        return cls(review_directory(root))

    @property
    def _log(self) -> Path:
        return self._directory / "log.jsonl"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held for one action; released by the system if the process dies."""
        with (self._directory / "lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @override
    def is_replaced(self) -> bool:
        return bool(self._file) and self._log.stat().st_ino != self._file

    @override
    def read(self) -> list[Entry]:
        """Only whole lines count."""
        if self.is_replaced():
            self._offset = self._lines = 0
        with self._log.open("rb") as file:
            self._file = os.fstat(file.fileno()).st_ino
            file.seek(self._offset)
            data = file.read()
        entries, length = self._decode(data, self._lines)
        self._offset += length
        self._lines += len(entries)
        return entries

    @override
    def everything(self) -> list[Entry]:
        return self._decode(self._log.read_bytes(), 0)[0]

    def _decode(self, data: bytes, before: int) -> tuple[list[Entry], int]:
        """The entries of the whole lines in `data`, which follow `before` lines of the file, and how many bytes
        they take."""
        whole = data[: data.rfind(b"\n") + 1]
        entries: list[Entry] = []
        for number, line in enumerate(whole.split(b"\n")[:-1], before + 1):
            try:
                entries.append(decode(unsealed(line)))
            except ValueError:
                entries.append(Lost(str(self._log), number))
        return entries, len(whole)

    @override
    def replace(self, entries: Sequence[Entry]) -> None:
        # The new file has another inode, by which those who have read the old one see that it was replaced.
        durable.replace_file(self._log, map(sealed, map(encode, entries)), prefix=_NEW_LOG)

    @override
    def keep_only(self, names: Collection[str]) -> None:
        wanted = {self._path(name) for name in names}
        for left in self._directory.glob(f"{_NEW_LOG}*"):
            left.unlink()
        for path in (self._directory / "contents").glob("*/*"):
            if path not in wanted:
                path.unlink()

    @override
    def size(self, name: str) -> int:
        try:
            return self._path(name).stat().st_size
        except FileNotFoundError:
            return 0

    @override
    def append(self, entry: Entry) -> None:
        line = sealed(encode(entry))
        with self._log.open("r+b", buffering=0) as file:
            # Everything up to here was read; what lies beyond is a torn line.
            file.truncate(self._offset)
            durable.append(file.fileno(), line)
        self._offset += len(line)
        self._lines += 1

    @override
    def put(self, data: bytes) -> str:
        """The name is the content's SHA-256."""
        name = sha256(data).hexdigest()
        path = self._path(name)
        with suppress(FileNotFoundError):
            if path.stat().st_size == len(data):
                return name
        path.parent.mkdir(exist_ok=True)
        durable.replace_file(path, (data,))
        return name

    @override
    def get(self, name: str) -> bytes:
        path = self._path(name)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise LostContent(f"the review has lost a file's content, {path} ({error.strerror})") from error
        if sha256(data).hexdigest() != name:
            raise LostContent(f"a file's content in the review is damaged, {path}")
        return data

    def _path(self, name: str) -> Path:
        return self._directory / "contents" / name[:2] / name[2:]

    @override
    def hold_turn(self) -> bool:
        """The mark is a lock, so it ends with the process."""
        if self._turn:
            return True
        file = (self._directory / "turn").open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._turn = file
        return True

    @override
    def release_turn(self) -> None:
        if self._turn:
            self._turn.close()
            self._turn = None


def review_directory(root: Path) -> Path:
    """Where the review of the workspace at `root` is kept."""
    name = sha256(os.fsencode(root.resolve())).hexdigest()[:20]
    return data_directory() / "reviews" / name
