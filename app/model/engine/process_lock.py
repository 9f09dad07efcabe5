"""A lock between processes that the kernel gives back when its holder ends, however it ends."""

import fcntl
import os
from pathlib import Path


class ProcessLock:
    """An exclusive lock on a file. Its descriptor may be handed down to a child, which then holds it too."""

    def __init__(self, file: Path) -> None:
        """Take the lock. Raises BlockingIOError while somebody else has it."""
        self.descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.descriptor)
            raise

    def let_go(self) -> None:
        """Close our copy. A child that it was handed to keeps its own."""
        os.close(self.descriptor)
