"""Scatter reads: a run of bytes of a file, read into several buffers by one call (preadv)."""

import fcntl
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_BUFFERS_LIMIT = 1024
"""Buffers of one call: IOV_MAX of Linux and macOS."""
_BYTES_LIMIT = 1 << 30
"""Bytes of one call: macOS refuses 2 GiB or more (read(2))."""
_F_NOCACHE = 48
"""From macOS's <sys/fcntl.h>; Python has the name only there."""


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive bytes of a file from `offset` on, and the buffers that they fill, one after the other."""

    file: Path
    offset: int
    buffers: tuple[memoryview, ...]

    @property
    def nbytes(self) -> int:
        """The bytes of all buffers."""
        return sum(map(len, self.buffers))


def join_runs(runs: Iterable[Run]) -> Iterator[Run]:
    """Joins runs that follow each other in a file, as far as one call can read them."""
    last: Run | None = None
    for run in runs:
        if (
            last is not None
            and (last.file, last.offset + last.nbytes) == (run.file, run.offset)
            and len(last.buffers) + len(run.buffers) <= _BUFFERS_LIMIT
        ):
            last = Run(last.file, last.offset, last.buffers + run.buffers)
            continue
        if last is not None:
            yield last
        last = run
    if last is not None:
        yield last


def fill(run: Run, read: Callable[[int, Sequence[memoryview]], int]) -> None:
    """Fills a run's buffers by repeated calls of `read(offset, buffers)`, which returns the bytes read. Raises
    EOFError where the file ends before, and whatever `read` raises."""
    offset, buffers = run.offset, list(run.buffers)
    while buffers:
        count = read(offset, _first(buffers))
        if count <= 0:
            raise EOFError(f"it ends {sum(map(len, buffers))} bytes too early")
        offset += count
        while buffers and count >= len(buffers[0]):
            count -= len(buffers.pop(0))
        if count:
            buffers[0] = buffers[0][count:]


def _first(buffers: Iterable[memoryview]) -> list[memoryview]:
    """The first bytes of these buffers, at most as many as one call may read."""
    first: list[memoryview] = []
    room = _BYTES_LIMIT
    for buffer in buffers:
        if not room:
            break
        first.append(buffer[:room])
        room -= len(first[-1])
    return first


def read_descriptor(descriptor: int) -> Callable[[int, Sequence[memoryview]], int]:
    """The `read` of `fill` for an open file. Raises OSError."""
    return lambda offset, buffers: os.preadv(descriptor, buffers, offset)


def read_once(descriptor: int) -> None:
    """Have macOS keep nothing of this file in its cache: what is read goes into memory of ours, and a second
    copy of the weights would push out other programs. Not seen on a Mac yet."""
    is_mac = sys.platform == "darwin"
    if is_mac:
        with suppress(OSError):  # a file system without this caches, and the bytes are the same
            fcntl.fcntl(descriptor, _F_NOCACHE, 1)
