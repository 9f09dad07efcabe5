"""Rotary position embedding over the leading dimensions of each head, with or without YaRN."""

import math

import mlx.core as mx
import numpy as np

from mlx_model.config import ModelConfig, YarnScaling


class Rotary:
    """Rotates pairs (d, d + rotary_dim / 2) of the first rotary_dim dimensions; the rest pass unchanged."""

    def __init__(self, config: ModelConfig, theta: float) -> None:
        self.dims = config.rotary_dim
        wavelengths = np.float32(theta) ** (
            np.arange(0, self.dims, 2, dtype=np.float32) / np.float32(self.dims)
        )
        self.scale = 1.0
        if config.yarn is not None:
            wavelengths = _yarn_wavelengths(config.yarn, wavelengths, theta)
            self.scale = _yarn_attention_factor(config.yarn)
        self.wavelengths = mx.array(wavelengths.astype(np.float32))

    def __call__(self, x: mx.array, offset: int) -> mx.array:
        """x [1, heads, tokens, head_dim], the first token standing at position `offset`."""
        if self.scale != 1.0:
            x = mx.concatenate([x[..., : self.dims] * self.scale, x[..., self.dims :]], axis=-1)
        return mx.fast.rope(
            x, self.dims, traditional=False, base=None, scale=1.0, offset=offset, freqs=self.wavelengths
        )


def _yarn_wavelengths(yarn: YarnScaling, wavelengths: np.ndarray, theta: float) -> np.ndarray:
    """YaRN's mixture (arXiv 2309.00071, section 3.2): fast dimensions keep their wavelength, slow ones are
    stretched by `factor`, those between are blended linearly in frequency."""
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
    stretched: np.ndarray = np.clip((np.arange(dims // 2, dtype=np.float32) - low) / (high - low), 0, 1)
    frequencies: np.ndarray = stretched / (yarn.factor * wavelengths) + (1 - stretched) / wavelengths
    return 1.0 / frequencies


def _yarn_attention_factor(yarn: YarnScaling) -> float:
    """What multiplies queries and keys (their rotated part), so that attention stays as sharp at the longer
    range."""
    if yarn.attention_factor is not None:
        return yarn.attention_factor

    def magnitude(weight: float) -> float:
        return 0.1 * weight * math.log(yarn.factor) + 1.0 if yarn.factor > 1 else 1.0

    if yarn.mscale and yarn.mscale_all_dim:
        return magnitude(yarn.mscale) / magnitude(yarn.mscale_all_dim)
    return magnitude(1.0)
