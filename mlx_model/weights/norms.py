"""Whether a converted checkpoint's norms are weights, or still the offsets from one that the original stores.

Converting adds the one; some published conversions left it out, and a model with such norms answers with
noise. The two are told apart by size: weights lie around one, offsets around zero. One norm proves little, so
the median over all of them decides, and a median between the two is refused rather than guessed at.
"""

import statistics
from collections.abc import Sequence

import mlx.core as mx

from mlx_model.errors import CheckpointError

_OFFSETS_BELOW = 0.4
_WEIGHTS_ABOVE = 0.6


def are_offsets(norms: Sequence[mx.array]) -> bool:
    """Whether these norm vectors lack the one. Raises CheckpointError where that cannot be told."""
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
