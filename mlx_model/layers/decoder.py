"""One layer of the stack: a token mixer (attention or DeltaNet), then a feed-forward network, each with a
residual connection.

A pass over a few tokens has a graph of some thousand operations, whatever the tokens are, and building it in
Python takes longer than anything else that the host does. So `step` has MLX compile a layer's graph the first
time that so many tokens go through it, and copy it from then on (mx.compile): for 48 layers 2.0 ms of the
host's time in place of 4.1 (a Linux CPU, tiny matrices, fused elementwise operations). What a layer was loaded
with is part of the compiled graph, so `forget` must follow a change of it.
"""

from collections.abc import Callable
from typing import Any, cast

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
from mlx_model.state.recurrent import DeltaBlock, DeltaState
from mlx_model.state.rows import DeltaRows, KVRows

FEW_TOKENS = 17
"""The most tokens of a pass whose graph is compiled: a token and the most drafts that are verified with it
(decode/verify.py). Every number of tokens has a graph of its own, so longer blocks have none."""


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
        self._compiled: dict[object, Callable[..., Any]] = {}

    def forget(self) -> None:
        """Has `step` compile anew: weights, adapter or kernels of the layer have changed."""
        self._compiled.clear()

    def feed_forward(self, x: mx.array) -> mx.array:
        """The second half of the layer: x [1, tokens, hidden] → the same shape."""
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
        return self.feed_forward(self.mix(x, kv))

    def mix(self, x: mx.array, kv: KVBuffer | KVRows) -> mx.array:
        """The first half of the layer, likewise."""
        return x + self.self_attn(self.input_layernorm(x), kv)

    def step(self, x: mx.array, kv: KVBuffer) -> mx.array:
        """As when called, by compiled graphs, one before and one after attention. The experts must all be in
        memory."""
        attention = self.self_attn

        def project(
            x: mx.array, cosines: mx.array, sines: mx.array
        ) -> tuple[mx.array, mx.array, mx.array, mx.array]:
            return attention.project(self.input_layernorm(x), (cosines, sines))

        def finish(x: mx.array, output: mx.array, gate: mx.array) -> mx.array:
            return self.feed_forward(x + attention.finish(output, gate))

        if not self._compiled:
            self._compiled.update(project=mx.compile(project), finish=mx.compile(finish))
        tables = attention.rotary.tables(kv.position, x.shape[1])
        queries, keys, values, gate = self._compiled["project"](x, *tables)
        output = attention.attend(queries, keys, values, kv)
        return cast(mx.array, self._compiled["finish"](x, output, gate))


class DeltaNetLayer(_DecoderLayer):
    """A layer with Gated DeltaNet."""

    def __init__(self, config: ModelConfig, parameters: Parameters, *, sparse: bool) -> None:
        super().__init__(config, parameters, sparse)
        self.linear_attn = GatedDeltaNet(config, parameters.scope("linear_attn"))

    def __call__(self, x: mx.array, state: DeltaState | DeltaRows) -> mx.array:
        """x [1, tokens, hidden] → the same shape; `state` advances by the tokens."""
        return self.feed_forward(self.mix(x, state))

    def mix(self, x: mx.array, state: DeltaState | DeltaRows) -> mx.array:
        """The first half of the layer, likewise."""
        return x + self.linear_attn(self.input_layernorm(x), state)

    def step(self, x: mx.array, state: DeltaState) -> mx.array:
        """As when called, by a compiled graph. The experts must all be in memory."""
        recording = state.recording

        def computed(
            x: mx.array, inputs: list[mx.array], matrix: mx.array
        ) -> tuple[mx.array, list[mx.array], mx.array, list[mx.array]]:
            after = DeltaState(inputs, matrix)
            after.recording = recording
            x = self(x, after)
            return x, after.inputs, after.matrix, [] if after.recorded is None else after.recorded.arrays()

        if recording not in self._compiled:
            self._compiled[recording] = mx.compile(computed)
        y, inputs, matrix, block = self._compiled[recording](x, state.inputs, state.matrix)
        recorded = DeltaBlock(*block) if block else None
        state.arrive(x.shape[1], inputs, matrix, recorded, self.linear_attn.rule.update)
        return cast(mx.array, y)
