"""The tensor names of each canonical tensor in a checkpoint, whichever form the checkpoint has.

Forms: Hugging Face with one tensor per expert, or with packed experts as newer transformers writes them;
stacked MLX checkpoints (`mlp.switch_mlp.*`); our own fused layout. The form is found out module by module, so
an MTP layer may have another form than the rest.
"""

from collections.abc import Container
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlx_model.config.model_config import ModelConfig
from mlx_model.weights.layout import Projection, Rows

Order = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Source:
    """The names of one matrix in a checkpoint.

    `part`: the rows of the projection that it holds (Rows.name; "" for all). `weights`: its tensor, or one
    tensor per expert. `module`: its path in a `quantization` block. `shape`: of the matrix unpacked, [rows,
    columns] or [experts, rows, columns]. `order`: the stored row of each canonical row; None where the orders
    agree.
    """

    part: str
    module: str
    weights: tuple[str, ...]
    shape: tuple[int, ...]
    order: Order | None = None

    def siblings(self, kind: str) -> tuple[str, ...]:
        """The names of the tensors beside each weight: `scales`, `biases` or `bias`."""
        return tuple(f"{name.removesuffix('.weight')}.{kind}" for name in self.weights)


def locate(config: ModelConfig, projection: Projection, names: Container[str]) -> tuple[Source, ...]:
    """The sources of a projection in canonical row order: one, or one for each of its Rows.

    A source whose tensor is absent is returned under the name of the original checkpoint, so that the caller
    can name what is missing.
    """
    path = projection.path
    if f"{path}.weight" in names or (len(projection.rows) == 1 and not projection.experts):
        return (Source("", path, (f"{path}.weight",), projection.shape),)
    parent, _, name = path.rpartition(".")
    if projection.experts:
        return _experts(projection, parent.removesuffix(".experts"), name, names)
    stored: dict[str, tuple[str, Order | None]]
    if name == "in_proj":
        orders = {"qkvz": _qkvz_order(config), "ba": _ba_order(config)} if config.interleaved else {}
        stored = {part: (f"in_proj_{part}", orders.get(part)) for part, _ in config.linear_in_parts}
    elif name == "qkv_proj":
        stored = {"qg": ("q_proj", _query_gate_order(config)), "k": ("k_proj", None), "v": ("v_proj", None)}
    else:
        stored = {"gate": ("gate_proj", None), "up": ("up_proj", None)}
    return tuple(
        _source(rows, f"{parent}.{stored[rows.name][0]}", projection.columns, stored[rows.name][1])
        for rows in projection.rows
    )


def _source(rows: Rows, module: str, columns: int, order: Order | None) -> Source:
    return Source(rows.name, module, (f"{module}.weight",), (rows.count, columns), order)


def _experts(projection: Projection, mlp: str, name: str, names: Container[str]) -> tuple[Source, ...]:
    packed = f"{mlp}.experts.{name}"
    if packed in names:
        return (Source("", packed, (packed,), projection.shape),)
    sources = []
    for rows in projection.rows:
        part = f"{rows.name}_proj" if rows.name else name
        shape = (projection.experts, rows.count, projection.columns)
        stacked = f"{mlp}.switch_mlp.{part}"
        if f"{stacked}.weight" in names:
            sources.append(Source(rows.name, stacked, (f"{stacked}.weight",), shape))
        else:
            each = tuple(f"{mlp}.experts.{expert}.{part}.weight" for expert in range(projection.experts))
            sources.append(Source(rows.name, f"{mlp}.experts.0.{part}", each, shape))
    return tuple(sources)


def _qkvz_order(config: ModelConfig) -> Order:
    """Stored per key head: its q, its k, then v and z of its value heads. Wanted: all q, all k, all v, all
    z."""
    key, repeat = config.linear_key_head_dim, config.linear_num_value_heads // config.linear_num_key_heads
    value = repeat * config.linear_value_head_dim
    return _by_kind(config.linear_num_key_heads, (key, key, value, value))


def _ba_order(config: ModelConfig) -> Order:
    repeat = config.linear_num_value_heads // config.linear_num_key_heads
    return _by_kind(config.linear_num_key_heads, (repeat, repeat))


def _query_gate_order(config: ModelConfig) -> Order:
    """Stored per head: its query, then its gate. Wanted: all queries, then all gates."""
    return _by_kind(config.num_attention_heads, (config.head_dim, config.head_dim))


def _by_kind(heads: int, sizes: tuple[int, ...]) -> Order:
    stored = np.arange(heads * sum(sizes)).reshape(heads, sum(sizes))
    runs = np.split(stored, np.cumsum(sizes)[:-1], axis=1)
    return np.concatenate([run.reshape(-1) for run in runs])
