"""Replacing a file so that it is at every moment either the old one or the new one."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from app.workspace.errors import WriteRefused

TEMPORARY_SUFFIX = ".tidegate-tmp"


def _default_mode() -> int:
    # The mask can be read only by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


def write_bytes(path: Path, data: bytes) -> None:
    """Make `data` the content of the file at `path`, atomically and durably; missing directories are made.

    The mode of a file that is there is kept. A symbolic link is followed: resolve and check `path` before.
    Raises WriteRefused.
    """
    temporary: str | None = None
    try:
        target = Path(os.path.realpath(path))
        mode = None
        if target.exists():
            found = target.stat()
            if not stat.S_ISREG(found.st_mode):
                raise WriteRefused(f"{path.name} is not a regular file")
            if not os.access(target, os.W_OK):
                raise WriteRefused(f"{path.name} is write-protected")
            mode = stat.S_IMODE(found.st_mode)
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(TEMPORARY_SUFFIX, ".", target.parent)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(data)
            file.flush()
            os.fchmod(descriptor, mode if mode is not None else _default_mode())
            os.fsync(descriptor)
        os.replace(temporary, target)  # noqa: PTH105 - one call for text from mkstemp
        temporary = None
    except OSError as error:
        raise WriteRefused(f"{path.name} cannot be written ({error.strerror})") from error
    except ValueError as error:
        raise WriteRefused(f"{str(path)!r} is not a path") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
