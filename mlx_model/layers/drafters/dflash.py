"""The network of a DFlash drafter (arXiv 2602.06036): a few layers like Qwen3's that propose a block of tokens
in one pass.

A block is the newest token and one mask for each token to be proposed; its embeddings and the head that reads
them are the target's own. Every layer attends from the block to the block, in both directions, and to the
context: one vector for every earlier token, made by `fc` and a norm of what chosen layers of the target gave
for it. Keys and values of the context are made of these vectors in every layer anew, and do not change.
"""

from collections.abc import Sequence

import mlx.core as mx

from mlx_model.config.dflash_config import DFlashConfig
from mlx_model.layers.experts import FeedForward
from mlx_model.layers.norms import RMSNorm
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import Linear
from mlx_model.state.kv import KVBuffer


class DFlash:
    """A drafter's network. `name` tells drafters apart: what one has made of a text is of no use to another."""

    def __init__(self, config: DFlashConfig, parameters: Parameters, dtype: mx.Dtype, name: str = "") -> None:
        """Raises CheckpointError when parameters are missing, misshaped or left over."""
        self.config, self.dtype, self.name = config, dtype, name
        hidden, eps = config.hidden_size, config.rms_norm_eps
        self.fc = Linear(parameters.scope("fc"), hidden, len(config.target_layer_ids) * hidden)
        self.hidden_norm = RMSNorm(parameters.scope("hidden_norm"), hidden, eps)
        self.layers = [
            _Layer(config, index, parameters.scope(f"layers.{index}"))
            for index in range(config.num_hidden_layers)
        ]
        self.norm = RMSNorm(parameters.scope("norm"), hidden, eps)
        parameters.finish()

    def buffers(self) -> list[KVBuffer]:
        """Empty buffers for the layers' keys and values of the context."""
        config = self.config
        return [KVBuffer(config.num_key_value_heads, config.head_dim, self.dtype) for _ in self.layers]

    def vectors(self, features: mx.array) -> mx.array:
        """The target's hidden states after the chosen layers, side by side [1, n, layers · hidden] → [1, n,
        hidden]."""
        return self.hidden_norm(self.fc(features.astype(self.dtype)))

    def extend(self, buffers: Sequence[KVBuffer], vectors: mx.array, position: int) -> None:
        """Appends the keys and values of vectors [1, n, hidden], whose first token is at `position`."""
        for layer, kv in zip(self.layers, buffers, strict=True):
            kv.append(*layer.attention.keys_and_values(vectors, position))

    def __call__(self, embeddings: mx.array, buffers: Sequence[KVBuffer], position: int) -> mx.array:
        """Embeddings [1, n, hidden] of a block whose first token is at `position`, after the context in
        `buffers` → hidden states [1, n, hidden] for the head."""
        x = embeddings.astype(self.dtype)
        for layer, kv in zip(self.layers, buffers, strict=True):
            x = layer(x, kv, position)
        return self.norm(x)

    def at_anchors(self, embeddings: mx.array, vectors: mx.array, anchors: mx.array) -> mx.array:
        """Several blocks in one text at once, as training needs them: embeddings [blocks, n, hidden], of which
        block i begins at token anchors[i] and sees the text before that; vectors [1, tokens, hidden] of the
        text → hidden states [blocks, n, hidden]."""
        x = embeddings.astype(self.dtype)
        for layer in self.layers:
            x = layer.at_anchors(x, vectors, anchors)
        return self.norm(x)


class _Layer:
    def __init__(self, config: DFlashConfig, index: int, parameters: Parameters) -> None:
        hidden, eps = config.hidden_size, config.rms_norm_eps
        self.input_layernorm = RMSNorm(parameters.scope("input_layernorm"), hidden, eps)
        self.attention = _Attention(config, index, parameters.scope("self_attn"))
        self.post_attention_layernorm = RMSNorm(parameters.scope("post_attention_layernorm"), hidden, eps)
        self.mlp = FeedForward(parameters.scope("mlp"), hidden, config.intermediate_size)

    def __call__(self, x: mx.array, kv: KVBuffer, position: int) -> mx.array:
        x = x + self.attention(self.input_layernorm(x), kv, position)
        return x + self.mlp(self.post_attention_layernorm(x))

    def at_anchors(self, x: mx.array, vectors: mx.array, anchors: mx.array) -> mx.array:
        x = x + self.attention.at_anchors(self.input_layernorm(x), vectors, anchors)
        return x + self.mlp(self.post_attention_layernorm(x))


