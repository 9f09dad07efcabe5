"""Durable files: replaced whole or not at all, and on the medium before the next step is taken.

Everything here blocks on the disk and raises OSError. What is not yet whole lies under a temporary name in the
same folder; each caller chooses that name, and how what a killed process left under it is found.
"""

import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_WRITE_LIMIT = 1 << 30
"""Bytes of one write: macOS refuses 2 GiB or more (write(2))."""
_NO_DIRECTORY_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""What network and FUSE file systems answer that cannot sync a directory."""


def sync(descriptor: int) -> None:
    """Returns when everything written to an open file is on the medium.

    macOS's fsync stops at the drive's own cache; F_FULLFSYNC has the drive write it (fsync(2) of macOS). File
    systems that do not know it get the plain fsync.
    """
    if sys.platform == "darwin":
        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def sync_path(path: Path) -> None:
    """Returns when a file's content, or a directory's names, are on the medium."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def write_at(descriptor: int, data: memoryview, offset: int) -> None:
    """Writes all of `data` (bytes) from `offset` of the file on; syncs nothing."""
    while data:
        written = os.pwrite(descriptor, data[:_WRITE_LIMIT], offset)
        data, offset = data[written:], offset + written


@contextmanager
def replacing(path: Path, temporary: Path) -> Iterator[Path]:
    """Yields `temporary`, a name in the same folder, for the caller to write the new content of `path` to.

    When the block ends, the file is synced and renamed to `path`: whoever looks finds the old file or the new
    one. When the block raises, `temporary` is removed and `path` stays. The rename itself is durable after
    `sync_path` of the folder.
    """
    try:
        yield temporary
        sync_path(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def publish_directory(directory: Path, path: Path) -> None:
    """Syncs the files in `directory` and gives it the name `path` by one rename. Links are not followed."""
    for file in directory.iterdir():
        if not file.is_symlink():
            sync_path(file)
    sync_path(directory)
    directory.rename(path)
    sync_path(path.parent)
