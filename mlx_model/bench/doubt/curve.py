"""What doubt predicts: the share of wrong lines by decile of doubt, and what a threshold would find."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class WrittenLine:
    """A line that a model wrote, and whether it is the right one. Of the tokens that wrote it: the lowest
    probability of one that was chosen, and the lowest margin to the most likely other token. `place` and
    `said` are the lowest probabilities of the tokens that said where the line goes (`old_string`), and of the
    text before the call; 1.0 where there are none."""

    is_right: bool
    probability: float
    margin: float
    place: float
    said: float


@dataclass(frozen=True, slots=True)
class Decile:
    """A tenth of the lines, by how little doubt there was: the lowest and highest score in it, the number of
    lines, and how many of them are wrong."""

    lowest: float
    highest: float
    lines: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Threshold:
    """Lines with a score below `score`: their share of all lines, the share of them that is wrong, and the
    share of all wrong lines that are among them."""

    score: float
    tinted: float
    precision: float
    recall: float


Score = Callable[[WrittenLine], float]
"""Low where the model was in doubt."""

SCORES: dict[str, Score] = {
    "probability": lambda line: line.probability,
    "margin": lambda line: line.margin,
    "with place": lambda line: min(line.probability, line.place),
    "whole reply": lambda line: min(line.probability, line.place, line.said),
}


def deciles(lines: Sequence[WrittenLine], score: Score) -> list[Decile]:
    """The lines in ten groups of equal size, from the most doubtful on; fewer where there are fewer lines."""
    ordered = sorted(lines, key=score)
    cuts = [len(ordered) * n // 10 for n in range(11)]
    groups = [ordered[start:end] for start, end in pairwise(cuts) if end > start]
    return [
        Decile(score(group[0]), score(group[-1]), len(group), sum(not line.is_right for line in group))
        for group in groups
    ]


def separation(lines: Sequence[WrittenLine], score: Score) -> float | None:
    """The chance that a wrong line has a lower score than a right one, ties counted half: the area under the
    ROC curve (0.5: it says nothing). None without lines of both kinds."""
    right = sorted(score(line) for line in lines if line.is_right)
    wrong = sorted(score(line) for line in lines if not line.is_right)
    if not right or not wrong:
        return None
    lower = sum((value > one) + 0.5 * (value == one) for one in wrong for value in right)
    return lower / (len(right) * len(wrong))


def thresholds(lines: Sequence[WrittenLine], score: Score, scores: Sequence[float]) -> list[Threshold]:
    """What each of these thresholds would find. `lines` are not empty."""
    wrong = sum(not line.is_right for line in lines)
    found = []
    for limit in scores:
        tinted = [line for line in lines if score(line) < limit]
        hit = sum(not line.is_right for line in tinted)
        found.append(Threshold(limit, len(tinted) / len(lines), hit / max(1, len(tinted)), hit / max(1, wrong)))
    return found