class _Attention:
    """Parameters under `self_attn`; keys and values are one projection, `kv_proj`."""

    def __init__(self, config: DFlashConfig, index: int, parameters: Parameters) -> None:
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim, self.theta = config.head_dim, config.rope_theta
        has_window = config.layer_types[index] == "sliding_attention"
        self.window = config.sliding_window if has_window else None
        self.is_causal = has_window if config.is_causal is None else config.is_causal
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        self.q_proj = Linear(parameters.scope("q_proj"), queries, config.hidden_size)
        self.kv_proj = Linear(parameters.scope("kv_proj"), 2 * keys, config.hidden_size)
        self.o_proj = Linear(parameters.scope("o_proj"), config.hidden_size, queries)
        self.q_norm = RMSNorm(parameters.scope("q_norm"), self.head_dim, config.rms_norm_eps)
        self.k_norm = RMSNorm(parameters.scope("k_norm"), self.head_dim, config.rms_norm_eps)

    def keys_and_values(self, x: mx.array, position: int | mx.array) -> tuple[mx.array, mx.array]:
        """x [rows, n, hidden], the first token at `position` (of each row) → each [rows, kv_heads, n,
        head_dim]."""
        both = self.kv_proj(x).reshape(*x.shape[:2], 2, self.kv_heads, self.head_dim)
        keys, values = both[:, :, 0], both[:, :, 1].swapaxes(1, 2)
        return self._rotated(self.k_norm(keys), position), values

    def __call__(self, x: mx.array, kv: KVBuffer, position: int) -> mx.array:
        """x [1, n, hidden], a block → the same shape; `kv` is as before when it is done."""
        count, known = x.shape[1], kv.length
        keys, values = kv.append(*self.keys_and_values(x, position))
        kv.truncate(known)
        first = 0 if self.window is None else max(0, known - self.window + 1)
        mask = None
        if self.window is not None or self.is_causal:
            mask = self._seen(mx.arange(known, known + count)[:, None], mx.arange(first, known + count))
        return self._attend(x, position, keys[..., first:, :], values[..., first:, :], mask)

    def at_anchors(self, x: mx.array, vectors: mx.array, anchors: mx.array) -> mx.array:
        """x [blocks, n, hidden] → the same shape, as DFlash.at_anchors has it."""
        (blocks, count), tokens = x.shape[:2], vectors.shape[1]
        context = self.keys_and_values(vectors, 0)
        block = self.keys_and_values(x, anchors)
        keys, values = (
            mx.concatenate([mx.broadcast_to(known, (blocks, *known.shape[1:])), own], axis=2)
            for known, own in zip(context, block, strict=True)
        )
        own = anchors[:, None] + mx.arange(count)
        text = mx.broadcast_to(mx.arange(tokens), (blocks, tokens))
        seen = self._seen(own[:, :, None], mx.concatenate([text, own], axis=1)[:, None])
        before = mx.concatenate([text < anchors[:, None], mx.ones(own.shape, dtype=mx.bool_)], axis=1)
        return self._attend(x, anchors, keys, values, (seen & before[:, None])[:, None])

    def _attend(
        self, x: mx.array, position: int | mx.array, keys: mx.array, values: mx.array, mask: mx.array | None
    ) -> mx.array:
        queries = self.q_proj(x).reshape(*x.shape[:2], self.heads, self.head_dim)
        queries = self._rotated(self.q_norm(queries), position)
        output = mx.fast.scaled_dot_product_attention(
            queries, keys, values, scale=self.head_dim**-0.5, mask=mask
        )
        return self.o_proj(output.swapaxes(1, 2).reshape(*x.shape[:2], -1))

    def _seen(self, query: mx.array, key: mx.array) -> mx.array:
        """Which keys a query sees, by their positions in the text."""
        seen = mx.ones_like(query == key)
        if self.is_causal:
            seen = seen & (key <= query)
        if self.window is not None:
            seen = seen & (mx.abs(query - key) < self.window)
        return seen

    def _rotated(self, x: mx.array, position: int | mx.array) -> mx.array:
        """x [rows, n, heads, head_dim] → [rows, heads, n, head_dim], with rotary embedding of the whole
        head."""
        x = x.swapaxes(1, 2)
        return mx.fast.rope(x, self.head_dim, traditional=False, base=self.theta, scale=1.0, offset=position)
