"""Durable files: replaced whole or not at all, and on the medium before the next step is taken.

Everything here blocks on the disk and raises OSError.
"""

import ctypes
import errno
import fcntl
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

TEMPORARY_SUFFIX = ".tidegate-tmp"
"""How the name of a file ends that has not taken its place yet; whoever lists a folder leaves those out."""
PRIVATE = 0o600
"""Permissions of what is written: for the user alone."""
_COPYFILE_ACL, _COPYFILE_XATTR = 1 << 0, 1 << 2  # copyfile(3) of macOS
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


def copy_attributes(source: Path, target: Path) -> None:
    """Give the file `target` the owner, extended attributes and access lists of `source`, as far as the system
    lets this user."""
    with suppress(OSError):
        facts = source.stat()
        if (facts.st_uid, facts.st_gid) != (target.stat().st_uid, target.stat().st_gid):
            mode = stat.S_IMODE(target.stat().st_mode)
            os.chown(target, facts.st_uid, facts.st_gid)
            target.chmod(mode)  # changing the owner takes away set-user-ID bits
    if sys.platform == "darwin":  # not seen on a Mac yet
        system = ctypes.CDLL(None)
        system.copyfile(os.fsencode(source), os.fsencode(target), None, _COPYFILE_ACL | _COPYFILE_XATTR)
    elif hasattr(os, "listxattr"):
        with suppress(OSError):
            for name in os.listxattr(source):
                with suppress(OSError):  # some belong to the system (security.*)
                    os.setxattr(target, name, os.getxattr(source, name))


def is_linked(path: Path) -> bool:
    """Whether the file at `path` has other names, which would keep the old content if it were replaced."""
    try:
        facts = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(facts.st_mode) and facts.st_nlink > 1


def overwrite(path: Path, data: bytes, mode: int) -> None:
    """Make `data` the content of the file at `path` under all its names. Not in one step: cut off in the
    middle, it leaves a part."""
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()
        os.fchmod(file.fileno(), mode)
        file.flush()
        sync(file.fileno())


def install(temporary: Path, path: Path) -> None:
    """Rename `temporary`, which is synced, to `path`, and make that durable."""
    temporary.replace(path)
    sync_directory(path.parent)


def replace_file(
    path: Path,
    pieces: Iterable[bytes],
    mode: int = PRIVATE,
    *,
    prefix: str = ".",
    keeps: bool = False,
    check: Callable[[], None] | None = None,
) -> None:
    """Make `pieces` the content of `path` in one step: whoever looks finds the old file or the new one.

    The new file has another inode and permissions `mode`. Until then it lies in the same folder under a name
    that is used once, between `prefix` and TEMPORARY_SUFFIX. With `keeps` it has the old one's attributes.
    `check` is called at the last moment; what it raises leaves the old file.
    """
    temporary = path.with_name(f"{prefix}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    try:
        write_new(temporary, pieces, mode)
        if keeps:
            copy_attributes(path, temporary)
        if check is not None:
            check()
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
