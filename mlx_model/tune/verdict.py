"""Whether an adapter made a model better: held-out losses before and after, compared example by example."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Losses = Sequence[tuple[float, int]]
"""Of each example, the loss in nats and the size that it is to be divided by."""

_ERRORS = 2.0
"""Standard errors of the mean by which it must have changed to count: about 95 of 100 chances."""
_LEAST = 0.005
"""And the share of the loss before: a smaller change is of no use, however sure."""
_FEW, _LEAST_OF_FEW = 4, 0.02
"""Of fewer examples than these there is no error to estimate, and the loss must change by this share."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Held-out losses in nats per token (or pair), and "better", "the same" or "worse"."""

    before: float
    after: float
    word: str

    @property
    def sentence(self) -> str:
        """For a person."""
        return f"Held-out loss {self.before:.3f} → {self.after:.3f}: {self.word}."


def mean(losses: Losses) -> float:
    """The loss per token (or pair) of all examples."""
    return sum(loss for loss, _ in losses) / max(1, sum(size for _, size in losses))


def by_source(before: Losses, after: Losses, shares: Sequence[int]) -> tuple[Verdict, ...]:
    """The verdicts on the examples of each source, of which so many follow each other."""
    verdicts, start = [], 0
    for share in shares:
        part = slice(start, start + share)
        verdicts.append(judged(before[part], after[part]))
        start += share
    return tuple(verdicts)


def judged(before: Losses, after: Losses) -> Verdict:
    """The verdict on the same examples before and after."""
    first, second = mean(before), mean(after)
    change = second - first
    counted = [(old, new, size) for (old, size), (new, _) in zip(before, after, strict=True) if size]
    least = _LEAST * abs(first)
    if len(counted) < _FEW:
        least = _LEAST_OF_FEW * abs(first)
    else:
        # Of a mean weighted by size: the residuals of its examples (a ratio estimator).
        whole = sum(size for *_, size in counted)
        residuals = [(new - old) - change * size for old, new, size in counted]
        count = len(counted)
        error = math.sqrt(sum(value * value for value in residuals) * count / (count - 1)) / whole
        least = max(least, _ERRORS * error)
    word = "better" if change < -least else "worse" if change > least else "the same"
    return Verdict(first, second, word)
