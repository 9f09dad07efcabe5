"""The loss of a tuning: a function of the log-probabilities that the model gives the tokens that count."""

from collections.abc import Sequence
from typing import Protocol

import mlx.core as mx
import numpy as np

from mlx_model.model import Qwen3Next
from mlx_model.tune.backward.passes import Segments
from mlx_model.tune.data.texts import Example, Text

JUDGED_AT_ONCE = 128
"""Positions whose logits are in memory at once: 128 * 151,936 float32 are 78 MB."""


class Objective(Protocol):
    """A loss. `name` tells it from others on a card; `compares`: it needs the log-probabilities that the model
    gives without the adapter."""

    name: str
    compares: bool

    def __call__(self, found: list[mx.array], reference: list[mx.array]) -> mx.array:
        """The loss of an example, a scalar, from the log-probabilities of the tokens that count of each of its
        texts, [count] in nats; `reference`: without the adapter, empty unless `compares`."""
        ...

    def size(self, example: Example) -> int:
        """What the losses of a batch are divided by, summed over its examples."""
        ...


class Likelihood:
    """Cross-entropy: minus the log-probability of every token that counts."""

    name = "likelihood"
    compares = False

    def __call__(self, found: list[mx.array], reference: list[mx.array]) -> mx.array:  # noqa: ARG002
        """See Objective."""
        return -mx.concatenate(found).sum()

    def size(self, example: Example) -> int:
        """See Objective."""
        return sum(text.count for text in example)


class Judge:
    """What a model's head makes of hidden states, at the positions whose next token counts. `segment`: as of
    Passes."""

    def __init__(self, model: Qwen3Next, segment: int) -> None:
        self._model = model
        self._segment = segment

    def log_probabilities(self, states: Segments, text: Text) -> mx.array:
        """Of the tokens that count [count], in nats, from what the last layer gives for all tokens but the
        last."""
        found = []
        for index, places, targets in self._blocks(text):
            found.append(self._of(states[index][:, places], targets))
            mx.eval(found[-1])
        return mx.concatenate(found) if found else mx.zeros((0,))

    def pulls(self, states: Segments, text: Text, weights: mx.array) -> Segments:
        """The gradient by `states`, which are emptied, from that by each log-probability [count]."""
        blocks = self._blocks(text)
        parts: Segments = []
        start = 0
        while states:
            state = states.pop(0)
            part = mx.zeros_like(state)
            for index, places, targets in blocks:
                if index != len(parts):
                    continue
                own = weights[start : start + targets.size]
                start += targets.size
                _, (gradient,) = mx.vjp(lambda x, to=targets: self._of(x, to), [state[:, places]], [own])
                part[:, places] = gradient
            mx.eval(part)
            parts.append(part)
        return parts

    def _of(self, rows: mx.array, targets: mx.array) -> mx.array:
        logits = self._model.head(self._model.norm(rows))[0].astype(mx.float32)
        chosen = mx.take_along_axis(logits, targets[:, None], axis=-1)[:, 0]
        return chosen - mx.logsumexp(logits, axis=-1)

    def _blocks(self, text: Text) -> Sequence[tuple[int, mx.array, mx.array]]:
        """Segments, and at most JUDGED_AT_ONCE places in them, with the tokens that follow."""
        places = np.flatnonzero(text.counted[1:])
        blocks = []
        for index in range(-(-(len(text.tokens) - 1) // self._segment)):
            own = places[places // self._segment == index]
            for start in range(0, len(own), JUDGED_AT_ONCE):
                block = own[start : start + JUDGED_AT_ONCE]
                targets = mx.array(text.tokens[block + 1])
                blocks.append((index, mx.array(block - index * self._segment), targets))
        return blocks
