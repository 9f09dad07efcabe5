"""Qwen3-Next: embedding, the stack of layers, final norm, head; and the MTP layer beside them."""

from itertools import pairwise

import mlx.core as mx

from mlx_model.config.model_config import ModelConfig
from mlx_model.layers.decoder import AttentionLayer, DeltaNetLayer
from mlx_model.layers.mtp import MultiTokenPrediction
from mlx_model.layers.norms import RMSNorm
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import Linear, Matrix, Projection
from mlx_model.layers.rotary import Rotary
from mlx_model.state.kv import KVBits, KVBuffer
from mlx_model.state.recurrent import DeltaState
from mlx_model.state.sequence import SequenceState


class Qwen3Next:
    """The model over canonical parameters (see layers/projections). Raises CheckpointError when they do not
    fit.

    One sequence at a time: tokens are [1, n].
    """

    def __init__(
        self,
        config: ModelConfig,
        parameters: Parameters,
        dtype: mx.Dtype,
        kv_bits: KVBits | None = None,
    ) -> None:
        """`dtype` is that of activations; `kv_bits` that of kept keys and values, None the same."""
        self.config = config
        self.dtype = dtype
        self.kv_bits = kv_bits
        trunk = parameters.scope("model")
        self.embedding = Matrix(trunk.scope("embed_tokens"), config.vocab_size, config.hidden_size)
        rotary = Rotary(config, config.rope_theta)
        self.layers = [
            _layer(config, trunk.scope(f"layers.{index}"), index, rotary)
            for index in range(config.num_hidden_layers)
        ]
        if parameters.banks:
            for layer, following in pairwise(self.layers):
                layer.following = following
        self.norm = RMSNorm(trunk.scope("norm"), config.hidden_size, config.rms_norm_eps)
        self.head: Projection
        if config.tie_word_embeddings:
            self.head = self.embedding.project
        else:
            self.head = Linear(parameters.scope("lm_head"), config.vocab_size, config.hidden_size)
        self.mtp = (
            MultiTokenPrediction(config, parameters.scope("mtp")) if parameters.has("mtp.fc.weight") else None
        )
        parameters.finish()

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        return self.config.vocab_size

    @property
    def context_length(self) -> int:
        """How many positions the model is good for."""
        return self.config.context_length

    def state(self) -> SequenceState:
        """The state before the first token."""
        return SequenceState(self.config, self.dtype, self.kv_bits)

    def embed(self, tokens: mx.array) -> mx.array:
        """[1, n] → [1, n, hidden]."""
        return self.embedding.rows(tokens).astype(self.dtype)

    def hidden(self, tokens: mx.array, state: SequenceState) -> mx.array:
        """The hidden states after the final norm [1, n, hidden] of the next n tokens; `state` moves on by
        them."""
        x = self.embed(tokens)
        for layer, memory in zip(self.layers, state.layers, strict=True):
            if isinstance(layer, AttentionLayer):
                assert isinstance(memory, KVBuffer)
                x = layer(x, memory)
            else:
                assert isinstance(memory, DeltaState)
                x = layer(x, memory)
        state.advance(tokens.shape[1])
        return self.norm(x)

    def logits(self, tokens: mx.array, state: SequenceState) -> mx.array:
        """[1, n, vocabulary]: what follows each of the next n tokens; `state` moves on by them."""
        return self.head(self.hidden(tokens, state))

    def last_logits(self, tokens: mx.array, state: SequenceState) -> mx.array:
        """[vocabulary]: what follows the last of the next n tokens; `state` moves on by them."""
        return self.head(self.hidden(tokens, state)[:, -1])[0]

    def mtp_kv(self) -> KVBuffer:
        """An empty buffer for the MTP layer's keys and values."""
        return KVBuffer(self.config.num_key_value_heads, self.config.head_dim, self.dtype)


def _layer(
    config: ModelConfig, parameters: Parameters, index: int, rotary: Rotary
) -> DeltaNetLayer | AttentionLayer:
    sparse = config.is_sparse(index)
    if config.is_linear(index):
        return DeltaNetLayer(config, parameters, sparse=sparse)
    return AttentionLayer(config, parameters, sparse=sparse, rotary=rotary)
