"""An adapter (LoRA or DoRA) as mlx-lm writes it, turned into updates of canonical projections.

mlx-lm trains over its own module tree, so an adapter names q_proj, in_proj_qkvz, switch_mlp.gate_proj and so
on. Several of those make up one canonical projection; their updates are joined into one, `lora_a` side by side
and `lora_b` as diagonal blocks, rows in canonical order. The form of the checkpoint's weights does not matter.

DoRA has a magnitude `m` [rows] beside them. mlx-lm has none for banks of experts; ours is [experts, rows].
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx

from mlx_model.config.family import text_name
from mlx_model.config.model_config import ModelConfig, read_json_object
from mlx_model.errors import CheckpointError, ConfigError
from mlx_model.weights.layout import Projection, model_items
from mlx_model.weights.names import Source, locate
from mlx_model.weights.safetensors import FLOAT_TYPES, TensorEntry, TensorReader, read_header

_FILE = "adapters.safetensors"
_CONFIG = "adapter_config.json"
ADAPTER_FILES = (_CONFIG, _FILE)
"""The files that an adapter consists of."""
_KINDS = {"lora": ("lora_a", "lora_b"), "dora": ("lora_a", "lora_b", "m")}
"""The tensors of an adapted module, by mlx-lm's fine_tune_type."""


@dataclass(frozen=True, slots=True)
class Update:
    """An adapter's matrices for one projection in float32, with a leading axis of experts for a bank: `a` [in,
    rank], `b` [rank, out] with the scale in it, and, of DoRA, the `magnitude` [out] of each row, NaN for rows
    that the adapter leaves alone."""

    a: mx.array
    b: mx.array
    magnitude: mx.array | None = None


def is_adapter(directory: Path) -> bool:
    """Whether a directory looks like an adapter."""
    return all((directory / name).is_file() for name in ADAPTER_FILES)


def read_adapter(directory: Path, config: ModelConfig) -> dict[str, Update]:
    """The update of every projection that the adapter changes, by canonical path.

    Raises CheckpointError or ConfigError, naming the tensor or field that does not fit.
    """
    scale, kinds = _kind(directory)
    entries = _entries(directory)
    used: set[str] = set()
    found: dict[str, Update] = {}
    with TensorReader() as reader:
        stored = _Stored(entries, kinds, reader)
        for item in model_items(config, mtp=False):
            if not isinstance(item, Projection) or item.path == "model.embed_tokens":
                continue
            parts = list(_parts(item, config, stored))
            if not parts:
                continue
            used.update(f"{part.source.module}.{kind}" for part in parts for kind in kinds)
            update = found[item.path] = _joined(item, parts, scale)
            mx.eval([array for array in (update.a, update.b, update.magnitude) if array is not None])
    unknown = sorted(set(entries) - used)
    if unknown:
        raise CheckpointError(
            f"{directory / _FILE}: the model has nothing that the tensor {unknown[0][:120]} could update."
        )
    return found


def adapter_bytes(directory: Path, config: ModelConfig, float_bytes: int) -> int:
    """What the adapter's updates take in memory, in floats of so many bytes, from its header alone; of one made
    for another model, those that fit this one. Raises CheckpointError or ConfigError."""
    _, kinds = _kind(directory)
    entries = _entries(directory)
    modules = {name.rpartition(".")[0] for name in entries}
    weights = {f"{module}.weight" for module in modules}
    numbers = 0
    for item in model_items(config, mtp=False):
        if not isinstance(item, Projection):
            continue
        stored = [entries.get(f"{source.module}.lora_a") for source in locate(config, item, weights)]
        shapes = [tuple(entry.shape) for entry in stored if entry is not None]
        if item.experts:
            rank = sum(shape[1] for shape in shapes if shape[::2] == (item.experts, item.columns))
        else:
            rank = sum(shape[1] for shape in shapes if shape[:1] == (item.columns,) and len(shape) == 2)
        if rank:
            gain = item.row_count if "m" in kinds else 0
            numbers += max(item.experts, 1) * (rank * (item.columns + item.row_count) + gain)
    return float_bytes * numbers


@dataclass(frozen=True, slots=True)
class _Part:
    """The update of part of a projection: a [.., in, rank], b [.., rank, rows], m [.., rows]."""

    source: Source
    a: mx.array
    b: mx.array
    m: mx.array | None


