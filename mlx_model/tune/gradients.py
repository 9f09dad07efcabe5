"""The gradient of a loss by an adapter, over a batch of examples."""

from collections.abc import Sequence
from dataclasses import dataclass

import mlx.core as mx

from mlx_model.tune.adapters.matrices import AdaptedModel, Tensors
from mlx_model.tune.backward.passes import Passes
from mlx_model.tune.data.texts import Example, Text
from mlx_model.tune.losses import Judge, Objective


@dataclass(frozen=True, slots=True)
class Means:
    """What memory allows: tokens that a layer computes at once, tokens of a chunk of the delta rule, and
    whether packed weights are unpacked when they are loaded."""

    segment: int
    chunk: int = 64
    widened: bool = False


class Tuner:
    """Losses and their gradients by the adapter of a model."""

    def __init__(self, adapted: AdaptedModel, objective: Objective, means: Means) -> None:
        self.adapted = adapted
        self.objective = objective
        self.passes = Passes(adapted, means.segment, means.chunk)
        self.judge = Judge(adapted.model, means.segment)

    def gradients(self, tensors: Tensors, batch: Sequence[Example]) -> tuple[Tensors, float]:
        """The gradients in float32 by name, and the loss; both of the whole batch, whose examples are computed
        one after the other."""
        self.adapted.measure(tensors)
        size = max(1, sum(self.objective.size(example) for example in batch))
        total: Tensors = {}
        loss = 0.0
        for example in batch:
            reference = self._reference(example)
            self.adapted.lay(tensors)
            passed = [self.passes.forward(_inputs(text), kept=True) for text in example]
            outputs = [borders.pop() for borders in passed]
            found = [
                self.judge.log_probabilities(states, text)
                for states, text in zip(outputs, example, strict=True)
            ]
            value, weights = mx.value_and_grad(lambda found, own=reference: self.objective(found, own) / size)(
                found
            )
            loss += float(value)
            for borders, states, text, weight in zip(passed, outputs, example, weights, strict=True):
                pulls = self.judge.pulls(states, text, weight)
                gradients = self.passes.backward(borders, pulls, tensors)
                for name in list(gradients):
                    gradient = gradients.pop(name)
                    total[name] = total[name] + gradient if name in total else gradient
                    mx.eval(total[name])
        return total, loss

    def losses(self, tensors: Tensors, examples: Sequence[Example]) -> list[tuple[float, int]]:
        """Of each example, the loss and the size that it is to be divided by."""
        self.adapted.measure(tensors)
        found = []
        for example in examples:
            reference = self._reference(example)
            self.adapted.lay(tensors)
            own = [self._log_probabilities(text) for text in example]
            found.append((float(self.objective(own, reference)), self.objective.size(example)))
        return found

    def _reference(self, example: Example) -> list[mx.array]:
        if not self.objective.compares:
            return []
        self.adapted.lift()
        return [self._log_probabilities(text) for text in example]

    def _log_probabilities(self, text: Text) -> mx.array:
        (states,) = self.passes.forward(_inputs(text), kept=False)
        return self.judge.log_probabilities(states, text)


def _inputs(text: Text) -> mx.array:
    return mx.array(text.tokens[:-1])
