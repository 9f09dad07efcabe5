"""Bytes of activations while a block of tokens is computed, from the config alone.

Layers run one after the other (see `model.Pace`) and MLX frees finished buffers, so the largest layer counts,
not the sum of all; and where its halves run one after the other, on a CPU and for long blocks on a GPU, the
larger half. The factors follow the code in `layers/` and are
checked against mx.get_peak_memory() in tests/mlx_model/memory.
"""

from dataclasses import dataclass

from mlx_model.config.model_config import ModelConfig
from mlx_model.state.sizes import HALVED_BLOCK, SCORES_LIMIT

_FLOAT32 = 4
"""Bytes of a number."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`float_bytes`: bytes of an activation's element. `stepwise`: whether the DeltaNet recurrence runs step by
    step, as MLX's fallback on a CPU does, which keeps the state after every step until the end. `by_blas`:
    whether a fast BLAS multiplies on a CPU, where the recurrence runs in chunks (layers.delta_products), norms
    are products, and the rows of one expert are multiplied together.
    `fused_attention`: whether large scores are never held (see state.fused_attention).
    `whole_layers`: whether all buffers of a layer are held until it is done, as on a GPU, which gets its work
    in batches; blocks of HALVED_BLOCK tokens or more excepted."""

    float_bytes: int = 2
    stepwise: bool = False
    by_blas: bool = False
    fused_attention: bool = False
    whole_layers: bool = False

    @property
    def on_cpu(self) -> bool:
        """Whether elementwise operations each have a result of their own."""
        return self.stepwise or self.by_blas


def block_bytes(
    config: ModelConfig,
    tokens: int,
    context: int,
    arithmetic: Arithmetic,
    *,
    kv_bits: int | None = None,
    all_logits: bool = False,
) -> int:
    """The peak in bytes of computing a block of `tokens` tokens at the end of a sequence of `context` tokens.
    `all_logits`: the logits of all of them are computed, as in scoring, not only the last token's."""
    mixing = [
        _delta_net(config, tokens, arithmetic)
        if config.is_linear(layer)
        else _attention(config, tokens, context, arithmetic, kv_bits)
        for layer in {kind: index for index, kind in enumerate(config.layer_types)}.values()
    ]
    rows = tokens if all_logits else 1
    # Logits in the dtype of activations, in float32, and one float32 copy in sampling or scoring.
    logits = rows * config.vocab_size * (arithmetic.float_bytes + 2 * _FLOAT32)
    residual = 3 * tokens * config.hidden_size * arithmetic.float_bytes
    experts = _experts(config, tokens, arithmetic)
    if arithmetic.by_blas:
        # What the layer before gave is still held.
        return max(max(mixing) + _rows(config, tokens, arithmetic), experts, logits) + residual
    if arithmetic.whole_layers and tokens < HALVED_BLOCK:
        return max(max(mixing) + experts, logits) + residual
    return max(*mixing, experts, logits) + residual


def _rows(config: ModelConfig, tokens: int, arithmetic: Arithmetic) -> int:
    """A token's row for each of its experts; of a dense network, the row of gate and up twice."""
    if not config.num_experts:
        return 4 * tokens * config.intermediate_size * arithmetic.float_bytes
    return tokens * config.num_experts_per_tok * config.hidden_size * arithmetic.float_bytes


def _experts(config: ModelConfig, tokens: int, arithmetic: Arithmetic) -> int:
    """The rows three times: input, output, and output in the order of tokens. By groups of one expert's rows,
    each group's beside all of them as one, while gate and up are computed or while the outputs are."""
    rows = _rows(config, tokens, arithmetic)
    if not config.num_experts:
        return rows if arithmetic.by_blas else 3 * rows // 4
    if not arithmetic.by_blas:
        return 3 * rows
    inner = 2 * tokens * config.num_experts_per_tok * config.moe_intermediate_size * arithmetic.float_bytes
    shared = 2 * tokens * config.shared_expert_intermediate_size * arithmetic.float_bytes
    return max(rows + 17 * inner // 4, inner // 2 + 9 * rows // 2) + 3 * shared // 2


def _delta_net(config: ModelConfig, tokens: int, arithmetic: Arithmetic) -> int:
    """The input projection's result, the convolution's input and output, and queries, keys and values in
    float32 while they are normalized."""
    projected = config.conv_dim + config.linear_value_dim + 2 * config.linear_num_value_heads
    token = projected * arithmetic.float_bytes
    matrix = (
        _FLOAT32 * config.linear_num_value_heads * config.linear_value_head_dim * config.linear_key_head_dim
    )
    states = 6 + (tokens if arithmetic.stepwise else 0)
    if arithmetic.by_blas:
        # Queries, keys and values of every value head, as they are, faded, and solved for.
        head = 4 * (config.linear_key_head_dim + config.linear_value_head_dim)
        token += _FLOAT32 * (4 * config.conv_dim + config.linear_num_value_heads * head)
    else:
        token += config.conv_dim * (2 * arithmetic.float_bytes + 3 * _FLOAT32)
    return tokens * token + states * matrix


def _attention(
    config: ModelConfig, tokens: int, context: int, arithmetic: Arithmetic, kv_bits: int | None
) -> int:
    """The scores of all heads, which MLX's kernel for many queries of 256 dimensions holds where it is not
    forced to be fused; the projections, and on a CPU eight times the rows that are normalized and rotated, of
    queries, gates and keys; and a copy of the buffer of keys, which grows by copying, or of unpacked keys and
    values."""
    queries = config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim
    scores = config.num_attention_heads * tokens * context * arithmetic.float_bytes + tokens * context
    if arithmetic.fused_attention:
        scores = min(scores, SCORES_LIMIT)
    rows = 8 * (2 * queries + keys) + 2 * (queries + keys) if arithmetic.on_cpu else 4 * (queries + keys)
    projected = tokens * rows * arithmetic.float_bytes
    buffers = (1 if kv_bits is None else 2) * context * keys * arithmetic.float_bytes
    return scores + projected + buffers
