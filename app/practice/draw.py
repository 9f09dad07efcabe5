"""Random choices that are the same on every machine and for every Python."""

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Choices from a seed. Of Python's generator only `random()` is used, the one method whose sequence is
    promised to stay the same between versions."""

    def __init__(self, *seed: object) -> None:
        self._random = random.Random(":".join(map(str, seed)))

    def chance(self, probability: float) -> bool:
        """True with that probability."""
        return self._random.random() < probability

    def integer(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included."""
        return low + int(self._random.random() * (high - low + 1))

    def choice(self, options: Sequence[T]) -> T:
        """One of `options`."""
        return options[self.integer(0, len(options) - 1)]

    def weighted(self, options: Mapping[T, float]) -> T:
        """One of the keys of `options`, as often as its value says."""
        left = self._random.random() * sum(options.values())
        for option, weight in options.items():
            left -= weight
            if left < 0:
                return option
        return option

    def sample(self, options: Sequence[T], count: int) -> list[T]:
        """`count` different places of `options`, in random order; all of them where there are fewer."""
        return self.shuffled(options)[:count]

    def shuffled(self, options: Sequence[T]) -> list[T]:
        """All of `options` in random order."""
        left = list(options)
        for last in range(len(left) - 1, 0, -1):
            other = self.integer(0, last)
            left[last], left[other] = left[other], left[last]
        return left
