"""The gated delta rule in chunks, which can be differentiated: the WY representation of Gated DeltaNet (arXiv
2412.06464, section 3.3).

Within a chunk the recurrence is a triangular system, whose inverse turns everything into products of matrices;
from chunk to chunk a state is handed on.
"""

from functools import lru_cache
from typing import cast

import mlx.core as mx
import numpy as np

from mlx_model.state.recurrent import DeltaBlock, DeltaState

CHUNKS = (16, 32, 64, 128, 256)
"""Tokens that a chunk may have: powers of two, by which the triangular inverse is put together."""
_LEAST_DECAY = 1e-38
"""A float32 below it is zero, which has no logarithm. What is multiplied by it is forgotten in any case."""


def chunked_delta_rule(
    q: mx.array, block: DeltaBlock, matrix: mx.array, chunk: int
) -> tuple[mx.array, mx.array]:
    """What mx.fast.gated_delta_update computes of a block of tokens, in float32: q [1, tokens, Hk, Dk] and the
    `matrix` [1, Hv, Dv, Dk] before the block → outputs [1, tokens, Hv, Dv] and the matrix after it. `chunk`:
    one of CHUNKS."""
    tokens, key_heads = q.shape[1:3]
    value_heads = block.v.shape[2]
    size = min(chunk, max(CHUNKS[0], 1 << (tokens - 1).bit_length()))
    padding = -tokens % size

    def arranged(x: mx.array, heads: int, value: float = 0.0) -> mx.array:
        """[1, tokens, heads, ...] → [key heads, heads of each, chunks, size, ...]; tokens that are added
        neither write nor decay."""
        if padding:
            widths = [(0, 0), (0, padding)] + [(0, 0)] * (x.ndim - 2)
            x = mx.pad(x, widths, constant_values=value)
        rest = x.shape[3:]
        x = x.reshape(-1, size, key_heads, heads // key_heads, *rest)
        return x.transpose(2, 3, 0, 1, *range(4, x.ndim))

    q, k = arranged(q, key_heads), arranged(block.k, key_heads)
    v = arranged(block.v, value_heads)
    beta = arranged(block.beta, value_heads)[..., None]
    log_decay = mx.log(mx.maximum(arranged(block.decay, value_heads, 1.0), _LEAST_DECAY))
    up_to, before = _triangles(size)
    # The decay between two tokens as a sum over those between them: as a difference of sums from the start it
    # would lose digits where much decays.
    apart = mx.where(before, log_decay[..., None], 0.0).cumsum(axis=-2)
    between = mx.where(up_to, mx.exp(apart), 0.0)
    since_start = mx.exp(log_decay.cumsum(axis=-1))[..., None]
    inverse = unit_lower_inverse(mx.where(before, beta * (k @ k.swapaxes(-1, -2)) * between, 0.0))
    written = inverse @ (beta * v)
    read = inverse @ (beta * since_start * k)
    own = (q @ k.swapaxes(-1, -2)) * between
    queries = q * since_start
    kept = k * between[..., -1, :, None]
    state = matrix[0].reshape(key_heads, -1, *matrix.shape[2:]).swapaxes(-1, -2)
    outputs = []
    for n in range(written.shape[2]):
        new = written[:, :, n] - read[:, :, n] @ state
        outputs.append(queries[:, :, n] @ state + own[:, :, n] @ new)
        state = since_start[:, :, n, -1:] * state + kept[:, :, n].swapaxes(-1, -2) @ new
    # [key heads, heads of each, chunks, size, Dv] → [1, tokens, Hv, Dv]
    y = mx.stack(outputs, axis=2).transpose(2, 3, 0, 1, 4).reshape(1, -1, value_heads, block.v.shape[3])
    return y[:, :tokens], state.swapaxes(-1, -2).reshape(matrix.shape)


def unit_lower_inverse(lower: mx.array) -> mx.array:
    """(I + lower)⁻¹ for strictly lower triangular matrices [..., n, n] of float32, n a power of two.

    The inverses of two neighbouring blocks on the diagonal give that of both together, so it takes log2 n
    rounds; unlike a product of powers it is as accurate as substituting forward.
    """
    return cast(mx.array, _inverted(lower))


@mx.custom_function
def _inverted(lower: mx.array) -> mx.array:
    size = lower.shape[-1]
    inverse = mx.broadcast_to(mx.eye(size), lower.shape)
    for corner in _corners(size):
        inverse = inverse - inverse @ mx.where(corner, lower, 0.0) @ inverse
    return inverse


@_inverted.vjp
def _inverted_vjp(lower: mx.array, cotangent: mx.array, inverse: mx.array) -> mx.array:
    turned = inverse.swapaxes(-1, -2)
    return mx.where(_triangles(lower.shape[-1])[1], -(turned @ cotangent @ turned), 0.0)


@lru_cache
def _triangles(size: int) -> tuple[mx.array, mx.array]:
    """Where column ≤ row, and where column < row, each [size, size]."""
    rows, columns = np.indices((size, size))
    return mx.array(columns <= rows), mx.array(columns < rows)


@lru_cache
def _corners(size: int) -> list[mx.array]:
    """For blocks of 1, 2, 4, ... the places below the diagonal that join each two neighbours, [size, size]."""
    rows, columns = np.indices((size, size))
    corners, block = [], 1
    while block < size:
        same = rows // (2 * block) == columns // (2 * block)
        corners.append(mx.array(same & (rows // block > columns // block)))
        block *= 2
    return corners


class ChunkedDeltaState(DeltaState):
    """The state of a DeltaNet layer whose gradient is wanted: `window` and `matrix` as of DeltaState."""

    def __init__(self, window: mx.array, matrix: mx.array, chunk: int) -> None:
        super().__init__(window, matrix)
        self._chunk = chunk

    def advance(self, q: mx.array, block: DeltaBlock) -> mx.array:
        """See DeltaState."""
        y, matrix = chunked_delta_rule(q, block, self.matrix, self._chunk)
        self.follow(block.mixed, matrix)
        return y
