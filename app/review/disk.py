"""The work tree, as review reads and writes it."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Protocol
from unicodedata import normalize

from typing_extensions import override

from app import durable
from app.review.diff.compare import SYMLINK
from app.review.model import FileImage

EXECUTABLE = 0o100755
"""git's modes of files."""
REGULAR = 0o100644


class Disk(Protocol):
    """Files below a root, by their path relative to it with forward slashes. Everything raises OSError."""

    def read(self, path: str) -> FileImage | None:
        """A file or symlink; None when there is none, or a directory, or the way leads over a symlink."""
        ...

    def write(self, path: str, image: FileImage | None) -> None:
        """Make `path` hold exactly `image`, in one step: whoever looks sees the old or the new file. In its
        place a directory that has no files in it gives way."""
        ...

    def exchange(self, path: str, old: FileImage | None, new: FileImage | None) -> bool:
        """As `write`, if the file is `old` at the last moment; returns whether it was."""
        ...

    def tidy(self, path: str) -> None:
        """Take away what a process that died while it wrote `path` left beside it."""
        ...

    def remove_directories(self, paths: frozenset[str]) -> None:
        """Remove those of these directories that are empty, the deepest first."""
        ...

    def missing_parents(self, path: str) -> tuple[str, ...]:
        """The directories above `path` that do not exist."""
        ...


class WorkTree(Disk):
    """The Disk below a directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @override
    def read(self, path: str) -> FileImage | None:
        place = self._root / path
        try:
            facts = place.lstat()
            if not self._is_here(path):
                return None
            if stat.S_ISLNK(facts.st_mode):
                return FileImage(os.fsencode(place.readlink()), SYMLINK)
            if stat.S_ISDIR(facts.st_mode):
                return None
            if not stat.S_ISREG(facts.st_mode):
                raise OSError(22, "Not a regular file", str(place))
            # The kernel's own files say that they are empty, and some never end or wait for what is to come.
            data = place.read_bytes() if facts.st_size else b""
        except (FileNotFoundError, NotADirectoryError):
            return None
        return FileImage(data, EXECUTABLE if facts.st_mode & stat.S_IXUSR else REGULAR)

    @override
    def write(self, path: str, image: FileImage | None) -> None:
        self._put(path, image, lambda: True)

    @override
    def exchange(self, path: str, old: FileImage | None, new: FileImage | None) -> bool:
        return self._put(path, new, lambda: self.read(path) == old)

    def _is_here(self, path: str) -> bool:
        """Whether what the system finds at `path` is that file, as git sees it: not one that a symlink leads
        to, nor one of a name with other capitals where the file system makes no difference."""
        if self._is_behind_link(path):
            return False
        names = [PurePosixPath(path), *PurePosixPath(path).parents[:-1]] if self._folds_case else []
        return all(
            _composed(name.name) in {_composed(found.name) for found in (self._root / name.parent).iterdir()}
            for name in names
        )

    def _is_behind_link(self, path: str) -> bool:
        return any((self._root / parent).is_symlink() for parent in PurePosixPath(path).parents[:-1])

    @cached_property
    def _folds_case(self) -> bool:
        try:
            return self._root.samefile(str(self._root.absolute()).swapcase())
        except OSError:
            return False

    def _put(self, path: str, image: FileImage | None, may: Callable[[], bool]) -> bool:
        """Write if `may` says so when all is ready; returns whether it did."""
        place = self._root / path
        if self._is_behind_link(path):
            raise NotADirectoryError(20, "It lies behind a symbolic link", str(place))
        if image is None:
            if may():
                place.unlink(missing_ok=True)
                return True
            return False
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(place)
        temporary.unlink(missing_ok=True)
        if image.mode != SYMLINK and durable.is_linked(place):
            if may():
                durable.overwrite(place, image.data, self._permissions(place, image.mode))
                return True
            return False
        try:
            if image.mode == SYMLINK:
                temporary.symlink_to(os.fsdecode(image.data))
            else:
                durable.write_new(temporary, (image.data,), self._permissions(place, image.mode))
                if stat.S_ISREG(_kind(place)):
                    durable.copy_attributes(place, temporary)
            if may():
                if stat.S_ISDIR(_kind(place)):
                    for directory, _, _ in os.walk(place, topdown=False):
                        Path(directory).rmdir()
                temporary.replace(place)
                return True
            return False
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    @override
    def tidy(self, path: str) -> None:
        with suppress(FileNotFoundError, NotADirectoryError):
            _temporary(self._root / path).unlink()

    def _permissions(self, place: Path, mode: int) -> int:
        """What the file had, as far as git's mode allows; a new file has what the user's umask gives."""
        try:
            facts = place.lstat()
            known = stat.S_IMODE(facts.st_mode) if stat.S_ISREG(facts.st_mode) else None
        except FileNotFoundError:
            known = None
        if known is None:
            known = durable.new_file_mode()
        if mode == EXECUTABLE:
            return known | ((known & 0o444) >> 2)
        return known & ~0o111

    @override
    def remove_directories(self, paths: frozenset[str]) -> None:
        for path in sorted(paths, key=len, reverse=True):
            with suppress(OSError):
                (self._root / path).rmdir()

    @override
    def missing_parents(self, path: str) -> tuple[str, ...]:
        missing: list[str] = []
        for parent in Path(path).parents:
            if parent == Path() or (self._root / parent).exists():
                break
            missing.append(parent.as_posix())
        return tuple(missing)


def _kind(place: Path) -> int:
    try:
        return stat.S_IFMT(place.lstat().st_mode)
    except FileNotFoundError:
        return 0


def _composed(name: str) -> str:
    # Where capitals make no difference, neither do the two ways to write an accent.
    return normalize("NFC", name)


def _temporary(place: Path) -> Path:
    """Where a file's new content waits to take its name; always the same, so that it is found after a death."""
    return place.with_name(f".tidegate-{sha256(os.fsencode(place.name)).hexdigest()[:16]}")
