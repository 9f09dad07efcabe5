"""What a user does to files in the tree: make, move, copy, throw away, and take that back.

Everything here blocks on the disk: call it in a thread.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from send2trash import send2trash
from send2trash.exceptions import TrashPermissionError

from app.workspace.errors import WorkspaceError
from app.workspace.names import is_git_name

# Bytes of what is thrown away up to which a copy is kept, so that it can be taken back. Chosen.
_LARGEST_KEPT = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Step:
    """What was done, in words, and how to take it back."""

    words: str
    undo: Callable[[], None]


class FileWork:
    """Files below `root`. Nothing is ever overwritten. Paths are relative to the root, with forward slashes;
    every method raises WorkspaceError, and then nothing has changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._steps: list[_Step] = []
        self._kept: tempfile.TemporaryDirectory[str] | None = None

    def create(self, path: str) -> str:
        """Make an empty file, or with a slash behind its name a folder, and the folders around it; returns its
        path."""
        target = self._free(path)
        made = self._make_parents(target)
        with _explained(path):
            if path.rstrip().endswith("/"):
                target.mkdir()
            else:
                target.touch(exist_ok=False)

        def undo() -> None:
            if target.is_dir():
                target.rmdir()
            elif target.stat().st_size:
                raise WorkspaceError(f"{path} is no longer empty", "throw it away instead")
            else:
                target.unlink()
            _remove(made)

        self._did(f"made {self._name(target)}", undo)
        return self._name(target)

    def move(self, old: str, new: str) -> str:
        """Move or rename; returns the new path."""
        source = self._there(old)
        target = self._free(new, other_than=source)
        if target.is_relative_to(source) and target != source:
            raise WorkspaceError(f"{old} cannot be moved into itself", "give another place")
        made = self._make_parents(target)
        with _explained(new):
            source.rename(target)

        def undo() -> None:
            if os.path.lexists(source):
                raise WorkspaceError(f"{old} is there again", "move it away first")
            source.parent.mkdir(parents=True, exist_ok=True)
            target.rename(source)
            _remove(made)

        self._did(f"moved {old} to {self._name(target)}", undo)
        return self._name(target)

    def copy(self, old: str, new: str) -> str:
        """Copy a file or a folder; returns the path of the copy."""
        source, target = self._there(old), self._free(new)
        if target.is_relative_to(source):
            raise WorkspaceError(f"{old} cannot be copied into itself", "give another place")
        made = self._make_parents(target)
        with _explained(new):
            _copy(source, target)

        def undo() -> None:
            _to_trash(target)  # it may have been edited since
            _remove(made)

        self._did(f"copied {old} to {self._name(target)}", undo)
        return self._name(target)

    def throw_away(self, path: str) -> bool:
        """Put a file or folder into the trash. False where it is too large to be taken back from here."""
        target = self._there(path)
        kept = self._keep(target)
        _to_trash(target)
        if kept is None:
            self._steps.clear()
            return False

        def undo() -> None:
            if os.path.lexists(target):
                raise WorkspaceError(f"{path} is there again", "move it away first")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(kept, target)

        self._did(f"threw {path} away", undo)
        return True

    def undo(self) -> str:
        """Take the last step back; returns what it was, "" if there is none."""
        if not self._steps:
            return ""
        step = self._steps[-1]
        with _explained(step.words):
            step.undo()
        self._steps.pop()
        return step.words

    def _did(self, words: str, undo: Callable[[], None]) -> None:
        self._steps.append(_Step(words, undo))

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _at(self, path: str) -> Path:
        given = path.strip().rstrip("/")
        target = Path(os.path.normpath(self._root / given))
        if not given or target == self._root or not target.is_relative_to(self._root):
            raise WorkspaceError(f"{path!r} is no place in this workspace", "give a path below its root")
        if any(is_git_name(part) for part in target.relative_to(self._root).parts):
            raise WorkspaceError("git's own files are left alone", "use git for them")
        return target

    def _there(self, path: str) -> Path:
        target = self._at(path)
        if not os.path.lexists(target):
            raise WorkspaceError(f"{path} is no longer there", "read the folder again")
        return target

    def _free(self, path: str, other_than: Path | None = None) -> Path:
        target = self._at(path)
        if os.path.lexists(target):
            # Where names that differ only in capitals are one file, it may be renamed to the other spelling.
            is_same = other_than is not None and target != other_than and target.samefile(other_than)
            if not is_same:
                raise WorkspaceError(f"{self._name(target)} exists already", "give another name")
        return target

    def _make_parents(self, target: Path) -> list[Path]:
        """The folders that had to be made, the innermost first."""
        missing = []
        for parent in target.parents:
            if parent.exists():
                break
            missing.append(parent)
        with _explained(self._name(target)):
            target.parent.mkdir(parents=True, exist_ok=True)
        return missing

    def _keep(self, target: Path) -> Path | None:
        if _size(target) > _LARGEST_KEPT:
            return None
        if self._kept is None:
            self._kept = tempfile.TemporaryDirectory(prefix="tidegate-trash-")
        kept = Path(tempfile.mkdtemp(dir=self._kept.name)) / target.name
        with _explained(target.name):
            _copy(target, kept)
        return kept


def _to_trash(target: Path) -> None:
    with _explained(target.name):
        send2trash(target)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copy2(source, target, follow_symlinks=False)


def _size(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum((Path(folder) / name).lstat().st_size for folder, _, names in os.walk(path) for name in names)


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """Says what the disk said about a path."""
    try:
        yield
    except TrashPermissionError as error:
        raise WorkspaceError(f"{path} cannot go to the trash", "there is none on its disk") from error
    except (OSError, shutil.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise WorkspaceError(f"{path}: the disk refused ({reason})", "see who owns it") from error
