"""Root-mean-square normalization (arXiv 1910.07467), plain and gated. Means are taken in float32."""

import mlx.core as mx

from mlx_model.layers.elementwise import fused
from mlx_model.layers.parameters import Parameters


class RMSNorm:
    """x / rms(x) · weight over the last axis; the weight has the one of offset norms added already."""

    def __init__(self, parameters: Parameters, size: int, eps: float) -> None:
        self.weight = parameters.take("weight", (size,))
        self.eps = eps

    def __call__(self, x: mx.array) -> mx.array:
        return mx.fast.rms_norm(x, self.weight, self.eps)


class GatedRMSNorm:
    """DeltaNet's output norm: the normalized x times silu(gate), all in float32."""

    def __init__(self, parameters: Parameters, size: int, eps: float) -> None:
        self.weight = parameters.take("weight", (size,)).astype(mx.float32)
        mx.eval(self.weight)
        self.eps = eps

    def __call__(self, x: mx.array, gate: mx.array) -> mx.array:
        """x [..., size] in float32 and gate [..., size] → [..., size] in the dtype of gate."""
        return _gated(mx.fast.rms_norm(x, self.weight, self.eps), gate)


@fused
def _gated(x: mx.array, gate: mx.array) -> mx.array:
    wide = gate.astype(mx.float32)
    return (x * wide * mx.sigmoid(wide)).astype(gate.dtype)
