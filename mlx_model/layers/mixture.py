"""A mixture of experts: routed experts, all in memory or not, and a gated shared expert."""

from functools import cached_property

import mlx.core as mx

from mlx_model.config.model_config import ModelConfig
from mlx_model.layers.elementwise import fused
from mlx_model.layers.experts import FeedForward, RoutedExperts
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import Joined, Linear
from mlx_model.layers.streamed_experts import Guess, StreamedExperts


class SparseFeedForward:
    """The top-k experts weighted by their router probabilities, plus a shared expert behind a sigmoid gate.

    Probabilities are a softmax over all experts, summed in float32; with norm_topk_prob those of the chosen
    experts are scaled to sum to one.
    """

    def __init__(self, config: ModelConfig, parameters: Parameters) -> None:
        self.chosen = config.num_experts_per_tok
        self.normalized = config.norm_topk_prob
        hidden = config.hidden_size
        self.gate = Linear(parameters.scope("gate"), config.num_experts, hidden)
        bank, inner = parameters.scope("experts"), config.moe_intermediate_size
        self.experts = (
            StreamedExperts(bank, parameters.banks[bank.path], hidden, inner)
            if bank.path in parameters.banks
            else RoutedExperts(bank, config.num_experts, hidden, inner)
        )
        self.shared_expert = FeedForward(
            parameters.scope("shared_expert"), hidden, config.shared_expert_intermediate_size
        )
        self.shared_expert_gate = Linear(parameters.scope("shared_expert_gate"), 1, hidden)

    @cached_property
    def _gates(self) -> Joined:
        return Joined(self.gate, self.shared_expert_gate)

    def guess(self, x: mx.array) -> Guess | None:
        """The likelier half of the experts that the router chooses for x [1, 1, hidden]: the other half is
        guessed wrong too often to be worth reading. None where all experts are in memory."""
        if not isinstance(self.experts, StreamedExperts):
            return None
        count = (self.chosen + 1) // 2
        experts = mx.argpartition(self.gate(x), kth=-count, axis=-1)[..., -count:]
        return Guess(experts, self.experts.bank)

    def __call__(self, x: mx.array, residual: mx.array, ahead: Guess | None = None) -> mx.array:
        """x [1, tokens, hidden], and `residual` of that shape, to which the result is added. `ahead`: the next
        layer's probable experts, to be prefetched."""
        logits, shared_gate = self._gates(x)
        # The choice of experts has no gradient; the probabilities that weight them have one.
        experts = mx.argpartition(mx.stop_gradient(logits), kth=-self.chosen, axis=-1)[..., -self.chosen :]
        if self.normalized:
            # Probabilities of all, divided by the sum of those of the chosen: a softmax over the chosen.
            weights = mx.softmax(mx.take_along_axis(logits, experts, axis=-1), axis=-1, precise=True)
        else:
            weights = mx.take_along_axis(mx.softmax(logits, axis=-1, precise=True), experts, axis=-1)
        if isinstance(self.experts, StreamedExperts):
            routed = self.experts(x, experts, weights, ahead)
        else:
            routed = self.experts(x, experts, weights)
        return _summed(residual, routed, self.shared_expert(x), shared_gate)


@fused
def _summed(residual: mx.array, routed: mx.array, shared: mx.array, gate: mx.array) -> mx.array:
    return residual + (routed + shared * mx.sigmoid(gate))
