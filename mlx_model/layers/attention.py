"""Gated full attention: grouped queries, RMS-normalized queries and keys, partial rotary embedding, and a
sigmoid gate on the output (arXiv 2505.06708)."""

from functools import cached_property

import mlx.core as mx

from mlx_model.config.model_config import ModelConfig
from mlx_model.layers.elementwise import scaled_by_sigmoid
from mlx_model.layers.norms import over_length
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import Linear
from mlx_model.layers.rotary import Rotary, Tables
from mlx_model.state.kv import KVBuffer
from mlx_model.state.rows import KVRows


class GatedAttention:
    """Parameters under `self_attn`."""

    def __init__(self, config: ModelConfig, parameters: Parameters, rotary: Rotary) -> None:
        self.heads = config.num_attention_heads
        self.kv_heads = config.num_key_value_heads
        self.head_dim = config.head_dim
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        self.splits = [2 * queries + keys]
        bias = config.attention_bias
        self.qkv_proj = Linear(
            parameters.scope("qkv_proj"),
            2 * (queries + keys),
            config.hidden_size,
            [("qg", 2 * queries), ("k", keys), ("v", keys)],
            bias=bias,
        )
        self.o_proj = Linear(parameters.scope("o_proj"), config.hidden_size, queries, bias=bias)
        self.eps, self.scale = config.rms_norm_eps, config.head_dim**-0.5
        self.q_norm = parameters.take("q_norm.weight", (self.head_dim,))
        self.k_norm = parameters.take("k_norm.weight", (self.head_dim,))
        self.rotary = rotary
        self.by_blas = parameters.by_blas

    @cached_property
    def head_weights(self) -> tuple[mx.array, mx.array]:
        """The norms' weights of every head [2 · heads + kv_heads, 1, head_dim] in float32, ones for the gates;
        and their rotary partners."""
        ones = mx.ones_like(self.q_norm)
        norms = [self.q_norm] * self.heads + [ones] * self.heads + [self.k_norm] * self.kv_heads
        weights = mx.stack(norms)[:, None].astype(mx.float32)
        if self.by_blas:  # what `over_length` lacks of a norm
            weights = weights * self.head_dim**0.5
        partners = self.rotary.partners(weights)
        mx.eval(weights, partners)
        return weights, partners

    def __call__(self, x: mx.array, kv: KVBuffer | KVRows) -> mx.array:
        """x [1, tokens, hidden] → the same shape; the keys and values of the tokens, a block of one
        sequence or one token of each row, are appended to `kv`."""
        queries, keys, values, gate = self.project(x, self.rotary.tables(kv.position, x.shape[1]))
        return self.finish(kv.attend(queries, keys, values, self.scale), gate)

    def project(self, x: mx.array, tables: Tables) -> tuple[mx.array, mx.array, mx.array, mx.array]:
        """x [1, tokens, hidden] → rotated queries [1, heads, tokens, head_dim], and keys and values [1,
        kv_heads, tokens, head_dim]; and the gate of `finish`."""
        tokens = x.shape[1]
        projected, values = mx.split(self.qkv_proj(x), self.splits, axis=-1)
        gate = projected[..., self.heads * self.head_dim : 2 * self.heads * self.head_dim]
        # Queries, gates and keys are normalized and rotated as one, in half as many operations; what becomes of
        # the gates is not used.
        heads = projected.reshape(1, tokens, -1, self.head_dim)
        heads = over_length(heads, self.eps) if self.by_blas else mx.fast.rms_norm(heads, None, self.eps)
        heads = heads.swapaxes(1, 2)
        queries, _, keys = mx.split(
            self.rotary(heads, *self.head_weights, tables), [self.heads, 2 * self.heads], axis=1
        )
        return queries, keys, values.reshape(1, tokens, self.kv_heads, self.head_dim).swapaxes(1, 2), gate

    def finish(self, output: mx.array, gate: mx.array) -> mx.array:
        """What attention gave [1, heads, tokens, head_dim] → [1, tokens, hidden]."""
        output = output.swapaxes(1, 2).reshape(1, output.shape[2], -1)
        return self.o_proj(scaled_by_sigmoid(output, gate))
