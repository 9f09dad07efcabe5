"""Gated full attention: grouped queries, RMS-normalized queries and keys, partial rotary embedding, and a
sigmoid gate on the output (arXiv 2505.06708)."""

import math
from functools import cached_property, lru_cache

import mlx.core as mx
import numpy as np

from mlx_model.config.model_config import ModelConfig
from mlx_model.layers.elementwise import scaled_by_sigmoid
from mlx_model.layers.norms import over_length
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import Linear
from mlx_model.layers.rotary import Rotary, Tables
from mlx_model.state.kv import KVBuffer
from mlx_model.state.rows import KVRows

_FEW_QUERIES = 17
"""The most tokens of a block that attends by powers: those of a verified draft. The scores of more would take
memory that is not planned for."""


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
        return self.finish(self.attend(queries, keys, values, kv), gate)

    def attend(self, queries: mx.array, keys: mx.array, values: mx.array, kv: KVBuffer | KVRows) -> mx.array:
        """What `project` gave, appended to `kv` and attended to: [1, heads, tokens, head_dim]."""
        if self.by_blas and type(kv) is KVBuffer and 1 < queries.shape[2] <= _FEW_QUERIES:
            return attended_by_powers(queries * self.scale, *kv.append(keys, values))
        return kv.attend(queries, keys, values, self.scale)

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


def attended_by_powers(queries: mx.array, keys: mx.array, values: mx.array) -> mx.array:
    """Causal attention of scaled queries [1, heads, n, head_dim], those of the last tokens of keys and values
    [1, kv_heads, length, head_dim], all in float32 → [1, heads, n, head_dim].

    For a CPU with a fast BLAS: MLX's own spends most of its time on exponentials (see elementwise.py). Five
    queries over 700 keys take 0.62 of the time, 16 take 0.61 (one busy core).
    """
    heads, count, size = queries.shape[1:]
    kv_heads, length = keys.shape[1:3]
    # Query heads that share a key head in one product.
    scores = queries.reshape(1, kv_heads, -1, size) @ keys.swapaxes(-1, -2)
    scores = (scores.reshape(1, heads, count, length) + _unseen(count, length)).reshape(scores.shape)
    weights = mx.power(math.e, scores - scores.max(axis=-1, keepdims=True))
    output = (weights @ values) / weights.sum(axis=-1, keepdims=True)
    return output.reshape(1, heads, count, size)


@lru_cache(maxsize=4)
def _unseen(count: int, length: int) -> mx.array:
    """What is added to the scores of the last `count` of `length` tokens [count, length]: minus infinity for
    tokens after their own. The layers of a pass share it."""
    return mx.array(np.triu(np.full((count, length), -np.inf, np.float32), length - count + 1))
