"""Bytes past every cache, to what keeps them without power."""

import fcntl
import os
import sys
from contextlib import suppress
from pathlib import Path


def flush_descriptor(descriptor: int) -> None:
    """Returns when what was written to an open file is kept. Raises OSError."""
    if sys.platform == "darwin":
        # There, fsync stops at the drive's own cache. Some file systems have nothing better.
        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def flush_path(path: Path) -> None:
    """The same of a file, or of the names in a directory. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        flush_descriptor(descriptor)
    finally:
        os.close(descriptor)
