"""Gated DeltaNet (arXiv 2412.06464): a short causal convolution, then a delta rule with decay on one matrix per
head."""

import mlx.core as mx

from mlx_model.config.model_config import ModelConfig
from mlx_model.layers.elementwise import fused, sigmoid_by_powers
from mlx_model.layers.kernels.delta_step import L2_EPS, DeltaStep, DeltaWeights
from mlx_model.layers.norms import GatedRMSNorm, over_length
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import Linear
from mlx_model.state.recurrent import DeltaBlock, DeltaState, Update
from mlx_model.state.rows import DeltaRows


@fused
def _beta_and_decay(ba: mx.array, rate: mx.array, dt_bias: mx.array, is_decay: mx.array) -> mx.array:
    """b | a [1, tokens, 2 · Hv] → in float32, the shares of the new values that a step writes, sigmoid(b), and
    the factors in (0, 1) that it multiplies the state by, exp(-rate · softplus(a + dt_bias)), where rate is
    exp(A_log). Both are computed for all and one is chosen, which makes them one kernel."""
    wide = ba.astype(mx.float32)
    decay = mx.exp(-rate * mx.logaddexp(wide + dt_bias, mx.array(0.0)))
    return mx.where(is_decay, decay, mx.sigmoid(wide))


def _weighted(inputs: list[mx.array], weights: list[mx.array]) -> mx.array:
    """The causal convolution, in float32: inputs[n] [1, tokens, channels] stands n tokens after the oldest
    input that the kernel reaches, and is weighted by weights[n] [channels]. A convolution of so few taps is a
    sum, which is the same at any number of tokens."""
    terms = [x.astype(mx.float32) * weight for x, weight in zip(inputs, weights, strict=True)]
    while len(terms) > 1:
        # In pairs: mx.compile fuses no deeper than 11 operations.
        pairs = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)]
        terms = pairs + terms[2 * len(pairs) :]
    return terms[0]


@fused
def _convolved(inputs: list[mx.array], weights: list[mx.array]) -> mx.array:
    """silu of the convolution, which makes the two one kernel."""
    mixed = _weighted(inputs, weights)
    return mixed * mx.sigmoid(mixed)


def _convolved_by_powers(inputs: list[mx.array], weights: list[mx.array]) -> mx.array:
    """The same for a CPU with a fast BLAS."""
    mixed = _weighted(inputs, weights)
    return mixed * sigmoid_by_powers(mixed)


