"""One layer of the stack: a token mixer (attention or DeltaNet), then a feed-forward network, each with a
residual connection."""

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
from mlx_model.state.rows import DeltaRows, KVRows


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
        """The layer after this one, where experts are read from disk: its experts are guessed ahead."""

    def _feed_forward(self, x: mx.array) -> mx.array:
        normalized = self.post_attention_layernorm(x)
        if isinstance(self.mlp, FeedForward):
            return x + self.mlp(normalized)
        ahead = self.following.guess(x) if self.following is not None and x.shape[1] == 1 else None
        return self.mlp(normalized, x, ahead)

    def guess(self, x: mx.array) -> Guess | None:
        """The experts that this layer will probably need, from x [1, 1, hidden] before the feed-forward network
        of the layer before: a layer changes the residual stream little, so this layer's router is run on x
        (arXiv 2312.17238)."""
        if not isinstance(self.mlp, SparseFeedForward):
            return None
        return self.mlp.guess(self.post_attention_layernorm(x))


class AttentionLayer(_DecoderLayer):
    """A layer with gated full attention. `rotary`: shared with other layers, or of another base; by default one
    with the config's base."""

    def __init__(
        self, config: ModelConfig, parameters: Parameters, *, sparse: bool, rotary: Rotary | None = None
    ) -> None:
        super().__init__(config, parameters, sparse)
        rotary = rotary or Rotary(config, config.rope_theta)
        self.self_attn = GatedAttention(config, parameters.scope("self_attn"), rotary)

    def __call__(self, x: mx.array, kv: KVBuffer | KVRows) -> mx.array:
        """x [1, tokens, hidden] → the same shape; `kv` grows by the tokens."""
        return self._feed_forward(x + self.self_attn(self.input_layernorm(x), kv))


class DeltaNetLayer(_DecoderLayer):
    """A layer with Gated DeltaNet."""

    def __init__(self, config: ModelConfig, parameters: Parameters, *, sparse: bool) -> None:
        super().__init__(config, parameters, sparse)
        self.linear_attn = GatedDeltaNet(config, parameters.scope("linear_attn"))

    def __call__(self, x: mx.array, state: DeltaState | DeltaRows) -> mx.array:
        """x [1, tokens, hidden] → the same shape; `state` advances by the tokens."""
        return self._feed_forward(x + self.linear_attn(self.input_layernorm(x), state))
