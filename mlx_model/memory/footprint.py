"""The size of a model: bytes by component, per token, per context and per snapshot, from the config alone.

All of it is arithmetic on shapes; nothing is measured and no weight is read. Sizes are bytes, unless a name
says GB (1e9 bytes).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod

from mlx_model.config.model_config import ModelConfig, Quantization
from mlx_model.weights.checkpoint import Checkpoint, StoredProjection
from mlx_model.weights.layout import Component, Projection, Rows, Vector, model_items
from mlx_model.weights.packing import packed_shapes
from mlx_model.weights.recipes import Recipe, quantization_for

_NORM_BYTES = 4
"""Bytes of a norm's element, which is float32 in the fused layout."""
_FLOAT_BYTES = 2
"""Bytes of an element of other vectors, scales and states: bfloat16."""


@dataclass(frozen=True, slots=True)
class ComponentFootprint:
    """One component: its weights, those of them that one token passes through, bytes in memory, and bytes read
    for one token."""

    parameters: int = 0
    active_parameters: int = 0
    nbytes: int = 0
    bytes_per_token: int = 0

    def __add__(self, other: "ComponentFootprint") -> "ComponentFootprint":
        return ComponentFootprint(
            self.parameters + other.parameters,
            self.active_parameters + other.active_parameters,
            self.nbytes + other.nbytes,
            self.bytes_per_token + other.bytes_per_token,
        )


@dataclass(frozen=True, slots=True)
class Footprint:
    """The model by component, and what a conversation adds to it."""

    components: Mapping[Component, ComponentFootprint]
    kv_bytes_per_token: int
    """Keys and values of one position in all attention layers."""
    snapshot_bytes: int
    """Recurrent matrices (float32) and convolution windows of all DeltaNet layers, without KV."""

    @property
    def total(self) -> ComponentFootprint:
        """Everything that plain decoding uses: all components but the MTP layer."""
        return sum(
            (value for part, value in self.components.items() if part is not Component.MTP),
            ComponentFootprint(),
        )

    @property
    def mtp(self) -> ComponentFootprint | None:
        """The MTP layer; None where there is none."""
        return self.components.get(Component.MTP)

    def context_bytes(self, tokens: int) -> int:
        """Bytes of a conversation of this length: its KV and its recurrent state."""
        return tokens * self.kv_bytes_per_token + self.snapshot_bytes

    def bytes_per_token(self, context: int) -> int:
        """Memory traffic of decoding one token: active weights and all KV read, the state read and written."""
        return self.total.bytes_per_token + context * self.kv_bytes_per_token + 2 * self.snapshot_bytes

    def roof(self, bandwidth_gb: float, context: int) -> float:
        """Upper bound of tokens per second without drafts, at a memory bandwidth in GB/s."""
        return bandwidth_gb * 1e9 / self.bytes_per_token(context)


PackingOf = Callable[[Projection, Rows], Quantization | None]
"""The packing of some rows of a projection; None: unpacked."""


def recipe_packing(recipe: Recipe) -> PackingOf:
    """The packing that `convert` writes with this recipe."""
    return lambda projection, _: quantization_for(recipe, projection)


def unpacked(_projection: Projection, _rows: Rows) -> None:
    """The packing of weights that are all floats."""


def stored_packing(checkpoint: Checkpoint) -> PackingOf:
    """The packing of a checkpoint."""
    packing = {
        (item.projection.path, matrix.source.part): matrix.quantization
        for item in checkpoint.stored
        if isinstance(item, StoredProjection)
        for matrix in item.matrices
    }

    def packing_of(projection: Projection, rows: Rows) -> Quantization | None:
        whole = (projection.path, "")
        return packing[whole if whole in packing else (projection.path, rows.name)]

    return packing_of


def footprint(
    config: ModelConfig, packing: PackingOf, *, mtp: bool = False, float_bytes: int = _FLOAT_BYTES
) -> Footprint:
    """The footprint of a model, its MTP layer included if `mtp`. `float_bytes`: of an element of unpacked
    matrices, scales, KV and convolution windows (2 for bfloat16)."""
    parts: dict[Component, ComponentFootprint] = {}
    for item in model_items(config, mtp=mtp):
        part = Component.MTP if item.mtp else item.component
        size = (
            _projection(config, item, packing, float_bytes) if isinstance(item, Projection) else _vector(item)
        )
        parts[part] = parts.get(part, ComponentFootprint()) + size
    if config.tie_word_embeddings:
        parts[Component.HEAD] = _tied_head(parts[Component.EMBEDDING])
    attention = sum(kind == "full_attention" for kind in config.layer_types)
    kv = 2 * config.num_key_value_heads * config.head_dim * float_bytes * attention
    recurrent = 4 * config.linear_num_value_heads * config.linear_value_head_dim * config.linear_key_head_dim
    window = (config.linear_conv_kernel_dim - 1) * config.conv_dim * float_bytes
    return Footprint(parts, kv, (recurrent + window) * (config.num_hidden_layers - attention))


def slot_bytes(
    config: ModelConfig, packing: PackingOf, *, mtp: bool = False, float_bytes: int = _FLOAT_BYTES
) -> int:
    """Bytes of one expert of every layer together."""
    return sum(
        _projection(config, item, packing, float_bytes).nbytes // item.experts
        for item in model_items(config, mtp=mtp)
        if isinstance(item, Projection) and item.experts
    )


def _projection(
    config: ModelConfig, item: Projection, packing: PackingOf, float_bytes: int
) -> ComponentFootprint:
    banks = max(item.experts, 1)
    shapes = ((banks, rows.count, item.columns) for rows in item.rows)
    nbytes = sum(
        packed_bytes(shape, packing(item, rows), float_bytes)
        for shape, rows in zip(shapes, item.rows, strict=True)
    ) + (item.row_count * float_bytes if item.bias else 0)
    active, read = item.parameters, nbytes
    if item.component is Component.EMBEDDING:
        # A token reads one row; the whole table is read only where it is also the head.
        active, read = item.columns, nbytes // item.row_count
    elif item.experts:
        active = item.parameters * config.num_experts_per_tok // item.experts
        read = nbytes * config.num_experts_per_tok // item.experts
    return ComponentFootprint(item.parameters, active, nbytes, read)


def _vector(item: Vector) -> ComponentFootprint:
    nbytes = item.parameters * (_NORM_BYTES if item.offset_norm else _FLOAT_BYTES)
    return ComponentFootprint(item.parameters, item.parameters, nbytes, nbytes)


def _tied_head(embedding: ComponentFootprint) -> ComponentFootprint:
    return ComponentFootprint(0, embedding.parameters, 0, embedding.nbytes)


def packed_bytes(shape: Iterable[int], packing: Quantization | None, float_bytes: int = _FLOAT_BYTES) -> int:
    """Bytes of a matrix of this logical shape, packed or in floats of `float_bytes`."""
    shape = tuple(shape)
    if packing is None:
        return prod(shape) * float_bytes
    sizes = {"weight": 4, "scales": float_bytes if packing.mode == "affine" else 1, "biases": float_bytes}
    return sum(prod(part) * sizes[kind] for kind, part in packed_shapes(shape, packing).items())
