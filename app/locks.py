"""Whether another process holds a file or folder."""

import fcntl
import os
from pathlib import Path


def is_unlocked(path: Path) -> bool:
    """Whether there is such a file or folder and no process holds its lock (flock). False as well where it may
    not be looked at: then it is not to be removed either. Links are not followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
