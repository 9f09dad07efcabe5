"""Keys and values of one attention layer, exact or at 8 bits."""

from collections.abc import Mapping
from typing import Literal

import mlx.core as mx
from typing_extensions import override

from mlx_model.errors import ConfigError
from mlx_model.state.fused_attention import forces_fused

BLOCK = 256
"""Tokens that a buffer grows by, as in mlx-lm: growing copies the whole buffer."""

KVBits = Literal[8]

_PACKED_TOKENS = 8
"""The most query tokens whose scores are computed from the packed keys, which reads about half the bytes. For
more, the unfused scores of a long context would take more memory than unpacking one layer."""


class KVBuffer:
    """Keys and values [1, heads, tokens, head_dim], grown in blocks and written in place."""

    def __init__(self, heads: int, head_dim: int, dtype: mx.Dtype) -> None:
        self._heads = heads
        self._head_dim = head_dim
        self._dtype = dtype
        self._parts: dict[str, mx.array] = {}
        self._expected = 0
        self.length = 0

    @property
    def position(self) -> int:
        """The position of the next token."""
        return self.length

    def append(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Appends [1, heads, n, head_dim] of each; returns all, [1, heads, length, head_dim]."""
        self.extend({"keys": keys.astype(self._dtype), "values": values.astype(self._dtype)})
        return self._parts["keys"][..., : self.length, :], self._parts["values"][..., : self.length, :]

    def attend(self, queries: mx.array, keys: mx.array, values: mx.array, scale: float) -> mx.array:
        """Appends keys and values [1, heads, n, head_dim]; causal attention of their queries [1, query heads,
        n, head_dim] over everything in the buffer → [1, query heads, n, head_dim]."""
        keys, values = self.append(keys, values)
        if queries.shape[2] == 1:
            return mx.fast.scaled_dot_product_attention(queries, keys, values, scale=scale)
        scores = queries.shape[1] * queries.shape[2] * self.length * queries.dtype.size
        forced = forces_fused(scores, queries, self._heads)
        return mx.fast.scaled_dot_product_attention(
            queries, keys, values, scale=scale, mask="causal", force_fused=forced
        )

    def extend(self, parts: Mapping[str, mx.array]) -> None:
        """Appends n tokens in the form that `slice` gives; each array is [1, heads, n, ...]."""
        start = self.length
        self.length += next(iter(parts.values())).shape[2]
        for name, part in parts.items():
            self._reserve(name, part, self.length)
            # MLX gives back an update of everything as it is: a view, which holds all that it was cut from.
            fills = part.shape == self._parts[name].shape
            self._parts[name][..., start : self.length, :] = mx.contiguous(part) if fills else part

    def truncate(self, length: int) -> None:
        """Drops everything from token `length` on."""
        assert 0 <= length <= self.length
        self.length = length

    def slice(self, start: int, end: int) -> dict[str, mx.array]:
        """Copies of the arrays of tokens [start, end), by name, each [1, heads, end - start, ...]."""
        return {name: mx.contiguous(part[..., start:end, :]) for name, part in self._parts.items()}

    def arrays(self) -> list[mx.array]:
        """The arrays that have to be evaluated for the buffer to be up to date."""
        return list(self._parts.values())

    def reserve(self, length: int) -> None:
        """Has the next append allocate room for `length` tokens in all, instead of growing block by block."""
        self._expected = length

    def _reserve(self, name: str, like: mx.array, length: int) -> None:
        """Allocates room for `length` tokens of one array, in whole blocks."""
        held = self._parts.get(name)
        capacity = 0 if held is None else held.shape[2]
        if length <= capacity:
            return
        blocks = -(-(max(length, self._expected) - capacity) // BLOCK)
        more = mx.zeros((*like.shape[:2], blocks * BLOCK, like.shape[3]), dtype=like.dtype)
        self._parts[name] = more if held is None else mx.concatenate([held, more], axis=2)


class PackedKVBuffer(KVBuffer):
    """A KVBuffer at 8 bits, quantized by MLX in groups of 64 (or 32) along head_dim: about half the memory of
    16 bits."""

    def __init__(self, heads: int, head_dim: int, dtype: mx.Dtype) -> None:
        """Raises ConfigError for a head_dim that 32 does not divide."""
        super().__init__(heads, head_dim, dtype)
        group = next((size for size in (64, 32) if head_dim % size == 0), None)
        if group is None:
            raise ConfigError(f"Keys and values at 8 bits need a head_dim divisible by 32, not {head_dim}.")
        self._group = group

    @override
    def append(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        self._pack(keys, values)
        return self._unpacked("keys"), self._unpacked("values")

    @override
    def attend(self, queries: mx.array, keys: mx.array, values: mx.array, scale: float) -> mx.array:
        heads, tokens = queries.shape[1], queries.shape[2]
        if tokens > _PACKED_TOKENS:
            return super().attend(queries, keys, values, scale)
        self._pack(keys, values)
        # Query heads that share a key head side by side: [1, key heads, sharing, n, head_dim].
        grouped = (queries * scale).reshape(1, self._heads, heads // self._heads, tokens, self._head_dim)
        scores = self._matmul(grouped, "keys", transpose=True)
        if tokens > 1:
            positions = mx.arange(self.length)
            visible = positions[self.length - tokens :, None] >= positions
            scores = mx.where(visible, scores, mx.array(-mx.inf, dtype=scores.dtype))
        weights = mx.softmax(scores, axis=-1, precise=True)
        return self._matmul(weights, "values", transpose=False).reshape(queries.shape)

    def _pack(self, keys: mx.array, values: mx.array) -> None:
        self.extend(
            {
                f"{name}.{part}": array
                for name, whole in (("keys", keys), ("values", values))
                for part, array in zip(
                    _PARTS, mx.quantize(whole.astype(self._dtype), group_size=self._group, bits=8), strict=True
                )
            }
        )

    def _held(self, name: str) -> list[mx.array]:
        return [self._parts[f"{name}.{part}"][..., : self.length, :] for part in _PARTS]

    def _unpacked(self, name: str) -> mx.array:
        packed, scales, biases = self._held(name)
        return mx.dequantize(packed, scales, biases, group_size=self._group, bits=8)

    def _matmul(self, x: mx.array, name: str, transpose: bool) -> mx.array:
        packed, scales, biases = [part[:, :, None] for part in self._held(name)]
        return mx.quantized_matmul(
            x, packed, scales, biases, transpose=transpose, group_size=self._group, bits=8
        )


_PARTS = ("packed", "scales", "biases")


def new_buffer(heads: int, head_dim: int, dtype: mx.Dtype, bits: KVBits | None) -> KVBuffer:
    """An empty buffer; `bits` None is exact. Raises ConfigError."""
    return KVBuffer(heads, head_dim, dtype) if bits is None else PackedKVBuffer(heads, head_dim, dtype)
