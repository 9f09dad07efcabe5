"""The work tree, as review reads and writes it."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from app.review.diff import SYMLINK
from app.review.model import FileImage

EXECUTABLE = 0o100755
REGULAR = 0o100644


class Disk(Protocol):
    """Files below a root, by their path relative to it with forward slashes. Everything raises OSError."""

    def read(self, path: str) -> FileImage | None:
        """A file or symlink, None when there is none. A directory there raises IsADirectoryError."""
        ...

    def write(self, path: str, image: FileImage | None) -> None:
        """Make `path` hold exactly `image`, in one step: whoever looks sees the old or the new file."""
        ...

    def remove_directories(self, paths: frozenset[str]) -> None:
        """Remove those of these directories that are empty, the deepest first."""
        ...

    def missing_parents(self, path: str) -> tuple[str, ...]:
        """The directories above `path` that do not exist."""
        ...


class WorkTree:
    """The Disk below a directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, path: str) -> FileImage | None:
        """See Disk."""
        place = self._root / path
        try:
            facts = place.lstat()
            if stat.S_ISLNK(facts.st_mode):
                return FileImage(os.fsencode(place.readlink()), SYMLINK)
            if stat.S_ISDIR(facts.st_mode):
                raise IsADirectoryError(21, "Is a directory", str(place))
            if not stat.S_ISREG(facts.st_mode):
                raise OSError(22, "Not a regular file", str(place))
            # The kernel's own files say that they are empty, and some never end or wait for what is to come.
            data = place.read_bytes() if facts.st_size else b""
        except (FileNotFoundError, NotADirectoryError):
            return None
        return FileImage(data, EXECUTABLE if facts.st_mode & stat.S_IXUSR else REGULAR)

    def write(self, path: str, image: FileImage | None) -> None:
        """See Disk."""
        place = self._root / path
        if image is None:
            place.unlink(missing_ok=True)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=place.parent, prefix=".tidegate-")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(image.data)
                file.flush()
                os.fsync(file.fileno())
            if image.mode == SYMLINK:
                temporary.unlink()
                temporary.symlink_to(os.fsdecode(image.data))
            else:
                temporary.chmod(self._permissions(place, image.mode))
            temporary.replace(place)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    def _permissions(self, place: Path, mode: int) -> int:
        """What the file had, as far as git's mode allows; a new file has what the user's umask gives."""
        try:
            facts = place.lstat()
            known = stat.S_IMODE(facts.st_mode) if stat.S_ISREG(facts.st_mode) else None
        except FileNotFoundError:
            known = None
        if known is None:
            mask = os.umask(0)
            os.umask(mask)
            known = 0o666 & ~mask
        if mode == EXECUTABLE:
            return known | ((known & 0o444) >> 2)
        return known & ~0o111

    def remove_directories(self, paths: frozenset[str]) -> None:
        """See Disk."""
        for path in sorted(paths, key=len, reverse=True):
            with suppress(OSError):
                (self._root / path).rmdir()

    def missing_parents(self, path: str) -> tuple[str, ...]:
        """See Disk."""
        missing: list[str] = []
        for parent in Path(path).parents:
            if parent == Path() or (self._root / parent).exists():
                break
            missing.append(parent.as_posix())
        return tuple(missing)
