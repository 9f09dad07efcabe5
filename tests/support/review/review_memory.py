"""A store and a disk in memory, which can die or refuse at any write."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256

from app.review.log.entries import Edited, Entry, decode, encode
from app.review.model import FileImage


class Killed(BaseException):
    """The process died here."""


class Fuse:
    """Blows at the n-th write, counted from `arm`."""

    def __init__(self) -> None:
        self.left = -1
        self.error: BaseException = Killed()

    def arm(self, writes: int, error: BaseException | None = None) -> None:
        self.left, self.error = writes, error or Killed()

    def disarm(self) -> None:
        self.left = -1

    def burn(self) -> None:
        if self.left == 0:
            self.left = -1 if isinstance(self.error, OSError) else 0
            raise self.error
        if self.left > 0:
            self.left -= 1


class MemoryStore:
    """What survives a process is in `log` and `contents`; another MemoryStore on these is the next process."""

    def __init__(
        self,
        fuse: Fuse,
        log: list[bytes] | None = None,
        contents: dict[str, bytes] | None = None,
        replacements: list[None] | None = None,
    ) -> None:
        self.fuse = fuse
        self.log: list[bytes] = [] if log is None else log
        self.contents: dict[str, bytes] = {} if contents is None else contents
        self.replacements: list[None] = [] if replacements is None else replacements
        self._seen = len(self.replacements)
        self._read = 0

    def again(self) -> "MemoryStore":
        return MemoryStore(self.fuse, self.log, self.contents, self.replacements)

    @contextmanager
    def lock(self) -> Iterator[None]:
        yield

    def read(self) -> list[Entry]:
        if self.is_replaced():
            self._seen, self._read = len(self.replacements), 0
        found = [decode(line) for line in self.log[self._read :]]
        self._read = len(self.log)
        return found

    def is_replaced(self) -> bool:
        return self._seen != len(self.replacements)

    def everything(self) -> list[Entry]:
        return [decode(line) for line in self.log]

    def replace(self, entries: Sequence[Entry]) -> None:
        self.fuse.burn()
        self.log[:] = [encode(entry) for entry in entries]
        self.replacements.append(None)

    def keep_only(self, names: Collection[str]) -> None:
        for name in [name for name in self.contents if name not in names]:
            self.fuse.burn()
            del self.contents[name]

    def size(self, name: str) -> int:
        return len(self.contents[name])

    def append(self, entry: Entry) -> None:
        self.fuse.burn()
        self.log.append(encode(entry))
        self._read = len(self.log)

    def put(self, data: bytes) -> str:
        name = sha256(data).hexdigest()
        if name not in self.contents:
            self.fuse.burn()
            self.contents[name] = data
        return name

    def get(self, name: str) -> bytes:
        return self.contents[name]

    def hold_turn(self) -> bool:
        return True

    def release_turn(self) -> None:
        pass

    def users_edits(self) -> int:
        """How many entries say that the user changed a file."""
        return sum(isinstance(entry, Edited) and entry.owner == "user" for entry in map(decode, self.log))


class MemoryDisk:
    """Files by path."""

    def __init__(self, fuse: Fuse) -> None:
        self.fuse = fuse
        self.files: dict[str, FileImage] = {}

    def read(self, path: str) -> FileImage | None:
        return self.files.get(path)

    def write(self, path: str, image: FileImage | None) -> None:
        self.fuse.burn()
        self.put(path, image)

    def exchange(self, path: str, old: FileImage | None, new: FileImage | None) -> bool:
        if self.read(path) != old:
            return False
        self.write(path, new)
        return True

    def tidy(self, path: str) -> None:
        pass

    def put(self, path: str, image: FileImage | None) -> None:
        """As someone else writes."""
        if image is None:
            self.files.pop(path, None)
        else:
            self.files[path] = image

    def remove_directories(self, paths: frozenset[str]) -> None:
        pass

    def missing_parents(self, path: str) -> tuple[str, ...]:
        return tuple(path.split("/")[:0])
