"""Rotary position embedding (arXiv 2104.09864) over the leading dimensions of each head, with or without YaRN.

Cosines and sines are tables computed on the host, bit for bit those of transformers: at position 100,000 one
unit in the last place of a frequency is an angle of 0.006, and Metal's fast cosine is inexact for large angles.
"""

import math

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_model.config.model_config import ModelConfig, YarnScaling
from mlx_model.layers.elementwise import fused

Array = NDArray[np.float32]

Position = int | tuple[int, ...]
"""Of the first of consecutive tokens, or of each of them."""

Tables = tuple[mx.array, mx.array]
"""The factors of each dimension and of its partner, each [tokens, head_dim] in float32."""


class Rotary:
    """Rotates the pairs (d, d + rotary_dim / 2) of the first rotary_dim dimensions; the others stay unchanged.

    Layers share one instance, so that a block's tables are computed once for all of them.
    """

    def __init__(self, config: ModelConfig, theta: float) -> None:
        half = config.rotary_dim // 2
        exponents = np.arange(0, 2 * half, 2, dtype=np.float32) / np.float32(2 * half)
        # In double precision, then rounded: float32 powers differ from one library to the next.
        wavelengths = (theta ** exponents.astype(np.float64)).astype(np.float32)
        self._scale = 1.0
        self._frequencies = np.reciprocal(wavelengths)
        if config.yarn is not None:
            self._frequencies = _yarn_frequencies(config.yarn, wavelengths, theta)
            self._scale = _yarn_attention_factor(config.yarn)
        self._unchanged = config.head_dim - 2 * half
        order = [*range(half, 2 * half), *range(half), *range(2 * half, config.head_dim)]
        self._partners = mx.array(order, dtype=mx.uint32)
        self._last: tuple[Position, int, Tables] | None = None

    def partners(self, x: mx.array) -> mx.array:
        """x [..., head_dim] → the same shape, each dimension's partner in its place."""
        return mx.take(x, self._partners, axis=-1)

    def __call__(self, x: mx.array, weight: mx.array, partner_weight: mx.array, tables: Tables) -> mx.array:
        """Rotates x · weight; x [1, heads, tokens, head_dim] → the same shape. `weight` [heads, 1, head_dim]
        and its partners; `tables` of the tokens' positions."""
        return _rotated(x, self.partners(x), weight, partner_weight, *tables)

    def tables(self, position: Position, count: int) -> Tables:
        """For `count` tokens at these positions."""
        if self._last is None or self._last[:2] != (position, count):
            each = np.arange(position, position + count) if isinstance(position, int) else np.array(position)
            positions = each.astype(np.float32)
            angles = (positions[:, None] * self._frequencies).astype(np.float64)
            cosines = (np.cos(angles).astype(np.float32) * np.float32(self._scale)).astype(np.float32)
            sines = (np.sin(angles).astype(np.float32) * np.float32(self._scale)).astype(np.float32)
            ones = np.ones((count, self._unchanged), np.float32)
            tables = (
                mx.array(np.concatenate([cosines, cosines, ones], axis=1)),
                mx.array(np.concatenate([-sines, sines, 0 * ones], axis=1)),
            )
            self._last = (position, count, tables)
        return self._last[2]


@fused
def _rotated(  # noqa: PLR0917 (one array each)
    x: mx.array,
    partners: mx.array,
    weight: mx.array,
    partner_weight: mx.array,
    cosines: mx.array,
    sines: mx.array,
) -> mx.array:
    wide, wide_partners = x.astype(mx.float32) * weight, partners.astype(mx.float32) * partner_weight
    return (wide * cosines + wide_partners * sines).astype(x.dtype)


def _yarn_frequencies(yarn: YarnScaling, wavelengths: Array, theta: float) -> Array:
    """YaRN's interpolation (arXiv 2309.00071, section 3.2): high frequencies stay, low ones are divided by
    `factor`, those between are blended linearly. Every step is in float32, as in transformers."""
    dims = 2 * len(wavelengths)

    def dimension_of(rotations: float) -> float:
        context = yarn.original_max_position_embeddings
        return dims * math.log(context / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low, high = dimension_of(yarn.beta_fast), dimension_of(yarn.beta_slow)
    if yarn.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dims - 1)
    if low == high:
        high += 0.001  # the ramp would have no width
    ramp = (np.arange(dims // 2, dtype=np.float32) - np.float32(low)) / np.float32(high - low)
    kept = (1 - np.clip(ramp, 0, 1)).astype(np.float32)
    slowed: Array = np.reciprocal(np.float32(yarn.factor) * wavelengths)
    frequencies: Array = slowed * (1 - kept) + np.reciprocal(wavelengths) * kept
    return frequencies


def _yarn_attention_factor(yarn: YarnScaling) -> float:
    """YaRN's attention factor, which scales the rotated dimensions of queries and keys."""
    if yarn.attention_factor is not None:
        return yarn.attention_factor

    def magnitude(weight: float) -> float:
        return 0.1 * weight * math.log(yarn.factor) + 1.0 if yarn.factor > 1 else 1.0

    if yarn.mscale and yarn.mscale_all_dim:
        return magnitude(yarn.mscale) / magnitude(yarn.mscale_all_dim)
    return magnitude(1.0)
