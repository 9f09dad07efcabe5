"""The reserves that an engine releases under memory pressure, in their order."""

from collections.abc import Callable

import mlx.core as mx

from mlx_model.engine.adapters import Adapters
from mlx_model.memory.machine import Pressure, available_bytes
from mlx_model.memory.relief import Reserve
from mlx_model.state.prefix_store import PrefixStore
from mlx_model.weights.experts.residency import Residency

_SLOTS_KEPT = 0.75
"""The share of the expert slots that is left by one release."""


def engine_reserves(
    store: PrefixStore | None,
    residency: Residency | None,
    available: Callable[[], int] = available_bytes,
    adapters: Adapters | None = None,
) -> list[Reserve]:
    """MLX's cached buffers; adapters that are not on; snapshots in memory (which are on disk too); and, under
    critical pressure only, expert slots, down to those that one token needs. Slots are restored where twice
    their bytes are `available`."""
    reserves = [Reserve("free buffers", release_buffers)]
    if adapters is not None:
        reserves.append(Reserve("adapters", adapters.drop_idle))
    if store is not None:
        reserves.append(Reserve("snapshots", lambda: _measured(store, lambda: store.shrink(0))))
    if residency is not None:

        def fewer() -> int:
            before = residency.nbytes
            residency.resize(max(residency.least_slots, int(residency.slots * _SLOTS_KEPT)))
            return before - residency.nbytes

        most = residency.slots

        def more() -> int:
            before, slots = residency.nbytes, residency.slots
            wanted = min(most, slots + available() // (2 * before // slots))
            if wanted < min(most, slots / _SLOTS_KEPT) or wanted == slots:
                return 0
            residency.resize(wanted)
            return residency.nbytes - before

        reserves.append(Reserve("experts", fewer, Pressure.CRITICAL, more))
    return reserves


def release_buffers() -> int:
    """Frees MLX's cached buffers; returns their bytes."""
    nbytes = mx.get_cache_memory()
    mx.clear_cache()
    return nbytes


def _measured(store: PrefixStore, shrink: Callable[[], None]) -> int:
    before = store.memory_bytes
    shrink()
    return before - store.memory_bytes
