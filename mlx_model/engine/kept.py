"""What an engine keeps between requests and starts: states of prefixes, and its own replies as tokens."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from mlx_model.chat.remembered import RememberedReplies
from mlx_model.state.disk.fingerprint import model_fingerprint
from mlx_model.state.disk.folder import REPLIES
from mlx_model.state.disk.tier import DiskLimits, DiskTier
from mlx_model.state.prefix_store import PrefixStore

_MEMORY_SHARE = 16
"""Of the machine's memory, one in so many bytes may hold snapshots: 4 GB of 64."""


def default_cache_folder() -> Path:
    """Where snapshots lie unless the engine is told otherwise; `TIDEGATE_HOME` moves it."""
    home = os.environ.get("TIDEGATE_HOME")
    if home:
        return Path(home).expanduser() / "cache" / "snapshots"
    return Path(platformdirs.user_cache_dir("tidegate", appauthor=False)) / "snapshots"


def default_memory_budget() -> int:
    """Bytes of memory for snapshots."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MEMORY_SHARE


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """`folder` None keeps nothing on disk; `memory` is the budget of snapshots in memory, in bytes."""

    folder: Path | None = field(default_factory=default_cache_folder)
    limits: DiskLimits = field(default_factory=DiskLimits)
    memory: int = field(default_factory=default_memory_budget)


@dataclass(frozen=True, slots=True)
class EngineCache:
    """The caches of one loaded model."""

    store: PrefixStore
    replies: RememberedReplies
    folder: Path | None = None
    """Where what is kept of this model lies on disk."""

    def close(self) -> None:
        """Finish writing."""
        self.store.close()
        self.replies.close()


def open_cache(
    settings: CacheSettings, directory: Path, adapter: Path | None, dtype: str, kv_bits: int | None = None
) -> EngineCache:
    """The caches for the model of a checkpoint directory computed in `dtype`, its keys and values kept in
    `kv_bits` (None: exact). Raises CheckpointError when the
    checkpoint cannot be read; a folder that cannot be used only costs the durable part, and a log line."""
    if settings.folder is None:
        return EngineCache(PrefixStore(settings.memory), RememberedReplies())
    computed = {"dtype": dtype, "kv": f"{kv_bits} bits" if kv_bits else "exact"}
    model = model_fingerprint(directory, adapter, computed)
    description = {"model": str(directory.resolve()), **computed}
    if adapter is not None:
        description["adapter"] = str(adapter.resolve())
    tier = DiskTier(settings.folder, model, description, settings.limits)
    folder = settings.folder / model
    return EngineCache(PrefixStore(settings.memory, tier), RememberedReplies(folder / REPLIES), folder)
