"""The loss of examples with two texts: one that is preferred to the other (ORPO, arXiv 2403.07691)."""

from collections.abc import Sequence
from dataclasses import dataclass

import mlx.core as mx

from mlx_model.tune.adapters.matrices import AdaptedModel, Tensors
from mlx_model.tune.data.texts import Example
from mlx_model.tune.gradients import Means, Tuner

WEIGHT = 1.0
"""Of the preference beside the likelihood of the preferred text. The paper has 0.1 to 1 for thousands of pairs;
a review has some hundreds."""
_SUREST = -1e-6
"""The largest log-probability whose odds are computed: those of certainty are infinite."""


class OddsRatio:
    """Cross-entropy of the preferred text, which comes first, and how far its odds are above those of the
    other, both per token. An example with a single text has its cross-entropy alone."""

    name = f"odds ratio {WEIGHT:g}"
    compares = False

    def __call__(self, found: list[mx.array], reference: list[mx.array]) -> mx.array:  # noqa: ARG002
        """See Objective."""
        chosen = found[0]
        loss = -chosen.sum()
        if len(found) == 1:
            return loss
        above = _log_odds(chosen) - _log_odds(found[1])
        # log(1 + exp(-above)); as many times as there are tokens, as the first part is a sum over them.
        return loss + WEIGHT * chosen.size * mx.logaddexp(mx.array(0.0), -above)

    def size(self, example: Example) -> int:
        """See Objective."""
        return example[0].count


def _log_odds(log_probabilities: mx.array) -> mx.array:
    mean = mx.minimum(log_probabilities.mean(), _SUREST)
    return mean - mx.log(-mx.expm1(mean))


class _PrefersFirst:
    """1 where the preferred text is the likelier one, per token, else 0."""

    name = "prefers"
    compares = False

    def __call__(self, found: list[mx.array], reference: list[mx.array]) -> mx.array:  # noqa: ARG002
        """See Objective."""
        return (found[0].mean() > found[1].mean()).astype(mx.float32)

    def size(self, example: Example) -> int:  # noqa: ARG002
        """See Objective."""
        return 1


@dataclass(frozen=True, slots=True)
class Preferred:
    """In how many of so many held-out `pairs` the preferred text was the likelier one, per token."""

    before: int
    after: int
    pairs: int

    @property
    def sentence(self) -> str:
        """For a person."""
        return f"Of {self.pairs} held-out pairs, it prefers what you do in {self.before} → {self.after}."


def preferred(
    adapted: AdaptedModel, tensors: Tensors, means: Means, examples: Sequence[Example]
) -> Preferred | None:
    """The model with the adapter's tensors beside the model alone; None where there are no pairs."""
    pairs = [example for example in examples if len(example) > 1]
    if not pairs:
        return None
    judge = Tuner(adapted, _PrefersFirst(), means)
    before, after = (
        round(sum(loss for loss, _ in judge.losses(own, pairs))) for own in (adapted.initial(0), tensors)
    )
    return Preferred(before, after, len(pairs))
