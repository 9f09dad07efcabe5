"""A mixture of experts: routed experts, all in memory or not, and a gated shared expert."""

import mlx.core as mx

from mlx_model.config.model_config import ModelConfig
from mlx_model.layers.elementwise import scaled_by_sigmoid
from mlx_model.layers.experts import FeedForward, RoutedExperts
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import Linear
from mlx_model.layers.streamed_experts import Guess, StreamedExperts


class SparseFeedForward:
    """The top-k experts weighted by their router probabilities, plus a shared expert behind a sigmoid gate.

    Probabilities are a float32 softmax over all experts; with norm_topk_prob those of the chosen experts are
    scaled to sum to one.
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

    def guess(self, x: mx.array) -> Guess | None:
        """The likelier half of the experts that the router chooses for x [1, 1, hidden]: the other half is
        guessed wrong too often to be worth reading. None where all experts are in memory."""
        if not isinstance(self.experts, StreamedExperts):
            return None
        count = (self.chosen + 1) // 2
        experts = mx.argpartition(self.gate(x), kth=-count, axis=-1)[..., -count:]
        return Guess(experts, self.experts.bank)

    def __call__(self, x: mx.array, ahead: Guess | None = None) -> mx.array:
        """x [1, tokens, hidden] → the same shape. `ahead`: the next layer's probable experts, to be
        prefetched."""
        probabilities = mx.softmax(self.gate(x).astype(mx.float32), axis=-1)
        # The choice of experts has no gradient; the probabilities that weight them have one.
        experts = mx.argpartition(mx.stop_gradient(probabilities), kth=-self.chosen, axis=-1)
        experts = experts[..., -self.chosen :]
        weights = mx.take_along_axis(probabilities, experts, axis=-1)
        if self.normalized:
            weights = weights / weights.sum(axis=-1, keepdims=True)
        weights = weights.astype(x.dtype)
        if isinstance(self.experts, StreamedExperts):
            routed = self.experts(x, experts, weights, ahead)
        else:
            routed = self.experts(x, experts, weights)
        return routed + scaled_by_sigmoid(self.shared_expert(x), self.shared_expert_gate(x))
