"""Causal attention of a segment over the segments before it, which holds the scores of two segments at a time,
forward and backward (arXiv 2205.14135)."""

from collections.abc import Sequence
from typing import cast

import mlx.core as mx
from typing_extensions import override

from mlx_model.state.kv import KVBuffer

Blocks = Sequence[mx.array]


def blocked_attention(
    queries: mx.array, keys: Blocks, values: Blocks, scale: float, so_far: tuple[Blocks, Blocks] = ((), ())
) -> mx.array:
    """queries [1, heads, n, d] over blocks of keys and values, each [1, key heads, m, d], the last of which is
    the queries' own segment → [1, heads, n, d] in the dtype of queries.

    `so_far`: the gradients that later segments gave by all keys and all values but the last. The gradients of
    this segment are added to them block by block, so that no second set of the whole text is held.
    """
    heads = keys[0].shape[1]
    grouped = queries.reshape(1, heads, -1, *queries.shape[2:]).astype(mx.float32) * scale
    blocks = [[block[:, :, None].astype(mx.float32) for block in own] for own in (keys, values, *so_far)]
    output, _ = cast(tuple[mx.array, mx.array], _attention(grouped, *blocks))
    return output.reshape(queries.shape).astype(queries.dtype)


@mx.custom_function
def _attention(
    queries: mx.array,
    keys: Blocks,
    values: Blocks,
    *_so_far: Blocks,  # of use on the way back alone
) -> tuple[mx.array, mx.array]:
    """queries [1, key heads, sharing, n, d] over blocks [1, key heads, 1, m, d] → outputs, and the logarithm of
    each query's sum of exponentials [.., n, 1]."""
    peak = mx.full((*queries.shape[:-1], 1), -mx.inf)
    total, output = mx.zeros_like(peak), mx.zeros_like(queries)
    for index, (own_keys, own_values) in enumerate(zip(keys, values, strict=True)):
        # Each block waits for the one before it: otherwise the scores of all would be computed at once.
        waiting = mx.depends([own_keys], [output, total])[0]
        scores = _scores(queries, waiting, causal=index == len(keys) - 1)
        higher = mx.maximum(peak, scores.max(axis=-1, keepdims=True))
        weights, shrunk = mx.exp(scores - higher), mx.exp(peak - higher)
        total = total * shrunk + weights.sum(axis=-1, keepdims=True)
        output = output * shrunk + weights @ own_values
        peak = higher
    return output / total, peak + mx.log(total)


@_attention.vjp
def _attention_vjp(
    primals: tuple[mx.array, Blocks, Blocks, Blocks, Blocks],
    cotangents: Sequence[mx.array],
    outputs: Sequence[mx.array],
) -> tuple[mx.array, Blocks, Blocks, Blocks, Blocks]:
    queries, keys, values, *so_far = primals
    (pull, _), (output, log_total) = cotangents, outputs
    by_queries = mx.zeros_like(queries)
    by_keys: list[mx.array] = []
    by_values: list[mx.array] = []
    shared = (pull * output).sum(axis=-1, keepdims=True)
    for index, (own_keys, own_values) in enumerate(zip(keys, values, strict=True)):
        # As above: the scores of a block are dropped before those of the next are computed, and so is what the
        # later segments gave.
        waiting = mx.depends([own_keys], [by_queries, *by_keys[-1:], *by_values[-1:]])[0]
        weights = mx.exp(_scores(queries, waiting, causal=index == len(keys) - 1) - log_total)
        by_values.append((weights.swapaxes(-1, -2) @ pull).sum(axis=2, keepdims=True))
        by_scores = weights * (pull @ own_values.swapaxes(-1, -2) - shared)
        by_queries = by_queries + by_scores @ waiting
        by_keys.append((by_scores.swapaxes(-1, -2) @ queries).sum(axis=2, keepdims=True))
        if index < len(so_far[0]):
            by_keys[-1], by_values[-1] = by_keys[-1] + so_far[0][index], by_values[-1] + so_far[1][index]
    nothing = [[mx.zeros_like(block) for block in blocks] for blocks in so_far]
    return by_queries, by_keys, by_values, nothing[0], nothing[1]


def _scores(queries: mx.array, keys: mx.array, *, causal: bool) -> mx.array:
    scores = queries @ keys.swapaxes(-1, -2)
    if not causal:
        return scores
    places = mx.arange(keys.shape[-2])
    return mx.where(places[:, None] >= places, scores, -mx.inf)


class SegmentedKV(KVBuffer):
    """The keys and values of an attention layer whose gradient is wanted: those of the segments before, by
    segment, each [1, heads, tokens, head_dim]; and, once it has attended, its `own`. `so_far`: see
    blocked_attention."""

    def __init__(self, keys: Blocks, values: Blocks, so_far: tuple[Blocks, Blocks]) -> None:
        super().__init__(0, 0, mx.float32)
        self._keys, self._values, self._so_far = keys, values, so_far
        self.length = sum(block.shape[2] for block in keys)
        self.own: tuple[mx.array, mx.array] | None = None

    @override
    def attend(self, queries: mx.array, keys: mx.array, values: mx.array, scale: float) -> mx.array:
        self.own = keys, values
        blocks = [*self._keys, keys], [*self._values, values]
        return blocked_attention(queries, *blocks, scale, self._so_far)
