"""Root-mean-square normalization, plain and gated. Means are taken in float32."""

import mlx.core as mx

from mlx_model.layers.activations import silu
from mlx_model.layers.parameters import Parameters


class RMSNorm:
    """x / rms(x) · weight over the last axis; the weight stands as it multiplies, the one already added."""

    def __init__(self, parameters: Parameters, size: int, eps: float) -> None:
        self.weight = parameters.take("weight", (size,))
        self.eps = eps

    def __call__(self, x: mx.array) -> mx.array:
        return mx.fast.rms_norm(x, self.weight, self.eps)


class GatedRMSNorm(RMSNorm):
    """DeltaNet's output norm: the normalized x times silu(gate), the gate in float32."""

    def gated(self, x: mx.array, gate: mx.array) -> mx.array:
        """x and gate [..., size] → [..., size] in the dtype of gate."""
        normalized = self(x.astype(gate.dtype))
        return (silu(gate.astype(mx.float32)) * normalized).astype(gate.dtype)
