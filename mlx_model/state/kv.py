"""Keys and values of one attention layer, exact or at 8 bits."""

from collections.abc import Mapping
from typing import Literal

import mlx.core as mx

from mlx_model.errors import ConfigError

# Tokens that a buffer grows by: a copy of the whole once a block, not once a token.
BLOCK = 256

KVBits = Literal[8]

# Up to so many tokens at once, scores come straight from the packed keys, which reads about half the bytes;
# beyond, the scores of a long context would need more memory than unpacking one layer does.
_PACKED_TOKENS = 8


class KVBuffer:
    """Keys and values [1, heads, tokens, head_dim], grown in blocks and written in place."""

    def __init__(self, heads: int, head_dim: int, dtype: mx.Dtype) -> None:
        self._heads = heads
        self._head_dim = head_dim
        self._dtype = dtype
        self._parts: dict[str, mx.array] = {}
        self._expected = 0
        self.length = 0

    def append(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Adds [1, heads, n, head_dim] of each and returns all there is."""
        self.extend({"keys": keys.astype(self._dtype), "values": values.astype(self._dtype)})
        return self._parts["keys"][..., : self.length, :], self._parts["values"][..., : self.length, :]

    def attend(self, queries: mx.array, keys: mx.array, values: mx.array, scale: float) -> mx.array:
        """Adds keys and values, and lets their queries [1, query heads, n, head_dim] look at all there is up to
        their own place: causal attention, [1, query heads, n, head_dim]."""
        mask = "causal" if queries.shape[2] > 1 else None
        keys, values = self.append(keys, values)
        return mx.fast.scaled_dot_product_attention(queries, keys, values, scale=scale, mask=mask)

    def extend(self, parts: Mapping[str, mx.array]) -> None:
        """Adds n tokens in the form that `slice` gives; each part is [1, heads, n, ...]."""
        start = self.length
        self.length += next(iter(parts.values())).shape[2]
        for name, part in parts.items():
            self._reserve(name, part, self.length)
            self._parts[name][..., start : self.length, :] = part

    def truncate(self, length: int) -> None:
        """Forgets everything from token `length` on."""
        assert 0 <= length <= self.length
        self.length = length

    def slice(self, start: int, end: int) -> dict[str, mx.array]:
        """Copies of what is held of tokens [start, end), by name, independent of this buffer."""
        return {name: mx.contiguous(part[..., start:end, :]) for name, part in self._parts.items()}

    def arrays(self) -> list[mx.array]:
        """What has to be evaluated for the buffer to be up to date."""
        return list(self._parts.values())

    def reserve(self, length: int) -> None:
        """So many tokens in all are to come: the buffer grows to that at once."""
        self._expected = length

    def _reserve(self, name: str, like: mx.array, length: int) -> None:
        """Room for `length` tokens of one part, in whole blocks."""
        held = self._parts.get(name)
        capacity = 0 if held is None else held.shape[2]
        if length <= capacity:
            return
        blocks = -(-(max(length, self._expected) - capacity) // BLOCK)
        more = mx.zeros((*like.shape[:2], blocks * BLOCK, like.shape[3]), dtype=like.dtype)
        self._parts[name] = more if held is None else mx.concatenate([held, more], axis=2)


class PackedKVBuffer(KVBuffer):
    """The same at 8 bits, quantized in groups along head_dim: about half the memory of 16 bits."""

    def __init__(self, heads: int, head_dim: int, dtype: mx.Dtype) -> None:
        """Raises ConfigError for a head_dim that has no whole groups."""
        super().__init__(heads, head_dim, dtype)
        group = next((size for size in (64, 32) if head_dim % size == 0), None)
        if group is None:
            raise ConfigError(f"Keys and values at 8 bits need a head_dim divisible by 32, not {head_dim}.")
        self._group = group

    def append(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Adds [1, heads, n, head_dim] of each and returns all there is, unpacked."""
        self._pack(keys, values)
        return self._unpacked("keys"), self._unpacked("values")

    def attend(self, queries: mx.array, keys: mx.array, values: mx.array, scale: float) -> mx.array:
        """As KVBuffer.attend, over what 8 bits have left of keys and values."""
        heads, tokens = queries.shape[1], queries.shape[2]
        if tokens > _PACKED_TOKENS:
            return super().attend(queries, keys, values, scale)
        self._pack(keys, values)
        # Query heads that share a key head side by side: [1, key heads, sharing, n, head_dim].
        grouped = (queries * scale).reshape(1, self._heads, heads // self._heads, tokens, self._head_dim)
        scores = self._matmul(grouped, "keys", transpose=True)
        if tokens > 1:
            places = mx.arange(self.length)
            visible = places[self.length - tokens :, None] >= places
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
