"""Feed-forward layers: a dense SwiGLU, and a mixture of routed experts beside a gated shared one."""

import mlx.core as mx

from mlx_model.config import ModelConfig
from mlx_model.layers.activations import scaled_by_sigmoid, swiglu
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import ExpertLinear, Linear

# From this many (token, expert) pairs on, visiting each expert's weights once pays for sorting the pairs.
_SORT_FROM = 64


class FeedForward:
    """down(silu(gate(x)) · up(x)), gate and up in one matrix."""

    def __init__(self, parameters: Parameters, hidden: int, intermediate: int) -> None:
        self.gate_up_proj = Linear(
            parameters.scope("gate_up_proj"),
            2 * intermediate,
            hidden,
            [("gate", intermediate), ("up", intermediate)],
        )
        self.down_proj = Linear(parameters.scope("down_proj"), hidden, intermediate)

    def __call__(self, x: mx.array) -> mx.array:
        gate, up = mx.split(self.gate_up_proj(x), 2, axis=-1)
        return self.down_proj(swiglu(gate, up))


class RoutedExperts:
    """The bank of experts: each token passes through those the router chose for it."""

    def __init__(self, parameters: Parameters, experts: int, hidden: int, intermediate: int) -> None:
        self.gate_up_proj = ExpertLinear(
            parameters.scope("gate_up_proj"),
            experts,
            2 * intermediate,
            hidden,
            [("gate", intermediate), ("up", intermediate)],
        )
        self.down_proj = ExpertLinear(parameters.scope("down_proj"), experts, hidden, intermediate)

    def __call__(self, x: mx.array, experts: mx.array, weights: mx.array) -> mx.array:
        """x [1, tokens, hidden]; experts and weights [1, tokens, chosen] → the weighted sum [1, tokens,
        hidden]."""
        if experts.size < _SORT_FROM:
            y = self._run(mx.expand_dims(x, (-2, -3)), experts, ordered=False).squeeze(-2)
        else:
            chosen = experts.shape[-1]
            flat = experts.flatten()
            order = mx.argsort(flat)
            rows = mx.expand_dims(x.flatten(0, -2)[order // chosen], -2)
            y = self._run(rows, flat[order], ordered=True).squeeze(-2)
            y = y[mx.argsort(order)].reshape(*experts.shape, -1)
        return (weights[..., None, :] @ y).squeeze(-2)

    def _run(self, x: mx.array, experts: mx.array, ordered: bool) -> mx.array:
        gate, up = mx.split(self.gate_up_proj(x, experts, ordered), 2, axis=-1)
        return self.down_proj(swiglu(gate, up), experts, ordered)


class SparseFeedForward:
    """The router's best experts, their probabilities as weights, plus a shared expert behind a sigmoid gate.

    Probabilities are a float32 softmax over all experts; with norm_topk_prob those chosen are scaled to sum to
    one.
    """

    def __init__(self, config: ModelConfig, parameters: Parameters) -> None:
        self.chosen = config.num_experts_per_tok
        self.normalized = config.norm_topk_prob
        hidden = config.hidden_size
        self.gate = Linear(parameters.scope("gate"), config.num_experts, hidden)
        self.experts = RoutedExperts(
            parameters.scope("experts"), config.num_experts, hidden, config.moe_intermediate_size
        )
        self.shared_expert = FeedForward(
            parameters.scope("shared_expert"), hidden, config.shared_expert_intermediate_size
        )
        self.shared_expert_gate = Linear(parameters.scope("shared_expert_gate"), 1, hidden)

    def __call__(self, x: mx.array) -> mx.array:
        probabilities = mx.softmax(self.gate(x).astype(mx.float32), axis=-1)
        experts = mx.argpartition(probabilities, kth=-self.chosen, axis=-1)[..., -self.chosen :]
        weights = mx.take_along_axis(probabilities, experts, axis=-1)
        if self.normalized:
            weights = weights / weights.sum(axis=-1, keepdims=True)
        routed = self.experts(x, experts, weights.astype(x.dtype))
        return routed + scaled_by_sigmoid(self.shared_expert(x), self.shared_expert_gate(x))
