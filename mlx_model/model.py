"""Qwen3-Next and its successors: embedding, the stack of layers, final norm and head, and the MTP layer."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import mlx.core as mx

from mlx_model.config.model_config import ModelConfig
from mlx_model.layers.decoder import FEW_TOKENS, AttentionLayer, DeltaNetLayer
from mlx_model.layers.drafters.dflash import DFlash
from mlx_model.layers.drafters.mtp import MultiTokenPrediction
from mlx_model.layers.low_rank import LowRankUpdate
from mlx_model.layers.norms import RMSNorm
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import Linear, LinearMap, Matrix
from mlx_model.layers.rotary import Rotary
from mlx_model.state.kv import KVBits, KVBuffer
from mlx_model.state.recurrent import DeltaState
from mlx_model.state.rows import StateRows
from mlx_model.state.sequence import SequenceState
from mlx_model.state.sizes import HALVED_BLOCK

_LONG_PASS = 64
"""Tokens of a pass from which on its layers are evaluated one after the other."""

_ON_GPU = mx.default_device() != mx.Device(mx.cpu)
"""On a CPU a long pass gains nothing by parts: buffers are freed in the order of the graph in any case. And
where an allocation fails there while a graph is computed in parts, the process crashes (MLX 0.32.4)."""
_STARTED_EVERY = 4 if _ON_GPU else 1
"""Layers of a pass over a few tokens between two starts on the device: building the graph of 48 layers takes
2.0 to 4.7 ms of a host, for which the device would wait. A CPU is given each layer at once: with a hundred
operations under way MLX (0.32) has the host wait for it, and the two threads wake each other again and again.
A pass of 1, 2 and 4 tokens through the practice model takes 0.91, 0.92 and 0.95 of the processor time (two busy
cores)."""


class Pace:
    """Has the device compute a pass while the rest of its graph is still being built.

    A pass over many tokens is computed layer by layer on a GPU, and one over very many by halves of layers, so
    that no more than the buffers of one part are held: MLX frees a buffer when the command buffer that reads it
    is done. One over a few tokens (drafts to verify, or a token of several sequences) is started every few
    layers. One over a single token is left to the caller on a GPU, who pipelines it.
    """

    def __init__(self, tokens: int) -> None:
        self._by_layer = _ON_GPU and tokens >= _LONG_PASS
        self.by_halves = _ON_GPU and tokens >= HALVED_BLOCK
        self._starts_early = 1 < tokens < _LONG_PASS if _ON_GPU else tokens <= FEW_TOKENS
        self._under_way: list[mx.array] = []

    def part_done(self, x: mx.array, memory: object) -> None:
        """A half of a layer, or the whole of it, has given x, and its memory has grown."""
        arrays = [x, *(memory.arrays() if isinstance(memory, KVBuffer | DeltaState) else ())]
        # Built while the part before was computed, and submitted when its buffers are free again.
        mx.eval(self._under_way)
        mx.async_eval(arrays)  # type: ignore[no-untyped-call]
        self._under_way = arrays

    def layer_done(self, index: int, x: mx.array, memory: object) -> None:
        """Layer `index` has given x, and its memory has grown."""
        if self._by_layer:
            self.part_done(x, memory)
        elif self._starts_early and index % _STARTED_EVERY == _STARTED_EVERY - 1:
            mx.async_eval(x)  # type: ignore[no-untyped-call]


class Qwen3Next:
    """The model over canonical parameters (see layers/projections). Tokens are [1, n]: a
    block of one sequence, or, with StateRows, the next token of each of several.

    Raises CheckpointError when parameters are missing, misshaped or left over.
    """

    def __init__(
        self,
        config: ModelConfig,
        parameters: Parameters,
        dtype: mx.Dtype,
        kv_bits: KVBits | None = None,
    ) -> None:
        """`dtype`: of activations; `kv_bits`: of keys and values, None for `dtype`."""
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
        self.head: LinearMap
        if config.tie_word_embeddings:
            self.head = self.embedding.project
        else:
            self.head = Linear(parameters.scope("lm_head"), config.vocab_size, config.hidden_size)
        self.mtp = (
            MultiTokenPrediction(config, parameters.scope("mtp")) if parameters.has("mtp.fc.weight") else None
        )
        self.compiles = False
        """Whether the graph of a pass over a few tokens of one sequence is compiled and then copied (see
        layers/decoder.py). Only where weights and adapters are changed by way of this class, and all experts
        are in memory."""
        self.dflash: DFlash | None = None
        """A drafter's network beside the model, where one was loaded."""
        self.adaptable = parameters.adaptable
        """The projections that an adapter can change, by canonical path."""
        parameters.finish()

    @property
    def vocabulary(self) -> int:
        """The number of token ids, and of logits."""
        return self.config.vocab_size

    @property
    def context_length(self) -> int:
        """The most positions that the model supports."""
        return self.config.context_length

    def set_adapter(self, updates: Mapping[str, LowRankUpdate]) -> None:
        """Has these updates, by canonical path, change the projections from now on, and no others. States that
        were computed before belong to the adapter of that time."""
        for path, projection in self.adaptable.items():
            projection.update = updates.get(path)
        self.forget_compiled()

    def forget_compiled(self) -> None:
        """Has graphs be compiled anew, because something that belongs to layers has changed."""
        for layer in self.layers:
            layer.forget()
        if self.mtp is not None:
            self.mtp.layer.forget()

    def state(self) -> SequenceState:
        """A new, empty state."""
        return SequenceState(self.config, self.dtype, self.kv_bits)

    def embed(self, tokens: mx.array) -> mx.array:
        """Tokens [1, n] → embeddings [1, n, hidden]."""
        return self.embedding.rows(tokens).astype(self.dtype)

    def hidden(self, tokens: mx.array, state: SequenceState | StateRows) -> mx.array:
        """Tokens [1, n] → hidden states [1, n, hidden] after the final norm; advances `state`."""
        x = self.embed(tokens)
        watched, pace = state.watched, Pace(tokens.shape[1])
        for index, (layer, memory) in enumerate(zip(self.layers, state.layers, strict=True)):
            x = self._through(layer, x, memory, pace)
            if watched is not None:
                watched.see(index, x)
            pace.layer_done(index, x, memory)
        state.advance(tokens.shape[1])
        return self.norm(x)

    def _through(self, layer: Any, x: mx.array, memory: Any, pace: Pace) -> mx.array:
        """A layer of either kind, with the memory that belongs to it."""
        if self.compiles and x.shape[1] <= FEW_TOKENS and isinstance(memory, KVBuffer | DeltaState):
            x = layer.step(x, memory)
        elif pace.by_halves:
            x = layer.mix(x, memory)
            pace.part_done(x, memory)
            x = layer.feed_forward(x)
        else:
            x = layer(x, memory)
        return x

    def logits(self, tokens: mx.array, state: SequenceState) -> mx.array:
        """Tokens [1, n] → logits [1, n, vocabulary] of the token after each; advances `state`."""
        return self.head(self.hidden(tokens, state))

    def last_logits(self, tokens: mx.array, state: SequenceState) -> mx.array:
        """Tokens [1, n] → logits [vocabulary] of the token after the last; advances `state`."""
        return self.head(self.hidden(tokens, state)[:, -1])[0]

    def side_by_side(self, states: Sequence[SequenceState]) -> Callable[[mx.array], mx.array]:
        """See BatchingModel."""
        rows = StateRows(states)
        return lambda tokens: self.hidden(tokens[None], rows)

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
