"""The memory that training a drafter takes, from the configs alone. All sizes are bytes."""

from math import prod

from mlx_model.config.dflash_config import DFlashConfig
from mlx_model.config.model_config import ModelConfig
from mlx_model.memory.footprint import PackingOf, footprint
from mlx_model.train.head import JUDGED_AT_ONCE
from mlx_model.train.steps import DEPTH, SLAB_BYTES
from mlx_model.weights.drafter import drafter_shapes
from mlx_model.weights.layout import Component, mtp_items

_FLOAT32 = 4
"""Bytes of a number."""
_COPIES = 4
"""float32 copies of the layer: weights, Adam's two moments, a batch's gradients."""
_UPDATE_COPIES = 8
"""float32 copies of one slab while it is updated; checked against MLX's peak in tests/mlx_model/memory."""


def fitting_bytes(config: ModelConfig, packing: PackingOf, length: int, float_bytes: int) -> int:
    """The peak: the layer's _COPIES in float32, and the layer in the dtype it is computed in; embedding and
    head as stored; and the larger of a sequence's activations and an update's. `length`: tokens of a
    sequence."""
    layer = [item.parameters for item in mtp_items(config)]
    parts = footprint(config, packing, float_bytes=float_bytes).components
    ends = sum(parts[part].nbytes for part in (Component.EMBEDDING, Component.HEAD) if part in parts)
    copy = sum(layer) * (float_bytes if float_bytes != _FLOAT32 else 0)
    judged = JUDGED_AT_ONCE * config.vocab_size * (4 * float_bytes + 6 * _FLOAT32)
    one_gradient = sum(layer) * float_bytes + DEPTH * _activations(config, length, float_bytes)
    update = _UPDATE_COPIES * min(SLAB_BYTES, _FLOAT32 * max(layer))
    return _COPIES * _FLOAT32 * sum(layer) + ends + max(copy + max(one_gradient, judged), update)


def _activations(config: ModelConfig, length: int, float_bytes: int) -> int:
    """Bytes that one draft at every position keeps for its gradient, and the gradient itself."""
    chosen, hidden = max(config.num_experts_per_tok, 1), config.hidden_size
    inner = config.moe_intermediate_size if config.num_experts else config.intermediate_size
    experts = 2 * chosen * (3 * hidden + 4 * inner)
    queries = config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim
    attention = 2 * (8 * queries + 4 * keys) + 12 * hidden
    scores = 4 * config.num_attention_heads * prod((length, length)) * _FLOAT32
    return length * (experts + attention) * float_bytes + scores


def drafter_fitting_bytes(
    config: ModelConfig, drafter: DFlashConfig, packing: PackingOf, length: int, float_bytes: int
) -> int:
    """The peak of training a DFlash drafter: as `fitting_bytes`, with a sequence's activations of its text and
    of all blocks that lie in it, each of which attends to the whole text."""
    shapes = list(drafter_shapes(drafter).values())
    layer = sum(map(prod, shapes))
    parts = footprint(config, packing, float_bytes=float_bytes).components
    ends = sum(parts[part].nbytes for part in (Component.EMBEDDING, Component.HEAD) if part in parts)
    copy = layer * (float_bytes if float_bytes != _FLOAT32 else 0)
    judged = JUDGED_AT_ONCE * config.vocab_size * (4 * float_bytes + 6 * _FLOAT32)
    keys = 2 * drafter.num_key_value_heads * drafter.head_dim
    queries = drafter.num_attention_heads * drafter.head_dim
    blocks = length // drafter.block_size
    attended = blocks * (length + drafter.block_size)
    scores = 3 * drafter.num_attention_heads * drafter.block_size * attended * _FLOAT32
    token = 2 * (12 * drafter.hidden_size + 3 * drafter.intermediate_size + 4 * queries + 4 * keys)
    layers = drafter.num_hidden_layers * (scores + (2 * keys * attended + length * token) * float_bytes)
    features = 3 * length * len(drafter.target_layer_ids) * drafter.hidden_size * float_bytes
    update = _UPDATE_COPIES * min(SLAB_BYTES, _FLOAT32 * max(map(prod, shapes)))
    activations = layer * float_bytes + layers + features
    return _COPIES * _FLOAT32 * layer + ends + max(copy + max(activations, judged), update)
