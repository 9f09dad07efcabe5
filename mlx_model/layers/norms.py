"""Root-mean-square normalization (arXiv 1910.07467), plain and gated. Means are taken in float32."""

from functools import cache

import mlx.core as mx

from mlx_model.layers.elementwise import fused, swiglu_by_powers
from mlx_model.layers.parameters import Parameters


def over_length(x: mx.array, eps: float) -> mx.array:
    """x / sqrt(sum(x²) + size · eps) over the last axis, of that size: x / rms(x) but for a factor.

    For a CPU with a fast BLAS: the sum of a row is a product. MLX's own norm has twice as many operations there
    (0.32), and what few rows cost is their operations: a token through 48 tiny layers takes 0.89 of the
    processor time, through the practice model 0.85.
    """
    *leading, size = x.shape
    rows = x.size // size
    sums = mx.addmm(_constant(size * eps), x.reshape(rows, 1, size), x.reshape(rows, size, 1))
    return x * mx.rsqrt(sums).reshape(*leading, 1)


@cache
def _constant(value: float) -> mx.array:
    return mx.array([[[value]]])


class RMSNorm:
    """x / rms(x) · weight over the last axis; the weight has the one of offset norms added already."""

    def __init__(self, parameters: Parameters, size: int, eps: float) -> None:
        self.weight = parameters.take("weight", (size,))
        self.eps = eps
        self._factor = _factor(self.weight) if parameters.by_blas else None

    def __call__(self, x: mx.array) -> mx.array:
        if self._factor is not None:
            return over_length(x, self.eps) * self._factor
        return mx.fast.rms_norm(x, self.weight, self.eps)


def _factor(weight: mx.array) -> mx.array:
    """What `over_length` lacks of a norm with this weight [size]: [1, 1, size], the shape of a token, to which
    nothing has to be broadcast."""
    factor: mx.array = weight.reshape(1, 1, -1) * float(weight.size) ** 0.5
    mx.eval(factor)
    return factor


class GatedRMSNorm:
    """DeltaNet's output norm: the normalized x times silu(gate), all in float32."""

    def __init__(self, parameters: Parameters, size: int, eps: float) -> None:
        self.weight = parameters.take("weight", (size,)).astype(mx.float32)
        mx.eval(self.weight)
        self.eps = eps
        self._factor = _factor(self.weight) if parameters.by_blas else None

    def __call__(self, x: mx.array, gate: mx.array) -> mx.array:
        """x [..., size] in float32 and gate [..., size] → [..., size] in the dtype of gate."""
        if self._factor is not None:
            return swiglu_by_powers(gate, over_length(x, self.eps) * self._factor)
        return _gated(mx.fast.rms_norm(x, self.weight, self.eps), gate)


@fused
def _gated(x: mx.array, gate: mx.array) -> mx.array:
    wide = gate.astype(mx.float32)
    return (x * wide * mx.sigmoid(wide)).astype(gate.dtype)