class _Stored:
    """The tensors of an adapter on disk; each adapted module has one of each of the `kinds`."""

    def __init__(
        self, entries: Mapping[str, TensorEntry], kinds: tuple[str, ...], reader: TensorReader
    ) -> None:
        self._entries = entries
        self._kinds = kinds
        self._reader = reader
        self.modules = {name.rpartition(".")[0] for name in entries}

    def read(self, module: str) -> dict[str, mx.array]:
        """A module's tensors by kind, in float32. Raises CheckpointError."""
        found = {kind: _float_entry(self._entries, f"{module}.{kind}") for kind in self._kinds}
        return {kind: self._reader.read(entry).astype(mx.float32) for kind, entry in found.items()}

    def shape(self, module: str, kind: str) -> list[int]:
        """A tensor's shape as it is stored."""
        return list(self._entries[f"{module}.{kind}"].shape)


def _parts(item: Projection, config: ModelConfig, stored: _Stored) -> Iterator[_Part]:
    for source in locate(config, item, {f"{module}.weight" for module in stored.modules}):
        if source.module not in stored.modules:
            continue
        found = stored.read(source.module)
        if item.experts:
            # For a bank, mlx-lm stores both the other way round.
            for kind in ("lora_a", "lora_b"):
                found[kind] = found[kind].swapaxes(-1, -2) if found[kind].ndim == 3 else found[kind]
        *bank, rows, columns = source.shape
        rank = found["lora_a"].shape[-1] if found["lora_a"].ndim else 0
        shapes = {"lora_a": (*bank, columns, rank), "lora_b": (*bank, rank, rows), "m": (*bank, rows)}
        for kind, array in found.items():
            if array.shape != shapes[kind]:
                raise CheckpointError(
                    f"The adapter's tensor {source.module}.{kind} has shape "
                    f"{stored.shape(source.module, kind)}, which does not fit a projection of {columns} inputs "
                    f"and {rows} outputs."
                )
            if source.order is not None and kind != "lora_a":
                found[kind] = mx.take(array, mx.array(source.order.astype("uint32")), axis=-1)
        yield _Part(source, found["lora_a"], found["lora_b"], found.get("m"))


def _joined(item: Projection, parts: list[_Part], scale: float) -> Update:
    by_name = {part.source.part: part for part in parts}
    if "" in by_name:
        (part,) = parts
        return Update(part.a, scale * part.b, part.m)
    a = mx.concatenate([part.a for part in parts], axis=-1)
    leading, rank = a.shape[:-2], a.shape[-1]
    blocks, magnitudes = [], []
    above = 0
    for rows in item.rows:
        found = by_name.get(rows.name)
        if found is None:
            blocks.append(mx.zeros((*leading, rank, rows.count)))
        else:
            own = found.b.shape[-2]
            widths = [(0, 0)] * len(leading) + [(above, rank - above - own), (0, 0)]
            blocks.append(mx.pad(scale * found.b, widths))
            above += own
        known = None if found is None else found.m
        magnitudes.append(mx.full((*leading, rows.count), float("nan")) if known is None else known)
    has_magnitudes = any(part.m is not None for part in parts)
    return Update(
        a, mx.concatenate(blocks, axis=-1), mx.concatenate(magnitudes, axis=-1) if has_magnitudes else None
    )


def _entries(directory: Path) -> dict[str, TensorEntry]:
    """The adapter's tensors on disk, by their names in a text model."""
    file = directory / _FILE
    if not file.exists():
        raise CheckpointError(f"{directory} has no {_FILE}: it is not an adapter directory.")
    return {text_name(name) or name: entry for name, entry in read_header(file).entries.items()}


def _float_entry(entries: Mapping[str, TensorEntry], name: str) -> TensorEntry:
    entry = entries.get(name)
    if entry is None:
        raise CheckpointError(f"The adapter lacks the tensor {name}.")
    if entry.type not in FLOAT_TYPES:
        raise CheckpointError(f"The adapter's tensor {name} has type {entry.type}, which is no float.")
    return entry


def _kind(directory: Path) -> tuple[float, tuple[str, ...]]:
    """The adapter's scale, and the kinds of tensors that it has for a module."""
    path = directory / _CONFIG
    if not path.exists():
        raise CheckpointError(f"{directory} has no {_CONFIG}: it is not an adapter directory.")
    config = read_json_object(path)
    kind = config.get("fine_tune_type", "lora")
    if kind not in _KINDS:
        raise ConfigError(f"{path}: fine_tune_type is {kind!r}; this engine takes LoRA and DoRA adapters.")
    parameters = config.get("lora_parameters")
    scale = parameters.get("scale") if isinstance(parameters, dict) else None
    if not isinstance(scale, int | float) or isinstance(scale, bool):
        raise ConfigError(f"{path}: lora_parameters.scale is {scale!r}; it must be a number.")
    return float(scale), _KINDS[kind]
