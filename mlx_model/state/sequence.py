"""The state of one conversation: advanced by the layers, rolled back by replay, kept as snapshots."""

from collections import deque
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_model.config import ModelConfig
from mlx_model.state.kv import KVBits, KVBuffer, new_buffer
from mlx_model.state.prefix_state import Arrays, PrefixState
from mlx_model.state.recurrent import DeltaState

_MARK_EVERY = 12
_MARKS = 3
"""The recurrent state is also held as it was at up to this many earlier lengths, so many tokens apart: a reply
is taken back as far as that when its reader broke it off a little before the engine heard of it."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """Window and matrix of every DeltaNet layer after `length` tokens."""

    length: int
    layers: tuple[tuple[mx.array, mx.array], ...]


class SequenceState:
    """KV of the attention layers and recurrent state of the DeltaNet layers, all after `length` tokens.

    `dtype` is that of activations; recurrent matrices are float32. `kv_bits` None keeps keys and values exact.
    """

    def __init__(self, config: ModelConfig, dtype: mx.Dtype, kv_bits: KVBits | None = None) -> None:
        self.dtype = dtype
        self.length = 0
        window = (1, config.linear_conv_kernel_dim - 1, config.conv_dim)
        matrix = (1, config.linear_num_value_heads, config.linear_value_head_dim, config.linear_key_head_dim)
        self.layers: list[KVBuffer | DeltaState] = [
            DeltaState(mx.zeros(window, dtype=dtype), mx.zeros(matrix, dtype=mx.float32))
            if config.is_linear(layer)
            else new_buffer(config.num_key_value_heads, config.head_dim, dtype, kv_bits)
            for layer in range(config.num_hidden_layers)
        ]
        self._recorded = 0
        self._recording = False
        self._marks: deque[_Mark] = deque(maxlen=_MARKS)

    @property
    def whole(self) -> bool:
        """Whether all layers have seen the same tokens: not so after a computation that failed midway."""
        return all(layer.length == self.length for layer in self.layers)

    def record(self, on: bool) -> None:
        """Whether the next block is kept so that `keep` can cut it; for blocks of drafts under verification."""
        self._recording = on
        for layer in self._recurrent:
            layer.recording = on

    def advance(self, tokens: int) -> None:
        """Counts a block that all layers have taken in. The model calls this, once a block."""
        self.length += tokens
        self._recorded = tokens
        if not self._recording:  # else `keep` is still to come
            self._mark()

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
        self._mark()

    def held(self, limit: int) -> int:
        """The longest length up to `limit` that `rewind` can go back to, 0 if there is none."""
        lengths = (self.length, *(mark.length for mark in self._marks))
        return max((length for length in lengths if length <= limit), default=0)

    def rewind(self, length: int) -> None:
        """Goes back to a length that is `held`."""
        if length == self.length:
            return
        while self._marks[-1].length > length:
            self._marks.pop()
        assert self._marks[-1].length == length
        for layer, (window, matrix) in zip(self._recurrent, self._marks[-1].layers, strict=True):
            layer.window, layer.matrix, layer.length = window, matrix, length
        for buffer in self.layers:
            if isinstance(buffer, KVBuffer):
                buffer.truncate(length)
        self.length = length
        self._recorded = 0

    def segment(self, start: int, stop: int) -> Arrays:
        """Copies of keys and values of the tokens [start, stop), for a store. See StateSource."""
        arrays: dict[str, NDArray[Any]] = {}
        for index, layer in enumerate(self.layers):
            if isinstance(layer, KVBuffer):
                for name, part in layer.slice(start, stop).items():
                    arrays[f"{index}.{name}"] = _to_numpy(part)
        return arrays

    def recurrent(self) -> Arrays:
        """Copies of every DeltaNet layer's state, for a store. See StateSource."""
        arrays: dict[str, NDArray[Any]] = {}
        for index, layer in enumerate(self.layers):
            if isinstance(layer, DeltaState):
                arrays[f"{index}.window"] = _to_numpy(layer.window)
                arrays[f"{index}.matrix"] = _to_numpy(layer.matrix)
        return arrays

    def restore(self, known: PrefixState) -> None:
        """Makes this fresh state equal to the one that `known` was taken of."""
        assert self.length == 0, "only a fresh state can be restored into"
        for index, layer in enumerate(self.layers):
            if isinstance(layer, DeltaState):
                layer.window = _to_mlx(known.recurrent[f"{index}.window"], self.dtype)
                layer.matrix = mx.array(known.recurrent[f"{index}.matrix"])
                layer.length = known.position
                continue
            layer.reserve(known.position)
            for segment in known.segments:
                prefix = f"{index}."
                layer.extend(
                    {
                        name.removeprefix(prefix): _to_mlx(array, self.dtype)
                        for name, array in segment.arrays.items()
                        if name.startswith(prefix)
                    }
                )
        self.length = known.position

    def arrays(self) -> list[mx.array]:
        """What has to be evaluated for the state to be up to date."""
        arrays: list[mx.array] = []
        for layer in self.layers:
            arrays += layer.arrays() if isinstance(layer, KVBuffer) else [layer.window, layer.matrix]
        return arrays

    @property
    def _recurrent(self) -> list[DeltaState]:
        return [layer for layer in self.layers if isinstance(layer, DeltaState)]

    def _mark(self) -> None:
        if not self._marks or self.length >= self._marks[-1].length + _MARK_EVERY:
            layers = tuple((layer.window, layer.matrix) for layer in self._recurrent)
            self._marks.append(_Mark(self.length, layers))


def _to_numpy(array: mx.array) -> NDArray[Any]:
    """A copy; bfloat16, which numpy lacks, as its bits."""
    return np.array(array.view(mx.uint16) if array.dtype == mx.bfloat16 else array)


def _to_mlx(array: NDArray[Any], dtype: mx.Dtype) -> mx.array:
    """The array that `_to_numpy` copied out of a state of this dtype."""
    is_bits = dtype == mx.bfloat16 and array.dtype == np.uint16
    return mx.array(array).view(mx.bfloat16) if is_bits else mx.array(array)
