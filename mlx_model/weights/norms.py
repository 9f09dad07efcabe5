"""Telling norm weights from offsets from one, which the original checkpoint stores.

Converting adds the one; some published conversions left it out, and a model with such norms generates noise.
Weights lie around one, offsets around zero. A single norm can be an outlier, so the median over all norms
decides, and a median between the two is refused.
"""

import statistics
from collections.abc import Sequence

import mlx.core as mx

from mlx_model.errors import CheckpointError

_OFFSETS_BELOW = 0.4
_WEIGHTS_ABOVE = 0.6
"""Bounds of the median of the norms' means, chosen around the middle between 0 and 1."""


def are_offsets(norms: Sequence[mx.array]) -> bool:
    """Whether these norm vectors are offsets from one. Raises CheckpointError where that cannot be told."""
    means = [float(norm.astype(mx.float32).mean()) for norm in norms]
    middle = statistics.median(means)
    if abs(middle) < _OFFSETS_BELOW:
        return True
    if middle > _WEIGHTS_ABOVE:
        return False
    raise CheckpointError(
        f"The norms average {middle:.2f}: they are neither weights (around one) nor offsets from one (around "
        "zero). The conversion is damaged; convert the original checkpoint again."
    )
