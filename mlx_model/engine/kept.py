"""The caches of a loaded model: states of prefixes, and replies as tokens, in memory and on disk."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from mlx_model.chat.remembered import RememberedReplies
from mlx_model.memory.device import blas_in_use
from mlx_model.state.disk.fingerprint import model_fingerprint
from mlx_model.state.disk.folder import REPLIES
from mlx_model.state.disk.tier import DiskLimits, DiskTier
from mlx_model.state.prefix_store import PrefixStore

_MEMORY_SHARE = 16
"""Snapshots take at most one sixteenth of the machine's memory: 4 GB of 64."""


def default_cache_folder() -> Path:
    """The default folder of snapshots: under the user's cache folder, or under `TIDEGATE_HOME` where it is
    set."""
    home = os.environ.get("TIDEGATE_HOME")
    if home:
        return Path(home).expanduser() / "cache" / "snapshots"
    return Path(platformdirs.user_cache_dir("tidegate", appauthor=False)) / "snapshots"


def default_memory_budget() -> int:
    """The default bytes of snapshots in memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MEMORY_SHARE


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """`folder`: of snapshots on disk, None for none; `memory`: bytes of snapshots in memory."""

    folder: Path | None = field(default_factory=default_cache_folder)
    limits: DiskLimits = field(default_factory=DiskLimits)
    memory: int = field(default_factory=default_memory_budget)


@dataclass(frozen=True, slots=True)
class EngineCache:
    """The caches of one loaded model."""

    store: PrefixStore
    replies: RememberedReplies
    folder: Path | None = None
    """This model's folder on disk; None where nothing is kept on disk."""

    def close(self) -> None:
        """Finishes writing and closes the database of replies."""
        self.store.close()
        self.replies.close()


def open_cache(settings: CacheSettings, directory: Path, dtype: str, kv_bits: int | None = None) -> EngineCache:
    """The caches of a checkpoint's model, computed in `dtype` with keys and values at `kv_bits` (None: exact).
    A folder that cannot be used costs the durable tier, and a log line. Raises CheckpointError when the
    checkpoint cannot be read."""
    if settings.folder is None:
        return EngineCache(PrefixStore(settings.memory), RememberedReplies())
    computed = {"dtype": dtype, "kv": f"{kv_bits} bits" if kv_bits else "exact"}
    blas = blas_in_use()
    if blas is not None:
        computed["blas"] = blas.name
    model = model_fingerprint(directory, computed)
    description = {"model": str(directory.resolve()), **computed}
    tier = DiskTier(settings.folder, model, description, settings.limits)
    folder = settings.folder / model
    return EngineCache(PrefixStore(settings.memory, tier), RememberedReplies(folder / REPLIES), folder)
