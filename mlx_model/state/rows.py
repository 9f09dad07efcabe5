"""Several sequences as one state, for passes that compute the next token of each.

Their tokens lie side by side as those of one block do: [1, rows, ...] in place of [1, tokens, ...]. Norms,
projections and experts treat each token by itself, so they compute a row as they would compute it alone. What
looks back is done row by row: attention over the row's own keys and values, the recurrence on its own matrix.
So rows need no padding and no mask, nothing is copied when one joins or leaves, and each row's state is at all
times what it would be alone.
"""

from collections.abc import Sequence

import mlx.core as mx

from mlx_model.state.draft_context import WatchedLayers
from mlx_model.state.kv import KVBuffer
from mlx_model.state.recurrent import DeltaBlock, DeltaState, Update
from mlx_model.state.sequence import SequenceState


class KVRows:
    """The buffers of one attention layer, one for each row."""

    def __init__(self, buffers: Sequence[KVBuffer]) -> None:
        self._buffers = tuple(buffers)
        self._places = [slice(row, row + 1) for row in range(len(buffers))]

    @property
    def position(self) -> tuple[int, ...]:
        """The position of each row's next token."""
        return tuple(buffer.length for buffer in self._buffers)

    def attend(self, queries: mx.array, keys: mx.array, values: mx.array, scale: float) -> mx.array:
        """As KVBuffer.attend, with one token of each row: keys and values [1, heads, rows, head_dim], queries
        [1, query heads, rows, head_dim] → the shape of the queries."""
        outputs = [
            buffer.attend(queries[:, :, at], keys[:, :, at], values[:, :, at], scale)
            for buffer, at in zip(self._buffers, self._places, strict=True)
        ]
        return mx.concatenate(outputs, axis=2)


class DeltaRows:
    """The states of one DeltaNet layer, one for each of `rows`."""

    def __init__(self, rows: Sequence[DeltaState]) -> None:
        self.rows = tuple(rows)
        self._inputs: list[mx.array] | None = None

    @property
    def inputs(self) -> list[mx.array]:
        """The convolution's last inputs, oldest first, each [1, rows, channels]."""
        if self._inputs is None:
            each = zip(*(row.inputs for row in self.rows), strict=True)
            self._inputs = [mx.concatenate(list(inputs), axis=1) for inputs in each]
        return self._inputs

    def advance(self, q: mx.array, block: DeltaBlock, update: Update) -> mx.array:
        """As DeltaState.advance, with one token of each row: q [1, rows, Hk, Dk] → [1, rows, Hv, Dv]."""
        # Kept for the next pass, so that it need not join them anew.
        self._inputs = [*self.inputs, block.mixed][1:]
        outputs = [row.advance(q[:, at : at + 1], block.token(at), update) for at, row in enumerate(self.rows)]
        return mx.concatenate(outputs, axis=1)


class WatchedRows:
    """What the drafters of each of the rows watch, where any does."""

    def __init__(self, rows: Sequence[WatchedLayers | None]) -> None:
        self._rows = tuple(rows)

    def see(self, layer: int, output: mx.array) -> None:
        """A layer gave `output` [1, rows, hidden]."""
        for row, watched in enumerate(self._rows):
            if watched is not None:
                watched.see(layer, output[:, row : row + 1])


class StateRows:
    """The states of several sequences. As long as no row advances by other means, it can be used again and
    again."""

    def __init__(self, states: Sequence[SequenceState]) -> None:
        self._states = tuple(states)
        self.layers: list[KVRows | DeltaRows] = []
        for layers in zip(*(state.layers for state in states), strict=True):
            if isinstance(layers[0], KVBuffer):
                self.layers.append(KVRows([layer for layer in layers if isinstance(layer, KVBuffer)]))
            else:
                self.layers.append(DeltaRows([layer for layer in layers if isinstance(layer, DeltaState)]))

    @property
    def watched(self) -> WatchedRows | None:
        """What the rows' drafters watch; None where none does."""
        rows = [state.watched for state in self._states]
        return WatchedRows(rows) if any(rows) else None

    def advance(self, tokens: int) -> None:
        """Counts a token of each row, which all layers have processed."""
        assert tokens == len(self._states)
        for state in self._states:
            state.advance(1)
