"""Gated DeltaNet (arXiv 2412.06464): a short causal convolution, then a delta rule with decay on one matrix per
head."""

from functools import partial

import mlx.core as mx

from mlx_model.config.model_config import ModelConfig
from mlx_model.layers.norms import GatedRMSNorm
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import Linear
from mlx_model.state.recurrent import DeltaBlock, DeltaState

_L2_EPS = 1e-6
"""Added to the sum of squares before its root, as in flash-linear-attention's `l2norm`."""


@partial(mx.compile, shapeless=True)
def _decay(rate: mx.array, a: mx.array, dt_bias: mx.array) -> mx.array:
    """The factor that a step multiplies the state by, in (0, 1): exp(-rate · softplus(a + dt_bias)), where rate
    is exp(A_log); a [1, tokens, Hv] → the same in float32."""
    return mx.exp(-rate * mx.logaddexp(a.astype(mx.float32) + dt_bias, mx.array(0.0)))


@partial(mx.compile, shapeless=True)
def _silu_float32(x: mx.array) -> mx.array:
    return (x * mx.sigmoid(x)).astype(mx.float32)


class GatedDeltaNet:
    """Parameters under `linear_attn`.

    Everything between the projections runs in float32: the decay is close to one, and the Metal kernel computes
    in the dtype of its queries, so bfloat16 would round most decays to exactly one.
    """

    def __init__(self, config: ModelConfig, parameters: Parameters) -> None:
        self.key_heads, self.value_heads = config.linear_num_key_heads, config.linear_num_value_heads
        self.key_dim, self.value_dim = config.linear_key_head_dim, config.linear_value_head_dim
        keys, values = config.linear_key_dim, config.linear_value_dim
        self.qk_width = 2 * keys
        # Queries are scaled by 1 / sqrt(key_dim) once more, as in attention.
        scale = self.key_dim**-0.5
        self.qk_scale = mx.array([scale * scale] * self.key_heads + [scale] * self.key_heads)[:, None]
        conv = config.conv_dim
        self.in_splits = [conv, conv + values, conv + values + self.value_heads]
        self.in_proj = Linear(
            parameters.scope("in_proj"),
            conv + values + 2 * self.value_heads,
            config.hidden_size,
            config.linear_in_parts,
        )
        self.conv_weight = parameters.take("conv1d.weight", (conv, config.linear_conv_kernel_dim, 1))
        self.rate = mx.exp(parameters.take("A_log", (self.value_heads,)).astype(mx.float32))
        self.dt_bias = parameters.take("dt_bias", (self.value_heads,)).astype(mx.float32)
        self.norm = GatedRMSNorm(parameters.scope("norm"), self.value_dim, config.rms_norm_eps)
        self.out_proj = Linear(parameters.scope("out_proj"), config.hidden_size, values)
        # Lazy arrays belong to the thread that loads; the model may run in another.
        mx.eval(self.qk_scale, self.rate, self.dt_bias)

    def __call__(self, x: mx.array, state: DeltaState) -> mx.array:
        """x [1, tokens, hidden] → the same shape; `state` advances by the tokens."""
        tokens = x.shape[1]
        mixed, z, b, a = mx.split(self.in_proj(x), self.in_splits, axis=-1)
        conv_input = mx.concatenate([state.window, mixed], axis=1)
        convolved = _silu_float32(mx.conv1d(conv_input, self.conv_weight, groups=conv_input.shape[-1]))
        qk, v = mx.split(convolved, [self.qk_width], axis=-1)
        # x / sqrt(sum(x²) + eps) is rms_norm with eps over the length, times 1 / sqrt(length).
        qk = qk.reshape(1, tokens, 2 * self.key_heads, self.key_dim)
        qk = mx.fast.rms_norm(qk, None, _L2_EPS / self.key_dim) * self.qk_scale
        q, k = mx.split(qk, 2, axis=2)
        v = v.reshape(1, tokens, self.value_heads, self.value_dim)
        block = DeltaBlock(
            conv_input, k, v, _decay(self.rate, a, self.dt_bias), mx.sigmoid(b.astype(mx.float32))
        )
        y = state.advance(q, block)
        z = z.reshape(1, tokens, self.value_heads, self.value_dim)
        return self.out_proj(self.norm(y, z).reshape(1, tokens, -1))
