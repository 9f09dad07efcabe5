"""One layer of the stack: tokens are mixed, then each passes the feed-forward part, both with a residual."""

import mlx.core as mx

from mlx_model.config.model_config import ModelConfig
from mlx_model.layers.attention import GatedAttention
from mlx_model.layers.delta_net import GatedDeltaNet
from mlx_model.layers.experts import FeedForward
from mlx_model.layers.mixture import SparseFeedForward
from mlx_model.layers.norms import RMSNorm
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.rotary import Rotary
from mlx_model.layers.streamed_experts import Guess
from mlx_model.state.kv import KVBuffer
from mlx_model.state.recurrent import DeltaState


class _DecoderLayer:
    def __init__(self, config: ModelConfig, parameters: Parameters, sparse: bool) -> None:
        hidden, eps = config.hidden_size, config.rms_norm_eps
        self.input_layernorm = RMSNorm(parameters.scope("input_layernorm"), hidden, eps)
        self.post_attention_layernorm = RMSNorm(parameters.scope("post_attention_layernorm"), hidden, eps)
        self.mlp: SparseFeedForward | FeedForward
        if sparse:
            self.mlp = SparseFeedForward(config, parameters.scope("mlp"))
        else:
            self.mlp = FeedForward(parameters.scope("mlp"), hidden, config.intermediate_size)
        self.following: _DecoderLayer | None = None
        """The layer after this one, where its experts may have to be read: they are guessed ahead."""

    def _feed_forward(self, x: mx.array) -> mx.array:
        normalized = self.post_attention_layernorm(x)
        if isinstance(self.mlp, SparseFeedForward) and self.following is not None and x.shape[1] == 1:
            return x + self.mlp(normalized, self.following.guess(x))
        return x + self.mlp(normalized)

    def guess(self, x: mx.array) -> Guess | None:
        """Which experts this layer will need when x [1, 1, hidden] has passed the layer before: what its router
        makes of x as it is now, for a layer changes the residual stream little (arXiv 2312.17238)."""
        if not isinstance(self.mlp, SparseFeedForward):
            return None
        return self.mlp.guess(self.post_attention_layernorm(x))


class AttentionLayer(_DecoderLayer):
    """A layer that mixes by gated full attention. `rotary`: one that is shared, or that has another base."""

    def __init__(
        self, config: ModelConfig, parameters: Parameters, *, sparse: bool, rotary: Rotary | None = None
    ) -> None:
        super().__init__(config, parameters, sparse)
        rotary = rotary or Rotary(config, config.rope_theta)
        self.self_attn = GatedAttention(config, parameters.scope("self_attn"), rotary)

    def __call__(self, x: mx.array, kv: KVBuffer) -> mx.array:
        """x [1, tokens, hidden] → the same; `kv` grows by the tokens."""
        return self._feed_forward(x + self.self_attn(self.input_layernorm(x), kv))


class DeltaNetLayer(_DecoderLayer):
    """A layer that mixes by Gated DeltaNet."""

    def __init__(self, config: ModelConfig, parameters: Parameters, *, sparse: bool) -> None:
        super().__init__(config, parameters, sparse)
        self.linear_attn = GatedDeltaNet(config, parameters.scope("linear_attn"))

    def __call__(self, x: mx.array, state: DeltaState) -> mx.array:
        """x [1, tokens, hidden] → the same; `state` moves on by the tokens."""
        return self._feed_forward(x + self.linear_attn(self.input_layernorm(x), state))
