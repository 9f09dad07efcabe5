"""One run of bytes of a file, read into several places of memory at once."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# What one call of the system takes at most (IOV_MAX of Linux and macOS).
_PLACES_LIMIT = 1024
_BYTES_LIMIT = 1 << 30  # macOS refuses to read 2 GiB or more at once


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes of a file from `offset` on, and where they go: the buffers one after the other."""

    file: Path
    offset: int
    buffers: tuple[memoryview, ...]

    @property
    def nbytes(self) -> int:
        """How many bytes."""
        return sum(map(len, self.buffers))


def join_runs(runs: Iterable[Run]) -> Iterator[Run]:
    """The same bytes to the same places in as few runs as their order allows."""
    last: Run | None = None
    for run in runs:
        if (
            last is not None
            and (last.file, last.offset + last.nbytes) == (run.file, run.offset)
            and len(last.buffers) + len(run.buffers) <= _PLACES_LIMIT
        ):
            last = Run(last.file, last.offset, last.buffers + run.buffers)
            continue
        if last is not None:
            yield last
        last = run
    if last is not None:
        yield last


def fill(run: Run, read: Callable[[int, Sequence[memoryview]], int]) -> None:
    """Fills a run's buffers with as many calls of `read(offset, buffers)`, which returns the bytes read, as it
    takes. Raises EOFError where the file ends before, and what `read` raises."""
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
    """The first bytes of these places, as many as one call may ask for."""
    first: list[memoryview] = []
    room = _BYTES_LIMIT
    for buffer in buffers:
        if not room:
            break
        first.append(buffer[:room])
        room -= len(first[-1])
    return first


def read_descriptor(descriptor: int) -> Callable[[int, Sequence[memoryview]], int]:
    """How to read from an open file. Raises OSError."""
    return lambda offset, buffers: os.preadv(descriptor, buffers, offset)
