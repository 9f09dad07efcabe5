"""What computing a block of tokens holds beside weights and states, from the config alone.

Layers run one after the other and MLX frees what is done with, so the largest layer counts, not their sum. The
factors are those of the code in `layers/`, held against mx.get_peak_memory() in tests/mlx_model/memory.
"""

from dataclasses import dataclass

from mlx_model.config.model_config import ModelConfig

_FLOAT32 = 4


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """What activations are made of: bytes an element, and whether the device runs the DeltaNet recurrence one
    step after the other (MLX's fallback on a CPU, which keeps the state after every step until the end)."""

    float_bytes: int = 2
    stepwise: bool = False


def block_bytes(
    config: ModelConfig,
    tokens: int,
    context: int,
    arithmetic: Arithmetic,
    *,
    kv_bits: int | None = None,
    all_logits: bool = False,
) -> int:
    """The peak of computing `tokens` more tokens of a sequence that then has `context`; `all_logits`: with the
    logits of each of them, as scoring does, not only of the last."""
    mixing = [
        _delta_net(config, tokens, arithmetic)
        if config.is_linear(layer)
        else _attention(config, tokens, context, arithmetic, kv_bits)
        for layer in {kind: index for index, kind in enumerate(config.layer_types)}.values()
    ]
    rows = tokens if all_logits else 1
    # The logits in the dtype of activations, in float32, and what sampling or scoring makes of them.
    logits = rows * config.vocab_size * (arithmetic.float_bytes + 2 * _FLOAT32)
    residual = 3 * tokens * config.hidden_size * arithmetic.float_bytes
    return max(*mixing, _experts(config, tokens, arithmetic), logits) + residual


def _experts(config: ModelConfig, tokens: int, arithmetic: Arithmetic) -> int:
    """Each token's row once for every expert it goes to: as input, as output, and back in the order of
    tokens."""
    if not config.num_experts:
        return 3 * tokens * config.intermediate_size * arithmetic.float_bytes
    return 3 * tokens * config.num_experts_per_tok * config.hidden_size * arithmetic.float_bytes


def _delta_net(config: ModelConfig, tokens: int, arithmetic: Arithmetic) -> int:
    """What the input projection gives, the convolution's input and output, and queries, keys and values in
    float32 while they are normalized."""
    projected = config.conv_dim + config.linear_value_dim + 2 * config.linear_num_value_heads
    token = projected * arithmetic.float_bytes + config.conv_dim * (2 * arithmetic.float_bytes + 3 * _FLOAT32)
    matrix = (
        _FLOAT32 * config.linear_num_value_heads * config.linear_value_head_dim * config.linear_key_head_dim
    )
    states = 6 + (tokens if arithmetic.stepwise else 0)
    return tokens * token + states * matrix


def _attention(
    config: ModelConfig, tokens: int, context: int, arithmetic: Arithmetic, kv_bits: int | None
) -> int:
    """Scores of every head: MLX has no fused kernel for many queries of 256 dimensions. And the buffer of keys,
    which is copied when it grows, or keys and values unpacked."""
    queries = config.num_attention_heads * config.head_dim
    keys = config.num_key_value_heads * config.head_dim
    scores = config.num_attention_heads * tokens * context * arithmetic.float_bytes + tokens * context
    projected = tokens * (4 * queries + 4 * keys) * arithmetic.float_bytes
    buffers = (1 if kv_bits is None else 2) * context * keys * arithmetic.float_bytes
    return scores + projected + buffers
