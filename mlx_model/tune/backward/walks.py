"""How a layer is computed segment by segment: what one segment hands on to the next, and the gradient by it on
the way back."""

from collections.abc import Sequence
from typing import Protocol

import mlx.core as mx

from mlx_model.layers.decoder import AttentionLayer, DeltaNetLayer
from mlx_model.tune.backward.attention import SegmentedKV
from mlx_model.tune.backward.delta_rule import ChunkedDeltaState

Arrays = list[mx.array]


class Walk(Protocol):
    """A layer's way over the segments of a sequence."""

    def start(self, dtype: mx.Dtype) -> Arrays:
        """What the first segment begins with; `dtype`: of activations."""
        ...

    def step(self, x: mx.array, before: Sequence[mx.array]) -> tuple[mx.array, Arrays]:
        """A segment [1, tokens, hidden], after what lies before it → the same shape, and what it adds."""
        ...

    def following(self, before: Arrays, added: Arrays) -> Arrays:
        """What lies before the next segment."""
        ...

    def pull(self, x: mx.array, before: Arrays) -> Arrays:
        """The gradient by what the segment x adds to what lies `before` it, when those of all later segments
        were pushed."""
        ...

    def push(self, gradients: Arrays) -> None:
        """Takes in the gradient, which is evaluated, by what lay before a segment."""
        ...


class DeltaNetWalk:
    """The convolution's window and the recurrent matrix, each as of DeltaState, are handed on."""

    def __init__(self, layer: DeltaNetLayer, chunk: int) -> None:
        self._layer, self._chunk = layer, chunk
        self._pending: Arrays = []

    def start(self, dtype: mx.Dtype) -> Arrays:
        """See Walk."""
        rule = self._layer.linear_attn.rule
        window = mx.zeros((1, len(rule.taps) - 1, rule.splits[0]), dtype)
        return [window, mx.zeros((1, rule.value_heads, rule.value_dim, rule.key_dim))]

    def step(self, x: mx.array, before: Sequence[mx.array]) -> tuple[mx.array, Arrays]:
        """See Walk."""
        state = ChunkedDeltaState(before[0], before[1], self._chunk)
        y = self._layer(x, state)
        return y, [state.window, state.matrix]

    def following(self, before: Arrays, added: Arrays) -> Arrays:  # noqa: ARG002
        """See Walk: the state after a segment takes the place of the one before it."""
        return added

    def pull(self, x: mx.array, before: Arrays) -> Arrays:  # noqa: ARG002
        """See Walk."""
        return self._pending or [mx.zeros_like(array) for array in before]

    def push(self, gradients: Arrays) -> None:
        """See Walk."""
        self._pending = gradients


class AttentionWalk:
    """Each segment's keys and values are added to those of the segments before it: keys first, then values, by
    segment."""

    def __init__(self, layer: AttentionLayer) -> None:
        self._layer = layer
        self._pending: Arrays = []
        """The gradients by what lies before the segment whose turn is next, in the order of that; or none."""

    def start(self, dtype: mx.Dtype) -> Arrays:  # noqa: ARG002
        """See Walk."""
        return []

    def step(self, x: mx.array, before: Sequence[mx.array]) -> tuple[mx.array, Arrays]:
        """See Walk. What was pushed is added to the gradient by `before`; it is dropped here, so that a long
        text's gradients are not held twice."""
        count, pending = len(before) // 2, self._pending
        self._pending = []
        kv = SegmentedKV(before[:count], before[count:], (pending[:count], pending[count:]))
        y = self._layer(x, kv)
        assert kv.own is not None
        # Copies: views would keep the projections that they are part of.
        return y, [mx.contiguous(array) for array in kv.own]

    def following(self, before: Arrays, added: Arrays) -> Arrays:
        """See Walk."""
        count = len(before) // 2
        return [*before[:count], added[0], *before[count:], added[1]]

    def pull(self, x: mx.array, before: Arrays) -> Arrays:
        """See Walk."""
        if self._pending:
            # Of the segment itself; what is left is by those before it.
            return [self._pending.pop(len(before) // 2), self._pending.pop()]
        attention = self._layer.self_attn
        return [mx.zeros((1, attention.kv_heads, x.shape[1], attention.head_dim), x.dtype)] * 2

    def push(self, gradients: Arrays) -> None:
        """See Walk."""
        self._pending = gradients


def walk(layer: AttentionLayer | DeltaNetLayer, chunk: int) -> Walk:
    """The way over a layer; `chunk`: see chunked_delta_rule."""
    return AttentionWalk(layer) if isinstance(layer, AttentionLayer) else DeltaNetWalk(layer, chunk)
