"""A LoRA adapter as mlx-lm trains it, turned into low-rank updates of canonical projections.

mlx-lm trains over its own module tree, so an adapter names q_proj, in_proj_qkvz, switch_mlp.gate_proj and so
on. Several of those make up one canonical projection; their updates are joined into one, `lora_a` side by side
and `lora_b` as diagonal blocks, rows in canonical order. The form of the checkpoint's weights does not matter.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import mlx.core as mx

from mlx_model.config.family import text_name
from mlx_model.config.model_config import ModelConfig, read_json_object
from mlx_model.errors import CheckpointError, ConfigError
from mlx_model.weights.layout import Projection, model_items
from mlx_model.weights.names import Source, locate
from mlx_model.weights.safetensors import FLOAT_TYPES, TensorEntry, TensorReader, read_header

_FILE = "adapters.safetensors"


def read_adapter(directory: Path, config: ModelConfig) -> dict[str, mx.array]:
    """`PATH.lora_a` [in, rank] and `PATH.lora_b` [rank, out] in float32 for every projection that the adapter
    updates, with a leading axis of experts for a bank; the scale is in `lora_b`.

    Raises CheckpointError or ConfigError, naming the tensor or field that does not fit.
    """
    scale = _scale(directory)
    if not (directory / _FILE).exists():
        raise CheckpointError(f"{directory} has no {_FILE}: it is not an adapter directory.")
    entries = {text_name(name) or name: entry for name, entry in read_header(directory / _FILE).entries.items()}
    modules = {name.rpartition(".")[0] for name in entries}
    used: set[str] = set()
    tensors: dict[str, mx.array] = {}
    with TensorReader() as reader:
        for item in model_items(config, mtp=False):
            if not isinstance(item, Projection) or item.path == "model.embed_tokens":
                continue
            updates = list(_updates(item, config, modules, entries, reader))
            if not updates:
                continue
            used.update(f"{source.module}.{kind}" for source, _, _ in updates for kind in ("lora_a", "lora_b"))
            a, b = _joined(item, updates)
            tensors[f"{item.path}.lora_a"], tensors[f"{item.path}.lora_b"] = a, scale * b
            mx.eval(tensors[f"{item.path}.lora_a"], tensors[f"{item.path}.lora_b"])
    unknown = sorted(set(entries) - used)
    if unknown:
        raise CheckpointError(
            f"{directory / _FILE}: the model has nothing that the tensor {unknown[0][:120]} could update."
        )
    return tensors


_Update = tuple[Source, mx.array, mx.array]


def _updates(
    item: Projection,
    config: ModelConfig,
    modules: set[str],
    entries: Mapping[str, TensorEntry],
    reader: TensorReader,
) -> Iterator[_Update]:
    """The adapter's updates of parts of one projection: a [.., in, rank] and b [.., rank, rows]."""
    for source in locate(config, item, {f"{module}.weight" for module in modules}):
        if source.module not in modules:
            continue
        a = reader.read(_float_entry(entries, f"{source.module}.lora_a")).astype(mx.float32)
        b = reader.read(_float_entry(entries, f"{source.module}.lora_b")).astype(mx.float32)
        if item.experts:
            # For a bank, mlx-lm stores both the other way round.
            a, b = (array.swapaxes(-1, -2) if array.ndim == 3 else array for array in (a, b))
        *bank, rows, columns = source.shape
        rank = a.shape[-1] if a.ndim else 0
        for name, array, shape in (("lora_a", a, (*bank, columns, rank)), ("lora_b", b, (*bank, rank, rows))):
            if array.shape != shape:
                stored = entries[f"{source.module}.{name}"].shape
                raise CheckpointError(
                    f"The adapter's tensor {source.module}.{name} has shape {list(stored)}, which does not "
                    f"fit a projection of {columns} inputs and {rows} outputs."
                )
        if source.order is not None:
            b = mx.take(b, mx.array(source.order.astype("uint32")), axis=-1)
        yield source, a, b


def _joined(item: Projection, updates: list[_Update]) -> tuple[mx.array, mx.array]:
    a = mx.concatenate([a for _, a, _ in updates], axis=-1)
    by_part = {source.part: b for source, _, b in updates}
    blocks, below = [], a.shape[-1]
    above = 0
    for rows in item.rows if "" not in by_part else ():
        b = by_part.get(rows.name)
        if b is None:
            blocks.append(mx.zeros((*a.shape[:-2], a.shape[-1], rows.count)))
            continue
        below -= b.shape[-2]
        widths = [(0, 0)] * (b.ndim - 2) + [(above, below), (0, 0)]
        blocks.append(mx.pad(b, widths))
        above += b.shape[-2]
    return a, by_part[""] if "" in by_part else mx.concatenate(blocks, axis=-1)


def _float_entry(entries: Mapping[str, TensorEntry], name: str) -> TensorEntry:
    entry = entries.get(name)
    if entry is None:
        raise CheckpointError(f"The adapter lacks the tensor {name}.")
    if entry.type not in FLOAT_TYPES:
        raise CheckpointError(f"The adapter's tensor {name} has type {entry.type}, which is no float.")
    return entry


def _scale(directory: Path) -> float:
    path = directory / "adapter_config.json"
    if not path.exists():
        raise CheckpointError(f"{directory} has no adapter_config.json: it is not an adapter directory.")
    config = read_json_object(path)
    kind = config.get("fine_tune_type", "lora")
    if kind != "lora":
        raise ConfigError(f"{path}: fine_tune_type is {kind!r}; this engine takes LoRA adapters.")
    parameters = config.get("lora_parameters")
    scale = parameters.get("scale") if isinstance(parameters, dict) else None
    if not isinstance(scale, int | float) or isinstance(scale, bool):
        raise ConfigError(f"{path}: lora_parameters.scale is {scale!r}; it must be a number.")
    return float(scale)
