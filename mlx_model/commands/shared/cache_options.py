"""The cache options of subcommands that keep states between requests and between starts."""

import argparse
from pathlib import Path

from mlx_model.config.family import ARCHITECTURES
from mlx_model.config.model_config import ModelConfig, architecture
from mlx_model.engine.kept import CacheSettings, EngineCache, default_cache_folder, open_cache
from mlx_model.errors import RequestError
from mlx_model.memory.device import default_dtype
from mlx_model.state.disk.tier import DiskLimits


def add_cache(parser: argparse.ArgumentParser) -> None:
    """--cache, --no-disk-cache, --disk-cache-gb, --snapshot-memory-gb."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--cache", type=Path, metavar="DIR", help="folder for snapshots (default: the user's cache folder)"
    )
    where.add_argument("--no-disk-cache", action="store_true", help="keep snapshots in memory only")
    parser.add_argument(
        "--disk-cache-gb",
        type=float,
        default=DiskLimits().cap / 1e9,
        metavar="N",
        help="what snapshots of all models may take on disk (default: %(default)g GB)",
    )
    parser.add_argument(
        "--snapshot-memory-gb",
        type=float,
        metavar="N",
        help="what snapshots may take in memory (default: what there is room for, up to a sixteenth)",
    )


def snapshot_memory(arguments: argparse.Namespace) -> int | None:
    """The bytes of memory that the user gives snapshots; None where the option is left out. Raises
    RequestError."""
    memory: float | None = arguments.snapshot_memory_gb
    if arguments.disk_cache_gb < 0 or (memory is not None and memory < 0):
        raise RequestError("A cache's size is a number of GB, 0 or more.")
    return None if memory is None else int(memory * 1e9)


def open_engine_cache(arguments: argparse.Namespace, memory: int) -> EngineCache:
    """The caches for the model that the options of `options.add_model` and `add_cache` name, with `memory`
    bytes for snapshots in memory. Raises EngineError."""
    # The state of a model that mlx-lm runs cannot be snapshotted: only the replies' tokens are kept.
    ours = architecture(arguments.model) in ARCHITECTURES
    on_disk = ours and not arguments.no_disk_cache
    settings = CacheSettings(
        folder=(arguments.cache or default_cache_folder()) if on_disk else None,
        limits=DiskLimits(cap=int(arguments.disk_cache_gb * 1e9), pending=min(memory, DiskLimits().pending)),
        memory=memory,
    )
    dtype = arguments.dtype
    if dtype is None and ours:
        dtype = default_dtype(ModelConfig.from_directory(arguments.model).dtype)
    return open_cache(settings, arguments.model, dtype or "", arguments.kv_bits)
