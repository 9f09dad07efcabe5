"""What a server's program writes to its error stream: the end of it, in memory."""

import asyncio
import contextlib
import os
from typing import TextIO

from app.terminal_output import clean

_MOST_BYTES = 16 * 1024  # of a server's standard error, the last
_LONGEST_LINE = 200  # characters
_AT_ONCE = 64 * 1024  # bytes of one read


class Complaints:
    """A pipe that is read while the event loop runs, so that no program waits for a reader or fills a disk."""

    def __init__(self) -> None:
        self._read, write = os.pipe()
        os.set_blocking(self._read, False)
        self.stream: TextIO = os.fdopen(write, "w")
        """For the program to inherit, and then to be closed here."""
        self._kept = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read, self._take)

    def last_lines(self, count: int) -> tuple[str, ...]:
        """The last lines that are not blank, shortened."""
        while self._take():
            pass  # what came since the loop last looked
        lines = (line.strip() for line in clean(self._kept.decode(errors="replace")).split("\n"))
        return tuple(line[:_LONGEST_LINE] for line in lines if line)[-count:]

    def close(self) -> None:
        """Read no more; harmless when repeated."""
        self.stream.close()
        if self._read >= 0:
            self._loop.remove_reader(self._read)
            os.close(self._read)
            self._read = -1

    def _take(self) -> bool:
        """Take what has come; whether more may be there."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._read, _AT_ONCE)
            if not data:
                self._loop.remove_reader(self._read)  # nobody has the other end any more
        self._kept = (self._kept + data)[-_MOST_BYTES:]
        return bool(data)
