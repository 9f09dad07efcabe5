"""When attention of many queries runs in a fused kernel that MLX would not choose by itself.

For heads of 256 dimensions MLX's Metal backend (0.32) computes more than eight queries unfused on M1 to M4: it
holds the scores of all heads, which for 2,048 tokens after 65,536 are 4 GB. `force_fused` takes a kernel that
holds none. It may be slower, so it is asked for only where the scores would be large, and only on a device
where it was found to give what unfused attention gives.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import cast

import mlx.core as mx

from mlx_model.state.sizes import SCORES_LIMIT

_TOLERANCE = 2e-2
"""How far a fused output in 16 bits may lie from the unfused one: both round to a hundredth of values near
one."""

Attention = Callable[..., mx.array]
"""mx.fast.scaled_dot_product_attention, or what stands in for it."""


def forces_fused(scores_bytes: int, queries: mx.array, key_heads: int) -> bool:
    """Whether to force the fused kernel for queries [1, heads, n, head_dim] whose scores take so many bytes."""
    if scores_bytes <= SCORES_LIMIT:
        return False
    return fused_attention_works(queries.shape[3], queries.shape[1], key_heads, queries.dtype)


@lru_cache
def fused_attention_works(head_dim: int, heads: int, key_heads: int, dtype: mx.Dtype) -> bool:
    """Whether this device has a fused kernel for heads of this shape that gives what unfused attention
    gives."""
    if mx.default_device() == mx.Device(mx.cpu):
        return False
    return agrees(mx.fast.scaled_dot_product_attention, head_dim, heads, key_heads, dtype)


def agrees(attention: Attention, head_dim: int, heads: int, key_heads: int, dtype: mx.Dtype) -> bool:
    """Whether `attention` with `force_fused` gives on random inputs what plain operations give."""
    keys = [mx.random.key(number) for number in range(3)]
    known, count = 96, 40
    queries = mx.random.normal((1, heads, count, head_dim), key=keys[0]).astype(dtype)
    k, v = (mx.random.normal((1, key_heads, known, head_dim), key=key).astype(dtype) for key in keys[1:])
    scale = head_dim**-0.5
    try:
        found = attention(queries, k, v, scale=scale, mask="causal", force_fused=True)
        mx.eval(found)
    except (RuntimeError, ValueError, TypeError):
        # What MLX raises where it has no fused kernel for the shape.
        return False
    wide_q, wide_k, wide_v = (array.astype(mx.float32) for array in (queries, k, v))
    wide_k, wide_v = (mx.repeat(array, heads // key_heads, axis=1) for array in (wide_k, wide_v))
    scores = scale * wide_q @ wide_k.swapaxes(-1, -2)
    seen = mx.arange(known - count, known)[:, None] >= mx.arange(known)
    expected = mx.softmax(mx.where(seen, scores, -mx.inf), axis=-1) @ wide_v
    worst = mx.max(mx.abs(found.astype(mx.float32) - expected)).item()
    return cast(float, worst) <= _TOLERANCE
