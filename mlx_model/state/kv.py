"""Keys and values of one attention layer."""

import mlx.core as mx

# Tokens that a buffer grows by: a copy of the whole once a block, not once a token.
BLOCK = 256


class KVBuffer:
    """Keys and values [1, heads, tokens, head_dim], grown in blocks and written in place."""

    def __init__(self, heads: int, head_dim: int, dtype: mx.Dtype) -> None:
        self._shape = (heads, head_dim)
        self._dtype = dtype
        self._keys: mx.array | None = None
        self._values: mx.array | None = None
        self.length = 0

    def append(self, keys: mx.array, values: mx.array) -> tuple[mx.array, mx.array]:
        """Adds [1, heads, n, head_dim] of each and returns all there is."""
        start, end = self.length, self.length + keys.shape[2]
        self.reserve(end)
        assert self._keys is not None and self._values is not None
        self._keys[..., start:end, :] = keys.astype(self._dtype)
        self._values[..., start:end, :] = values.astype(self._dtype)
        self.length = end
        return self._keys[..., :end, :], self._values[..., :end, :]

    def truncate(self, length: int) -> None:
        """Forgets everything from token `length` on."""
        assert 0 <= length <= self.length
        self.length = length

    def slice(self, start: int, end: int) -> tuple[mx.array, mx.array]:
        """Copies of keys and values of tokens [start, end), independent of this buffer."""
        if self._keys is None or self._values is None:
            heads, dim = self._shape
            empty = mx.zeros((1, heads, 0, dim), dtype=self._dtype)
            return empty, empty
        return mx.contiguous(self._keys[..., start:end, :]), mx.contiguous(self._values[..., start:end, :])

    def arrays(self) -> list[mx.array]:
        """What has to be evaluated for the buffer to be up to date."""
        return [array for array in (self._keys, self._values) if array is not None]

    def reserve(self, length: int) -> None:
        """Makes room for `length` tokens in all, in whole blocks."""
        capacity = 0 if self._keys is None else self._keys.shape[2]
        if length <= capacity:
            return
        heads, dim = self._shape
        more = mx.zeros((1, heads, -(-(length - capacity) // BLOCK) * BLOCK, dim), dtype=self._dtype)
        if self._keys is None or self._values is None:
            # Two arrays, not one twice: each is written in place.
            self._keys, self._values = more, mx.zeros_like(more)
        else:
            self._keys = mx.concatenate([self._keys, more], axis=2)
            self._values = mx.concatenate([self._values, more], axis=2)
