"""What an adapter changes of a projection, as small matrices laid over it: LoRA and DoRA.

The projection's own weights stay as they are, packed or not, so that adapters can be changed without reading
the model again.
"""

from collections.abc import Sequence
from typing import Protocol

import mlx.core as mx


class LowRankUpdate:
    """y + x · a · b (LoRA, arXiv 2106.09685); with a `gain`, that times the gain of each row (DoRA, arXiv
    2402.09353).

    `a` [in, rank]; `b` [rank, out], the adapter's scale already in it; `gain` [out]: the learned magnitude of
    each row of the adapted matrix divided by its length. Each has a leading axis of experts for a bank.
    """

    def __init__(self, a: mx.array, b: mx.array, gain: mx.array | None = None) -> None:
        self.a = a
        self.b = b
        self.gain = gain

    @property
    def nbytes(self) -> int:
        """Bytes of its matrices."""
        return self.a.nbytes + self.b.nbytes + (0 if self.gain is None else self.gain.nbytes)

    def applied(self, x: mx.array, y: mx.array) -> mx.array:
        """The adapted projection of x [..., in], from the plain one, y [..., out]; no bias in it."""
        y = y + ((x @ self.a) @ self.b).astype(y.dtype)
        return y if self.gain is None else y * self.gain

    def gathered(self, x: mx.array, y: mx.array, experts: mx.array, ordered: bool) -> mx.array:
        """As `applied`, where row x[i] [rows, in] went to expert experts[i]; `ordered`: `experts` ascends."""
        low = mx.gather_mm(x, self.a, rhs_indices=experts, sorted_indices=ordered)
        y = y + mx.gather_mm(low, self.b, rhs_indices=experts, sorted_indices=ordered).astype(y.dtype)
        return y if self.gain is None else y * self.gain[experts][..., None, :]


class Adaptable(Protocol):
    """A projection that an adapter can change."""

    update: LowRankUpdate | None

    def prepared(self, a: mx.array, b: mx.array, magnitude: mx.array | None, dtype: mx.Dtype) -> LowRankUpdate:
        """The update by float32 matrices as of LowRankUpdate, in the dtype of activations. `magnitude` [out] or
        [experts, out]: DoRA's, NaN for rows that keep their own length; None for LoRA."""
        ...


class _Rows(Protocol):
    @property
    def row_count(self) -> int: ...

    @property
    def leading(self) -> int: ...

    def rows(self, indices: mx.array) -> mx.array: ...


_SLAB = 1 << 25
"""Weights unpacked at once while rows are measured: 128 MiB in float32."""


def make_update(
    matrices: Sequence[_Rows],
    a: mx.array,
    b: mx.array,
    magnitude: mx.array | None,
    dtype: mx.Dtype,
) -> LowRankUpdate:
    """The update of a projection that consists of these matrices, rows one after the other: see Adaptable."""
    gain: mx.array | None = None
    if magnitude is not None:
        lengths, above = [], 0
        for matrix in matrices:
            part = b[..., above : above + matrix.row_count]
            lengths.append(_row_lengths(matrix, a, part))
            above += matrix.row_count
        length = lengths[0] if len(lengths) == 1 else mx.concatenate(lengths, axis=-1)
        gain = mx.where(mx.isnan(magnitude), mx.array(1.0), magnitude / length).astype(dtype)
        mx.eval(gain)
    update = LowRankUpdate(a.astype(dtype), b.astype(dtype), gain)
    mx.eval(update.a, update.b)
    return update


def _row_lengths(matrix: _Rows, a: mx.array, b: mx.array) -> mx.array:
    """The Euclidean length of each row of the adapted matrix, [out] or [experts, out], in float32."""
    count, is_bank = matrix.leading, a.ndim == 3
    size = a.shape[-2] * (matrix.row_count if is_bank else 1)
    step = max(1, _SLAB // size)
    lengths = []
    for start in range(0, count, step):
        stop = min(start + step, count)
        weight = matrix.rows(mx.arange(start, stop)).astype(mx.float32)
        own = (a[start:stop], b[start:stop]) if is_bank else (a, b[:, start:stop])
        change = own[1].swapaxes(-1, -2) @ own[0].swapaxes(-1, -2)
        lengths.append(mx.linalg.norm(weight + change, axis=-1))
        mx.eval(lengths[-1])
    return mx.concatenate(lengths)
