"""One decoded token of a Gated DeltaNet layer in one Metal kernel: everything between the projections.

The plain path (`layers.delta_net.DeltaRule`) dispatches an operation for each part of it: convolution with
silu, norm of queries and keys, decay and beta, the delta rule, the output's norm, its gate. Only the delta
rule, which reads and writes the matrix, has work worth a launch. Here one threadgroup has one value head, and
with it all that the head needs: its queries and keys (which the value heads of one key head compute anew), its
rows of the matrix, and its output, whose norm runs over the head.

**Not yet run in Metal.** Its body is compiled as C++ by the tests and compared with the plain path there
(`tests/support/engine/metal_shim.py`), and `engine.kernel_choice` compares it with the plain path on the Mac
where it is to run, and does without it where they differ.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import mlx.core as mx

from mlx_model.config.model_config import ModelConfig

L2_EPS = 1e-6
"""Added to the sum of squares before its root, as in flash-linear-attention's `l2norm`."""

LANES = 32
"""Threads of a SIMD group on every Apple GPU."""
_SIMDGROUPS = 32
"""SIMD groups of a threadgroup at most: 1,024 threads, Metal's limit."""


@dataclass(frozen=True, slots=True)
class DeltaWeights:
    """What a DeltaNet layer's rule has of its own, all in float32.

    `taps` [kernel, channels], oldest input first; `rate` (exp(A_log)) and `dt_bias`, each [2 · Hv] with zeros
    before them, where b stands; `norm` [Dv] and `eps` [1], the output norm's weight and epsilon.
    """

    taps: mx.array
    rate: mx.array
    dt_bias: mx.array
    norm: mx.array
    eps: mx.array


class DeltaStep(Protocol):
    """Computes one token of a DeltaNet layer between its projections."""

    def __call__(
        self, projected: mx.array, inputs: Sequence[mx.array], matrix: mx.array, weights: DeltaWeights
    ) -> tuple[mx.array, mx.array]:
        """projected [1, 1, q | k | v | z | b | a], the convolution's earlier inputs [1, 1, channels] each,
        oldest first, and matrix [1, Hv, Dv, Dk] → what the output projection is given [1, 1, Hv · Dv] in the
        dtype of `projected`, and the matrix after the token."""
        ...


