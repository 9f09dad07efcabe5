"""The prefix store's own cost: finding a long prefix among many snapshots, and storing one more."""

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from mlx_model.state.disk.tier import DiskLimits, DiskTier
from mlx_model.state.prefix_state import Arrays
from mlx_model.state.prefix_store import PrefixStore

TOKENS = 200_000
"""Of the conversation: three quarters of the largest context."""
SNAPSHOTS = 1000
"""Several long sessions' worth."""
_REPEATS = 50
"""Lookups of which the median is taken."""


@dataclass(frozen=True, slots=True)
class LookupCost:
    """Milliseconds of one lookup, the best and the median of several: in memory only; with the same snapshots
    on disk too; and the first after a restart, which reads the files. Microseconds per token of the prompt: of
    a lookup, and of storing one more snapshot, apart from copying its arrays."""

    tokens: int
    snapshots: int
    lookup_ms: float
    lookup_median_ms: float
    lookup_beside_disk_ms: float
    lookup_beside_disk_median_ms: float
    lookup_after_restart_ms: float
    lookup_us_per_token: float
    store_us_per_token: float


@dataclass(frozen=True, slots=True)
class _TinyState:
    """A StateSource of a few bytes, so that only the store's own work is measured."""

    def segment(self, start: int, stop: int) -> Arrays:  # noqa: ARG002
        return {"keys": np.zeros(1, dtype=np.uint8)}

    def recurrent(self) -> Arrays:
        return {"matrix": np.zeros(1, dtype=np.uint8)}


def measure_lookup() -> dict[str, Any]:
    """LookupCost as a mapping, for one conversation of TOKENS tokens with SNAPSHOTS snapshots."""
    # A prompt arrives as a tuple of ids: turning it into an array is part of what is measured.
    prompt = tuple(np.random.default_rng(0).integers(0, 150_000, TOKENS).tolist())
    positions = [TOKENS * n // SNAPSHOTS - 1 for n in range(1, SNAPSHOTS + 1)]
    in_memory = PrefixStore(1 << 40)
    storing = sum(_store_milliseconds(in_memory, prompt[:position]) for position in positions)
    memory = _lookups(in_memory, prompt)
    with tempfile.TemporaryDirectory() as name:
        limits = DiskLimits(reserve=0, pending=1 << 40)

        tier = DiskTier(Path(name), "bench", {}, limits)
        writing = PrefixStore(1 << 40, tier)
        for position in positions:
            writing.store(prompt[:position], _TinyState())
        tier.flush()
        writing.close()
        reading = PrefixStore(1 << 40, DiskTier(Path(name), "bench", {}, limits))
        restarted = _lookup_milliseconds(reading, prompt)
        beside = _lookups(reading, prompt)
        reading.close()
    cost = LookupCost(
        tokens=TOKENS,
        snapshots=SNAPSHOTS,
        lookup_ms=memory[0],
        lookup_median_ms=median(memory),
        lookup_beside_disk_ms=beside[0],
        lookup_beside_disk_median_ms=median(beside),
        lookup_after_restart_ms=restarted,
        lookup_us_per_token=1000 * memory[0] / TOKENS,
        store_us_per_token=1000 * storing / sum(positions),
    )
    return {key: round(value, 5) for key, value in asdict(cost).items()}


def _lookups(store: PrefixStore, prompt: tuple[int, ...]) -> list[float]:
    return sorted(_lookup_milliseconds(store, prompt) for _ in range(_REPEATS))


def _lookup_milliseconds(store: PrefixStore, prompt: tuple[int, ...]) -> float:
    started = time.perf_counter()
    found = store.lookup(prompt)
    took = time.perf_counter() - started
    assert found is not None and found.position == len(prompt) - 1, "the deepest snapshot is found"
    return 1000 * took


def _store_milliseconds(store: PrefixStore, prefix: tuple[int, ...]) -> float:
    started = time.perf_counter()
    store.store(prefix, _TinyState())
    return 1000 * (time.perf_counter() - started)