class DeltaRule:
    """Everything between the projections. Parameters under `linear_attn`.

    All of it runs in float32: the decay is close to one, and MLX's kernel computes in the dtype of its queries,
    so bfloat16 would round most decays to exactly one. `step`: a kernel that computes one token as the plain
    path does; None: the plain path. `update`: what runs the recurrence over a block.
    """

    def __init__(self, config: ModelConfig, parameters: Parameters) -> None:
        self.key_heads, self.value_heads = config.linear_num_key_heads, config.linear_num_value_heads
        self.key_dim, self.value_dim = config.linear_key_head_dim, config.linear_value_head_dim
        self.by_blas = parameters.by_blas
        self._convolved = _convolved_by_powers if parameters.by_blas else _convolved
        self.qk_width = 2 * config.linear_key_dim
        self.qk_weight = mx.full((self.key_dim,), self.key_dim**-0.5)
        conv = config.conv_dim
        self.splits = [conv, conv + config.linear_value_dim]
        kernel = config.linear_conv_kernel_dim
        taps = parameters.take("conv1d.weight", (conv, kernel, 1)).astype(mx.float32)
        taps = mx.contiguous(taps[..., 0].T)
        self.taps = [taps[n] for n in range(kernel)]
        rate = mx.exp(parameters.take("A_log", (self.value_heads,)).astype(mx.float32))
        dt_bias = parameters.take("dt_bias", (self.value_heads,)).astype(mx.float32)
        # Before them, where b stands, what has no effect.
        rate, dt_bias = (mx.concatenate([mx.zeros_like(part), part]) for part in (rate, dt_bias))
        self.is_decay = mx.arange(2 * self.value_heads) >= self.value_heads
        # Queries are scaled by 1 / sqrt(key_dim) once more, as in attention. The output is linear in them and
        # is normalized next, so an epsilon that is larger by key_dim does the same.
        eps = config.rms_norm_eps * self.key_dim
        self.norm = GatedRMSNorm(parameters.scope("norm"), self.value_dim, eps)
        self.weights = DeltaWeights(taps, rate, dt_bias, self.norm.weight, mx.array([eps]))
        self.step: DeltaStep | None = None
        self.update: Update = mx.fast.gated_delta_update
        # Lazy arrays belong to the thread that loads; the model may run in another.
        mx.eval(taps, self.taps, self.qk_weight, rate, dt_bias, self.is_decay, self.weights.eps)

    def __call__(self, projected: mx.array, state: DeltaState | DeltaRows) -> mx.array:
        """projected [1, tokens, q | k | v | z | b | a] → [1, tokens, Hv · Dv] in the same dtype; `state`
        advances by the tokens, a block of one sequence or one token of each row."""
        tokens = projected.shape[1]
        if self.step is not None and isinstance(state, DeltaRows):
            rows = [self(projected[:, row : row + 1], alone) for row, alone in enumerate(state.rows)]
            return mx.concatenate(rows, axis=1)
        mixed, z, ba = mx.split(projected, self.splits, axis=-1)
        if self.step is not None and tokens == 1 and isinstance(state, DeltaState) and not state.recording:
            y, matrix = self.step(projected, state.inputs, state.matrix, self.weights)
            state.follow(mixed, matrix)
            return y
        qk, v = mx.split(self._convolve(state.inputs, mixed), [self.qk_width], axis=-1)
        # x / sqrt(sum(x²) + eps) is rms_norm with eps over the length, times 1 / sqrt(length).
        qk = qk.reshape(1, tokens, 2 * self.key_heads, self.key_dim)
        eps = L2_EPS / self.key_dim
        qk = over_length(qk, eps) if self.by_blas else mx.fast.rms_norm(qk, self.qk_weight, eps)
        q, k = mx.split(qk, 2, axis=2)
        v = v.reshape(1, tokens, self.value_heads, self.value_dim)
        rates = _beta_and_decay(ba, self.weights.rate, self.weights.dt_bias, self.is_decay)
        beta, decay = mx.split(rates, 2, axis=-1)
        y = state.advance(q, DeltaBlock(mixed, k, v, decay, beta), self.update)
        z = z.reshape(1, tokens, self.value_heads, self.value_dim)
        return self.norm(y, z).reshape(1, tokens, -1)

    def _convolve(self, before: list[mx.array], mixed: mx.array) -> mx.array:
        """mixed [1, tokens, channels], after the inputs `before` → the same shape in float32."""
        tokens = mixed.shape[1]
        if tokens == before[0].shape[1]:  # one token of each sequence
            return self._convolved([*before, mixed], self.taps)
        whole = mx.concatenate([*before, mixed], axis=1)
        return self._convolved([whole[:, n : n + tokens] for n in range(len(self.taps))], self.taps)


class GatedDeltaNet:
    """Parameters under `linear_attn`."""

    def __init__(self, config: ModelConfig, parameters: Parameters) -> None:
        self.in_proj = Linear(
            parameters.scope("in_proj"),
            config.conv_dim + config.linear_value_dim + 2 * config.linear_num_value_heads,
            config.hidden_size,
            config.linear_in_parts,
        )
        self.rule = DeltaRule(config, parameters)
        self.out_proj = Linear(parameters.scope("out_proj"), config.hidden_size, config.linear_value_dim)

    def __call__(self, x: mx.array, state: DeltaState | DeltaRows) -> mx.array:
        """x [1, tokens, hidden] → the same shape; `state` advances by the tokens."""
        return self.out_proj(self.rule(self.in_proj(x), state))
