"""The state of one conversation: advanced by the layers, rolled back by replay, stored as snapshots."""

from collections import deque
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_model.config.model_config import ModelConfig
from mlx_model.state.draft_context import DraftContext, WatchedLayers, restored_context
from mlx_model.state.kv import KVBits, KVBuffer, new_buffer
from mlx_model.state.pairs import PairMemory
from mlx_model.state.prefix_state import Arrays, PrefixState, Segment
from mlx_model.state.recurrent import DeltaState

_PAIRS, _HIDDEN = "mtp.", "mtp.hidden"
"""The prefix of the names of the MTP layer's keys and values in a segment; and the name, in the recurrent part,
of the model's hidden state of the last token, which the next pair needs."""
_DFLASH, _VECTORS = "dflash.", ".vectors"
"""Before and after a DFlash drafter's name, in the name of its vectors in a segment."""

ROLLBACK_POINTS = 3
_POINT_EVERY = 12
"""Earlier recurrent states kept in memory, and the least tokens between two of them. A reply is rolled back to
one of them when its client disconnected some tokens before the engine noticed."""


@dataclass(frozen=True, slots=True)
class _RollbackPoint:
    """Window and matrix of every DeltaNet layer after `length` tokens."""

    length: int
    layers: tuple[tuple[mx.array, mx.array], ...]


