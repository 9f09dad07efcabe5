"""Durable files: replaced whole or not at all, and on the medium before the next step is taken.

Everything here blocks on the disk and raises OSError.
"""

import errno
import fcntl
import os
import secrets
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

TEMPORARY_SUFFIX = ".tidegate-tmp"
"""How the name of a file ends that has not taken its place yet; whoever lists a folder leaves those out."""
PRIVATE = 0o600
_NO_DIRECTORY_SYNC = (errno.EINVAL, errno.ENOTSUP)
"""What network and FUSE file systems answer that cannot sync a directory; there a rename is as durable as it
gets."""


def sync(descriptor: int) -> None:
    """Return when what was written to `descriptor` is on the medium.

    macOS's fsync leaves it in the drive's cache; F_FULLFSYNC has the drive write it (fsync(2) of macOS). File
    systems that do not know it get the plain fsync.
    """
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError:
            pass
        else:
            return
    os.fsync(descriptor)


def sync_directory(directory: Path) -> None:
    """Make a rename in `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        sync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise
    finally:
        os.close(descriptor)


def append(descriptor: int, data: bytes) -> None:
    """Add `data` to the end of an open file. On failure the file is cut back to the length that it had."""
    end = os.lseek(descriptor, 0, os.SEEK_END)
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        sync(descriptor)
    except OSError:
        # A part of a line in front of the next one would make both unreadable.
        with suppress(OSError):
            os.ftruncate(descriptor, end)
        raise


def write_new(path: Path, pieces: Iterable[bytes], mode: int = PRIVATE) -> None:
    """Create the file `path`, which must not exist, with permissions `mode`, and sync it."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:  # noqa: PTH123
        os.fchmod(file.fileno(), mode)
        for piece in pieces:
            file.write(piece)
        file.flush()
        sync(file.fileno())


def install(temporary: Path, path: Path) -> None:
    """Rename `temporary`, which is synced, to `path`, and make that durable."""
    temporary.replace(path)
    sync_directory(path.parent)


def replace_file(path: Path, pieces: Iterable[bytes], mode: int = PRIVATE, *, prefix: str = ".") -> None:
    """Make `pieces` the content of `path` in one step: whoever looks finds the old file or the new one.

    The new file has another inode and permissions `mode`. Until then it lies in the same folder under a name
    that is used once, between `prefix` and TEMPORARY_SUFFIX.
    """
    temporary = path.with_name(f"{prefix}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    try:
        write_new(temporary, pieces, mode)
        install(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def new_file_mode() -> int:
    """The permissions of a new file under the user's umask."""
    # The mask can be read only by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask
