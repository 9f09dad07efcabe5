"""The state of one conversation: advanced by the layers, rolled back by replay, kept as snapshots."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import mlx.core as mx

from mlx_model.config import ModelConfig
from mlx_model.state.kv import KVBuffer
from mlx_model.state.recurrent import DeltaState


@dataclass(frozen=True, slots=True)
class KVRange:
    """Keys and values of tokens [start, end) of every attention layer in order, each [1, heads, end - start,
    dim]."""

    start: int
    end: int
    keys: tuple[mx.array, ...]
    values: tuple[mx.array, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state after `length` tokens. `kv` covers [kv.start, length): what came before is in earlier snapshots.

    `windows` and `matrices` are those of every DeltaNet layer in order. Nothing in it is ever written to.
    """

    length: int
    kv: KVRange
    windows: tuple[mx.array, ...]
    matrices: tuple[mx.array, ...]

    def arrays(self) -> list[mx.array]:
        """Every array in it, in a fixed order."""
        return [*self.kv.keys, *self.kv.values, *self.windows, *self.matrices]


class SequenceState:
    """KV of the attention layers and recurrent state of the DeltaNet layers, all after `length` tokens.

    `dtype` is that of activations; recurrent matrices are float32.
    """

    def __init__(self, config: ModelConfig, dtype: mx.Dtype) -> None:
        self.length = 0
        window = (1, config.linear_conv_kernel_dim - 1, config.conv_dim)
        matrix = (1, config.linear_num_value_heads, config.linear_value_head_dim, config.linear_key_head_dim)
        self.layers: list[KVBuffer | DeltaState] = [
            DeltaState(mx.zeros(window, dtype=dtype), mx.zeros(matrix, dtype=mx.float32))
            if config.is_linear(layer)
            else KVBuffer(config.num_key_value_heads, config.head_dim, dtype)
            for layer in range(config.num_hidden_layers)
        ]
        self._recorded = 0

    @property
    def kv(self) -> list[KVBuffer]:
        """The attention layers' buffers in order."""
        return [layer for layer in self.layers if isinstance(layer, KVBuffer)]

    @property
    def recurrent(self) -> list[DeltaState]:
        """The DeltaNet layers' states in order."""
        return [layer for layer in self.layers if isinstance(layer, DeltaState)]

    def record(self, on: bool) -> None:
        """Whether the next block is kept so that `keep` can cut it; for blocks of drafts under verification."""
        for layer in self.recurrent:
            layer.recording = on

    def advance(self, tokens: int) -> None:
        """Counts a block that all layers have taken in. The model calls this, once a block."""
        self.length += tokens
        self._recorded = tokens

    def keep(self, tokens: int) -> None:
        """Cuts the last, recorded block to its first `tokens` tokens: KV is shortened, and each recurrent state
        starts again from before the block and runs over what is kept. No projection is computed."""
        assert 0 <= tokens <= self._recorded
        self.length -= self._recorded - tokens
        self._recorded = 0
        for layer in self.layers:
            if isinstance(layer, KVBuffer):
                layer.truncate(self.length)
            else:
                layer.keep(tokens)

    def snapshot(self, start: int = 0) -> Snapshot:
        """An immutable copy; its KV covers tokens from `start` on, for a store that has the earlier ones."""
        pairs = [buffer.slice(start, self.length) for buffer in self.kv]
        kv = KVRange(start, self.length, tuple(keys for keys, _ in pairs), tuple(values for _, values in pairs))
        windows = tuple(layer.window for layer in self.recurrent)
        matrices = tuple(layer.matrix for layer in self.recurrent)
        snapshot = Snapshot(self.length, kv, windows, matrices)
        mx.eval(snapshot.arrays())
        return snapshot

    def restore(self, snapshot: Snapshot, earlier: Sequence[KVRange] = ()) -> None:
        """Makes this fresh state equal to the one `snapshot` was taken of. `earlier` are the ranges before its
        own, ascending and without gaps from 0."""
        assert self.length == 0, "only a fresh state can be restored into"
        ranges = [*earlier, snapshot.kv]
        assert ranges[0].start == 0 and ranges[-1].end == snapshot.length
        assert all(a.end == b.start for a, b in pairwise(ranges))
        for index, buffer in enumerate(self.kv):
            for part in ranges:
                if part.end > part.start:
                    buffer.append(part.keys[index], part.values[index])
        for layer, window, matrix in zip(self.recurrent, snapshot.windows, snapshot.matrices, strict=True):
            layer.window, layer.matrix = window, matrix
        self.length = snapshot.length

    def arrays(self) -> list[mx.array]:
        """What has to be evaluated for the state to be up to date."""
        arrays: list[mx.array] = []
        for layer in self.layers:
            arrays += layer.arrays() if isinstance(layer, KVBuffer) else [layer.window, layer.matrix]
        return arrays