class SequenceState:
    """KV of the attention layers and recurrent state of the DeltaNet layers, all after `length` tokens.

    `dtype` is that of activations; recurrent matrices are float32. `kv_bits` None keeps keys and values exact.
    A recurrent state cannot be cut back like KV: within the last block the recurrence is run again (`keep`),
    beyond it a rollback point is restored (`roll_back`).
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
        self.pairs: PairMemory | None = None
        """The MTP layer's cache, where it follows this state; up to date if its length is this state's."""
        self.draft_context: DraftContext | None = None
        """What a DFlash drafter knows of the tokens, where one follows this state."""
        self.watched: WatchedLayers | None = None
        """The layers whose outputs a drafter takes."""
        self._config = config
        self._recorded = 0
        self._recording = False
        self._points: deque[_RollbackPoint] = deque(maxlen=ROLLBACK_POINTS)
        self._points_frozen = False

    @property
    def whole(self) -> bool:
        """Whether all layers have seen the same number of tokens; False after a computation failed midway."""
        return all(layer.length == self.length for layer in self.layers)

    def record(self, on: bool) -> None:
        """Whether the next block is recorded so that `keep` can cut it back: a block of drafts to verify."""
        self._recording = on
        for layer in self._recurrent:
            layer.recording = on

    def advance(self, tokens: int) -> None:
        """Counts a block that all layers have processed. The model calls this, once a block."""
        self.length += tokens
        self._recorded = tokens
        if not self._recording:  # else `keep` follows
            self._add_rollback_point()

    def keep(self, tokens: int) -> None:
        """Cuts the last, recorded block back to its first `tokens` tokens: KV is truncated, and each recurrence
        runs again from before the block over the tokens kept. No projection is computed."""
        assert 0 <= tokens <= self._recorded
        self.length -= self._recorded - tokens
        self._recorded = 0
        for layer in self.layers:
            if isinstance(layer, KVBuffer):
                layer.truncate(self.length)
            else:
                layer.keep(tokens)
        self._add_rollback_point()

    def rollback_length(self, limit: int) -> int:
        """The longest length, at most `limit`, that `roll_back` can go to; 0 if there is none."""
        lengths = (self.length, *(point.length for point in self._points))
        return max((length for length in lengths if length <= limit), default=0)

    def reserve(self, length: int) -> None:
        """Has the next tokens allocate room for the keys and values of `length` tokens in all: growing block by
        block would copy them each time."""
        for layer in self.layers:
            if isinstance(layer, KVBuffer):
                layer.reserve(length)

    def freeze_rollback_points(self) -> None:
        """Freezes the rollback points until the next `roll_back`: tokens from here on add none."""
        if not self._points_frozen and self.pairs is not None:
            self.pairs.freeze()
        self._points_frozen = True

    def roll_back(self, length: int) -> None:
        """Goes back to a length that `rollback_length` gave."""
        self._points_frozen = False
        if length == self.length:
            return
        while self._points[-1].length > length:
            self._points.pop()
        assert self._points[-1].length == length
        for layer, (window, matrix) in zip(self._recurrent, self._points[-1].layers, strict=True):
            layer.window, layer.matrix, layer.length = window, matrix, length
        for buffer in self.layers:
            if isinstance(buffer, KVBuffer):
                buffer.truncate(length)
        if self.pairs is not None:
            self.pairs.roll_back(length)
        if self.draft_context is not None:
            self.draft_context.roll_back(length)
        self.length = length
        self._recorded = 0

    def segment(self, start: int, stop: int) -> Arrays:
        """Copies of the keys and values of tokens [start, stop), by name (see StateSource)."""
        arrays: dict[str, NDArray[Any]] = {}
        for index, layer in enumerate(self.layers):
            if isinstance(layer, KVBuffer):
                for name, part in layer.slice(start, stop).items():
                    arrays[f"{index}.{name}"] = _to_numpy(part)
        pairs = self.pairs
        if pairs is not None and pairs.holds(start, stop):
            for name, part in pairs.kv.slice(max(start - pairs.first, 0), stop - pairs.first).items():
                arrays[_PAIRS + name] = _to_numpy(part)
        context = self.draft_context
        if context is not None and (vectors := context.segment(start, stop)) is not None:
            arrays[_DFLASH + context.drafter + _VECTORS] = _to_numpy(vectors)
        return arrays

    def recurrent(self) -> Arrays:
        """Copies of every DeltaNet layer's state, by name (see StateSource)."""
        arrays: dict[str, NDArray[Any]] = {}
        for index, layer in enumerate(self.layers):
            if isinstance(layer, DeltaState):
                arrays[f"{index}.window"] = _to_numpy(layer.window)
                arrays[f"{index}.matrix"] = _to_numpy(layer.matrix)
        if self.pairs is not None and self.pairs.length == self.length and self.pairs.last is not None:
            arrays[_HIDDEN] = _to_numpy(self.pairs.last)
        return arrays

    def restore(self, known: PrefixState) -> None:
        """Makes this empty state equal to the one that `known` was copied from."""
        assert self.length == 0, "only an empty state can be restored into"
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
        self._restore_pairs(known)
        self._restore_draft_context(known)

    def _restore_pairs(self, known: PrefixState) -> None:
        """Restores the pairs of the last segments that have any, if the last one has."""
        segments = list(takewhile(_has_pairs, reversed(known.segments)))[::-1]
        if not segments or _HIDDEN not in known.recurrent:
            return
        kv = KVBuffer(self._config.num_key_value_heads, self._config.head_dim, self.dtype)
        kv.reserve(known.position)
        for segment in segments:
            kv.extend(
                {
                    name.removeprefix(_PAIRS): _to_mlx(array, self.dtype)
                    for name, array in segment.arrays.items()
                    if name.startswith(_PAIRS)
                }
            )
        self.pairs = PairMemory(kv, known.position, _to_mlx(known.recurrent[_HIDDEN], self.dtype))

    def _restore_draft_context(self, known: PrefixState) -> None:
        """Restores the vectors of one DFlash drafter in the last segments that have any, if the last one
        has."""
        last = known.segments[-1].arrays if known.segments else {}
        name = next((name for name in last if name.startswith(_DFLASH)), None)
        if name is None:
            return
        segments = list(takewhile(lambda segment: name in segment.arrays, reversed(known.segments)))[::-1]
        found = [_to_mlx(segment.arrays[name], self.dtype) for segment in segments]
        first = known.position - sum(part.shape[2] for part in found)
        drafter = name.removeprefix(_DFLASH).removesuffix(_VECTORS)
        self.draft_context = restored_context(drafter, first, found, known.position - first)

    def arrays(self) -> list[mx.array]:
        """The arrays that have to be evaluated for the state to be up to date."""
        arrays: list[mx.array] = []
        for layer in self.layers:
            arrays += layer.arrays()
        if self.draft_context is not None:
            arrays += self.draft_context.arrays()
        return arrays if self.pairs is None else arrays + self.pairs.arrays()

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, those of rollback points included."""
        earlier = [array for point in self._points for pair in point.layers for array in pair]
        return sum({id(array): array.nbytes for array in (*self.arrays(), *earlier)}.values())

    @property
    def _recurrent(self) -> list[DeltaState]:
        return [layer for layer in self.layers if isinstance(layer, DeltaState)]

    def _add_rollback_point(self) -> None:
        if self._points_frozen:
            return
        if not self._points or self.length >= self._points[-1].length + _POINT_EVERY:
            layers = tuple((layer.window, layer.matrix) for layer in self._recurrent)
            self._points.append(_RollbackPoint(self.length, layers))


def _has_pairs(segment: Segment) -> bool:
    return any(name.startswith(_PAIRS) for name in segment.arrays)


def _to_numpy(array: mx.array) -> NDArray[Any]:
    """A copy; bfloat16, which numpy lacks, as its bits."""
    return np.array(array.view(mx.uint16) if array.dtype == mx.bfloat16 else array)


def _to_mlx(array: NDArray[Any], dtype: mx.Dtype) -> mx.array:
    """The inverse of `_to_numpy`, for a state of this dtype."""
    is_bits = dtype == mx.bfloat16 and array.dtype == np.uint16
    return mx.array(array).view(mx.bfloat16) if is_bits else mx.array(array)
