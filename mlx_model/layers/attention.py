"""Gated full attention: grouped queries, RMS-normalized queries and keys, partial rotary embedding, and a
sigmoid gate on the output (arXiv 2505.06708)."""

import mlx.core as mx

from mlx_model.config.model_config import ModelConfig
from mlx_model.layers.elementwise import scaled_by_sigmoid
from mlx_model.layers.norms import RMSNorm
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import Linear
from mlx_model.layers.rotary import Rotary
from mlx_model.state.kv import KVBuffer


class GatedAttention:
    """Parameters under `self_attn`."""

    def __init__(self, config: ModelConfig, parameters: Parameters, rotary: Rotary) -> None:
        self.heads = config.num_attention_heads
        self.kv_heads = config.num_key_value_heads
        self.head_dim = config.head_dim
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        self.splits = [queries, 2 * queries, 2 * queries + keys]
        bias = config.attention_bias
        self.qkv_proj = Linear(
            parameters.scope("qkv_proj"),
            2 * (queries + keys),
            config.hidden_size,
            [("qg", 2 * queries), ("k", keys), ("v", keys)],
            bias=bias,
        )
        self.o_proj = Linear(parameters.scope("o_proj"), config.hidden_size, queries, bias=bias)
        self.q_norm = RMSNorm(parameters.scope("q_norm"), self.head_dim, config.rms_norm_eps)
        self.k_norm = RMSNorm(parameters.scope("k_norm"), self.head_dim, config.rms_norm_eps)
        self.rotary = rotary

    def __call__(self, x: mx.array, kv: KVBuffer) -> mx.array:
        """x [1, tokens, hidden] → the same shape; the tokens' keys and values are appended to `kv`."""
        tokens = x.shape[1]
        queries, gate, keys, values = mx.split(self.qkv_proj(x), self.splits, axis=-1)
        queries = self.q_norm(queries.reshape(1, tokens, self.heads, self.head_dim)).swapaxes(1, 2)
        keys = self.k_norm(keys.reshape(1, tokens, self.kv_heads, self.head_dim)).swapaxes(1, 2)
        values = values.reshape(1, tokens, self.kv_heads, self.head_dim).swapaxes(1, 2)
        queries = self.rotary(queries, kv.length)
        keys = self.rotary(keys, kv.length)
        output = kv.attend(queries, keys, values, self.head_dim**-0.5)
        output = output.swapaxes(1, 2).reshape(1, tokens, -1)
        return self.o_proj(scaled_by_sigmoid(output, gate))
