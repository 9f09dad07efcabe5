"""Temporary folders that a process holds as long as it lives: one that was killed leaves them, and the next
removes what nobody holds.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.locks import is_unlocked


@contextmanager
def scratch(prefix: str) -> Iterator[Path]:
    """A new folder, whose name begins with `prefix`, until the end. Blocks on the disk. Raises OSError."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir=_temporary()) as name:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(descriptor)


def remove_abandoned(prefix: str) -> None:
    """Remove the folders of this prefix that nobody holds. Blocks on the disk."""
    with suppress(OSError):
        for folder in Path(_temporary()).glob(f"{prefix}*"):
            if folder.lstat().st_uid == os.getuid() and _is_abandoned(folder):
                _make_removable(folder)
                shutil.rmtree(folder, ignore_errors=True)


def _make_removable(folder: Path) -> None:
    """Tests may leave folders that cannot be written. Links lead out of here."""
    for place, names, _ in os.walk(folder):
        for inner in (Path(place) / name for name in names):
            if not inner.is_symlink():
                inner.chmod(0o700)


def _is_abandoned(folder: Path) -> bool:
    """Whether there is something in it and nobody holds it. An empty one may be about to be held."""
    try:
        return any(folder.iterdir()) and is_unlocked(folder)
    except OSError:
        return False


def _temporary() -> str:
    """Where temporary files go, without links, on which nothing can be mounted."""
    return os.path.realpath(tempfile.gettempdir())