class FusedDeltaStep(DeltaStep):
    """The kernel for the shapes of one model. Raises ValueError or RuntimeError where MLX cannot make or launch
    it."""

    def __init__(self, config: ModelConfig) -> None:
        self._values = config.linear_value_dim
        self._heads = config.linear_num_value_heads
        key_dim, value_dim = config.linear_key_head_dim, config.linear_value_head_dim
        self._threads = LANES * min(value_dim, _SIMDGROUPS)
        self._sizes = [
            ("Hk", config.linear_num_key_heads),
            ("Hv", self._heads),
            ("Dk", key_dim),
            ("Dv", value_dim),
            ("Simds", self._threads // LANES),
            ("Mixed", 2 * key_dim + value_dim),
        ]
        earlier = earlier_inputs(config.linear_conv_kernel_dim)
        made = mx.fast.metal_kernel(
            name=f"tidegate_delta_step_{config.linear_conv_kernel_dim}",
            input_names=["projected", *earlier, "matrix", "taps", "rate", "dt_bias", "norm", "eps"],
            output_names=["out", "matrix_out"],
            source=body(config.linear_conv_kernel_dim),
        )
        self._kernel = cast(Callable[..., list[mx.array]], made)

    def __call__(
        self, projected: mx.array, inputs: Sequence[mx.array], matrix: mx.array, weights: DeltaWeights
    ) -> tuple[mx.array, mx.array]:
        out, after = self._kernel(
            inputs=[
                projected,
                *inputs,
                matrix,
                weights.taps,
                weights.rate,
                weights.dt_bias,
                weights.norm,
                weights.eps,
            ],
            template=[("T", projected.dtype), *self._sizes],
            grid=(self._threads * self._heads, 1, 1),
            threadgroup=(self._threads, 1, 1),
            output_shapes=[(1, 1, self._values), matrix.shape],
            output_dtypes=[projected.dtype, mx.float32],
        )
        return out, after


def earlier_inputs(taps: int) -> list[str]:
    """The kernel's names of the convolution's earlier inputs, oldest first."""
    return [f"earlier{n}" for n in range(taps - 1)]


def body(taps: int) -> str:
    """The kernel's body for a convolution of so many taps. Its template has the type T of activations and the
    integers Hk, Hv, Dk, Dv, Simds (SIMD groups of a threadgroup) and Mixed (2 · Dk + Dv, or more)."""
    inputs = [*(f"{name}[channel]" for name in earlier_inputs(taps)), "projected[channel]"]
    terms = (f"static_cast<float>({read}) * taps[{n} * channels + channel]" for n, read in enumerate(inputs))
    return _BODY.replace("CONVOLUTION", "\n        + ".join(terms))


_BODY = """\
const int lane = thread_index_in_simdgroup;
const int simd = simdgroup_index_in_threadgroup;
const int thread_index = simd * 32 + lane;
const int head = threadgroup_position_in_grid.x;
const int key_head = head / (Hv / Hk);
const int keys = Hk * Dk;
const int channels = 2 * keys + Hv * Dv;
threadgroup float mixed[Mixed];  // silu of the convolution: q | k | v of this head
threadgroup float read[Mixed];  // what the rows of the matrix say of the query

for (int n = thread_index; n < 2 * Dk + Dv; n += 32 * Simds) {
    int channel = 2 * keys + head * Dv + n - 2 * Dk;
    if (n < 2 * Dk) {
        channel = n < Dk ? key_head * Dk + n : keys + key_head * Dk + n - Dk;
    }
    const float x = CONVOLUTION;
    mixed[n] = x / (1.0f + metal::precise::exp(-x));
}
metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);

// Each lane has the same few dimensions of queries, keys and rows.
const int share = (Dk + 31) / 32;
float q[share];
float k[share];
float q_squares = 0.0f;
float k_squares = 0.0f;
float products = 0.0f;
for (int n = 0; n < share; ++n) {
    const int d = lane * share + n;
    q[n] = d < Dk ? mixed[d] : 0.0f;
    k[n] = d < Dk ? mixed[Dk + d] : 0.0f;
    q_squares += q[n] * q[n];
    k_squares += k[n] * k[n];
    products += q[n] * k[n];
}
const float q_scale = metal::precise::rsqrt(metal::simd_sum(q_squares) + L2_EPS);
const float k_scale = metal::precise::rsqrt(metal::simd_sum(k_squares) + L2_EPS);
const float qk = metal::simd_sum(products) * q_scale * k_scale;
for (int n = 0; n < share; ++n) {
    q[n] *= q_scale;
    k[n] *= k_scale;
}

const float b = static_cast<float>(projected[channels + Hv * Dv + head]);
const float a = static_cast<float>(projected[channels + Hv * Dv + Hv + head]) + dt_bias[Hv + head];
const float beta = 1.0f / (1.0f + metal::precise::exp(-b));
const float softplus = metal::max(a, 0.0f) + log1p(metal::precise::exp(-metal::abs(a)));
const float decay = metal::precise::exp(-rate[Hv + head] * softplus);

// S' = decay · S + delta kᵀ with delta = beta (v - decay · S k), so S' q = decay · S q + delta (k · q): each
// row is read once, and its two sums are under way together.
for (int row = simd; row < Dv; row += Simds) {
    const int start = (head * Dv + row) * Dk + lane * share;
    float s[share];
    float at_k = 0.0f;
    float at_q = 0.0f;
    for (int n = 0; n < share; ++n) {
        s[n] = lane * share + n < Dk ? decay * matrix[start + n] : 0.0f;
        at_k += s[n] * k[n];
        at_q += s[n] * q[n];
    }
    at_k = metal::simd_sum(at_k);
    at_q = metal::simd_sum(at_q);
    const float delta = (mixed[2 * Dk + row] - at_k) * beta;
    for (int n = 0; n < share; ++n) {
        if (lane * share + n < Dk) {
            matrix_out[start + n] = s[n] + delta * k[n];
        }
    }
    if (lane == 0) {
        read[row] = at_q + delta * qk;
    }
}
metal::threadgroup_barrier(metal::mem_flags::mem_threadgroup);

float squares = 0.0f;
for (int row = lane; row < Dv; row += 32) {
    squares += read[row] * read[row];
}
const float scale = metal::precise::rsqrt(metal::simd_sum(squares) / Dv + eps[0]);
for (int row = thread_index; row < Dv; row += 32 * Simds) {
    const float z = static_cast<float>(projected[channels + head * Dv + row]);
    const float gated = read[row] * scale * norm[row] * z / (1.0f + metal::precise::exp(-z));
    out[head * Dv + row] = static_cast<T>(gated);
}
""".replace("L2_EPS", f"{L2_EPS}f")
