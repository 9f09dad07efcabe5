"""The multi-token-prediction layer (arXiv 2412.19437, section 2.2): it predicts the token after a token from
that token and the hidden state before it."""

import mlx.core as mx

from mlx_model.config.model_config import ModelConfig
from mlx_model.layers.decoder import AttentionLayer
from mlx_model.layers.norms import RMSNorm
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import Linear
from mlx_model.layers.rotary import Rotary
from mlx_model.state.kv import KVBuffer


class MultiTokenPrediction:
    """Parameters under `mtp`. Embedding and head are the model's own; keys and values are the layer's.

    For position t: norm(layer(fc([embedding of token t+1 | hidden state of t]))), both parts normalized first.
    The hidden state is the model's after its final norm, or, for a further draft, what this layer returned.
    """

    def __init__(self, config: ModelConfig, parameters: Parameters) -> None:
        hidden, eps = config.hidden_size, config.rms_norm_eps
        self.fc = Linear(parameters.scope("fc"), hidden, 2 * hidden)
        self.pre_fc_norm_embedding = RMSNorm(parameters.scope("pre_fc_norm_embedding"), hidden, eps)
        self.pre_fc_norm_hidden = RMSNorm(parameters.scope("pre_fc_norm_hidden"), hidden, eps)
        self.layer = AttentionLayer(
            config,
            parameters.scope("layers.0"),
            sparse=config.num_experts > 0,
            rotary=Rotary(config, config.mtp_rope_theta or config.rope_theta),
        )
        self.norm = RMSNorm(parameters.scope("norm"), hidden, eps)

    def __call__(self, embeddings: mx.array, hidden: mx.array, kv: KVBuffer) -> mx.array:
        """embeddings [1, tokens, hidden] of the tokens t+1 and hidden states [1, tokens, hidden] at t → hidden
        states [1, tokens, hidden] for the head; `kv` grows by the tokens."""
        return self.norm(self.layer(self._joined(embeddings, hidden), kv))

    def step(self, embeddings: mx.array, hidden: mx.array, kv: KVBuffer) -> mx.array:
        """As when called, by compiled graphs (see layers/decoder.py)."""
        return self.norm(self.layer.step(self._joined(embeddings, hidden), kv))

    def _joined(self, embeddings: mx.array, hidden: mx.array) -> mx.array:
        joined = [self.pre_fc_norm_embedding(embeddings), self.pre_fc_norm_hidden(hidden)]
        return self.fc(mx.concatenate(joined, axis=-1))
