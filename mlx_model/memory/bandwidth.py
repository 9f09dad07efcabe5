"""The memory bandwidth of this machine: what Apple states for its chip, or what a large copy reaches."""

import time
from collections.abc import Callable

import numpy as np

GB_PER_SECOND = {
    "M1": 68,
    "M1 Pro": 200,
    "M1 Max": 400,
    "M1 Ultra": 800,
    "M2": 100,
    "M2 Pro": 200,
    "M2 Max": 400,
    "M2 Ultra": 800,
    "M3": 100,
    "M3 Pro": 150,
    "M3 Max": 400,
    "M3 Ultra": 819,
    "M4": 120,
    "M4 Pro": 273,
    "M4 Max": 546,
    "M5": 153,
}
"""As Apple's specifications state it, of the chip's largest variant: an M3 Max with 30 GPU cores has 300, an
M4 Max with 32 has 410."""
_COPIED = 256 << 20
"""Bytes of the array that is copied: beyond every cache."""
_COPIES = 5


def stated_bandwidth(chip: str) -> int | None:
    """GB/s of a chip by its name ("Apple M4 Max"); None of one that is not in the table."""
    return GB_PER_SECOND.get(chip.removeprefix("Apple "))


def copied_bandwidth(clock: Callable[[], float] = time.perf_counter) -> float:
    """GB/s that the fastest of a few copies reads and writes, into memory that is there already: fresh pages
    would be most of the time."""
    source, copy = (np.ones(_COPIED // 4, np.float32) for _ in range(2))
    seconds = []
    for _ in range(_COPIES):
        started = clock()
        np.copyto(copy, source)
        seconds.append(clock() - started)
    return 2 * _COPIED / min(seconds) / 1e9
