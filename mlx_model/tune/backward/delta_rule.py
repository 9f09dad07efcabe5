"""The gated delta rule where its gradient is wanted: in chunks, whose triangular systems are inverted by matrix
products."""

from functools import lru_cache
from typing import cast

import mlx.core as mx
import numpy as np
from typing_extensions import override

from mlx_model.layers.delta_products import chunked_delta_update
from mlx_model.state.recurrent import DeltaBlock, DeltaState, Update

CHUNKS = (16, 32, 64, 128, 256)
"""Tokens that a chunk may have: powers of two, by which the triangular inverse is put together."""


class ChunkedDeltaState(DeltaState):
    """The state of a DeltaNet layer whose gradient is wanted: `window` and `matrix` as of DeltaState; `chunk`:
    one of CHUNKS."""

    def __init__(self, window: mx.array, matrix: mx.array, chunk: int) -> None:
        super().__init__(window, matrix)
        self._chunk = chunk

    @override
    def advance(self, q: mx.array, block: DeltaBlock, update: Update) -> mx.array:
        tokens = q.shape[1]
        chunk = min(self._chunk, max(CHUNKS[0], 1 << (tokens - 1).bit_length()))
        y, matrix = chunked_delta_update(
            q,
            block.k,
            block.v,
            block.decay,
            block.beta,
            self.matrix,
            chunk=chunk,
            inverted=unit_lower_inverse,
        )
        self.follow(block.mixed, matrix)
        return y


def unit_lower_inverse(lower: mx.array) -> mx.array:
    """The inverses of lower triangular matrices [..., n, n] of float32 with ones on the diagonal, n a power of
    two.

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
    return mx.where(_below(lower.shape[-1]), -(turned @ cotangent @ turned), 0.0)


@lru_cache
def _below(size: int) -> mx.array:
    """Where column < row, [size, size]."""
    rows, columns = np.indices((size, size))
    return mx.array(columns < rows)


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
