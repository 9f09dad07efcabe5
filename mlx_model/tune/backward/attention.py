"""Causal attention of a segment over the segments before it, which holds the scores of two segments at a time,
forward and backward (arXiv 2205.14135)."""

from collections.abc import Sequence
from typing import cast

import mlx.core as mx
from typing_extensions import override

from mlx_model.state.kv import KVBuffer


def blocked_attention(
    queries: mx.array, keys: Sequence[mx.array], values: Sequence[mx.array], scale: float
) -> mx.array:
    """queries [1, heads, n, d] over blocks of keys and values, each [1, key heads, m, d], the last of which is
    the queries' own segment → [1, heads, n, d] in the dtype of queries."""
    heads = keys[0].shape[1]
    grouped = queries.reshape(1, heads, -1, *queries.shape[2:]).astype(mx.float32) * scale
    blocks = [block[:, :, None].astype(mx.float32) for block in (*keys, *values)]
    output, _ = cast(tuple[mx.array, mx.array], _attention(grouped, *blocks))
    return output.reshape(queries.shape).astype(queries.dtype)


@mx.custom_function
def _attention(queries: mx.array, *blocks: mx.array) -> tuple[mx.array, mx.array]:
    """queries [1, key heads, sharing, n, d] over blocks [1, key heads, 1, m, d], keys then values → outputs,
    and the logarithm of each query's sum of exponentials [.., n, 1]."""
    count = len(blocks) // 2
    peak = mx.full((*queries.shape[:-1], 1), -mx.inf)
    total, output = mx.zeros_like(peak), mx.zeros_like(queries)
    for index, (keys, values) in enumerate(zip(blocks[:count], blocks[count:], strict=True)):
        # Each block waits for the one before it: otherwise the scores of all would be computed at once.
        scores = _scores(queries, mx.depends([keys], [output, total])[0], causal=index == count - 1)
        higher = mx.maximum(peak, scores.max(axis=-1, keepdims=True))
        weights, shrunk = mx.exp(scores - higher), mx.exp(peak - higher)
        total = total * shrunk + weights.sum(axis=-1, keepdims=True)
        output = output * shrunk + weights @ values
        peak = higher
    return output / total, peak + mx.log(total)


@_attention.vjp
def _attention_vjp(
    primals: Sequence[mx.array], cotangents: Sequence[mx.array], outputs: Sequence[mx.array]
) -> tuple[mx.array, ...]:
    queries, *blocks = primals
    (pull, _), (output, log_total) = cotangents, outputs
    count = len(blocks) // 2
    by_queries = mx.zeros_like(queries)
    by_keys: list[mx.array] = []
    by_values: list[mx.array] = []
    shared = (pull * output).sum(axis=-1, keepdims=True)
    for index, (keys, values) in enumerate(zip(blocks[:count], blocks[count:], strict=True)):
        # As above: the scores of a block are dropped before those of the next are computed.
        keys = mx.depends([keys], [by_queries, *by_keys[-1:], *by_values[-1:]])[0]  # noqa: PLW2901
        weights = mx.exp(_scores(queries, keys, causal=index == count - 1) - log_total)
        by_values.append((weights.swapaxes(-1, -2) @ pull).sum(axis=2, keepdims=True))
        by_scores = weights * (pull @ values.swapaxes(-1, -2) - shared)
        by_queries = by_queries + by_scores @ keys
        by_keys.append((by_scores.swapaxes(-1, -2) @ queries).sum(axis=2, keepdims=True))
    return (by_queries, *by_keys, *by_values)


def _scores(queries: mx.array, keys: mx.array, *, causal: bool) -> mx.array:
    scores = queries @ keys.swapaxes(-1, -2)
    if not causal:
        return scores
    places = mx.arange(keys.shape[-2])
    return mx.where(places[:, None] >= places, scores, -mx.inf)


class SegmentedKV(KVBuffer):
    """The keys and values of an attention layer whose gradient is wanted: those of the segments before, by
    segment, each [1, heads, tokens, head_dim]; and, once it has attended, its `own`."""

    def __init__(self, keys: Sequence[mx.array], values: Sequence[mx.array]) -> None:
        super().__init__(0, 0, mx.float32)
        self._keys, self._values = keys, values
        self.length = sum(block.shape[2] for block in keys)
        self.own: tuple[mx.array, mx.array] | None = None

    @override
    def attend(self, queries: mx.array, keys: mx.array, values: mx.array, scale: float) -> mx.array:
        self.own = keys, values
        return blocked_attention(queries, [*self._keys, keys], [*self._values, values], scale)
