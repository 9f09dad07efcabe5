"""Forward and backward passes over the layers of a frozen model, of which only an adapter's gradient is wanted.

What is kept of a sequence are the hidden states at the borders of the layers. Within a layer it is computed
segment by segment: backward, the states between segments are computed again first, then each segment, from the
last to the first, is computed again with its gradient (arXiv 1604.06174). So beside the borders, memory grows
with the segment, and not with the sequence.
"""

import mlx.core as mx

from mlx_model.tune.adapters.matrices import AdaptedModel, Tensors
from mlx_model.tune.backward.walks import walk

Segments = list[mx.array]
"""A sequence of hidden states [1, tokens, hidden], in segments."""


class Passes:
    """`segment`: tokens that a layer computes at once; `chunk`: see chunked_delta_rule."""

    def __init__(self, adapted: AdaptedModel, segment: int, chunk: int) -> None:
        self.adapted = adapted
        self.segment = segment
        self.chunk = chunk

    def forward(self, tokens: mx.array, *, kept: bool) -> list[Segments]:
        """Tokens [n] → what goes into each layer from the first adapted one on, where it is to be `kept` for
        `backward`; and what comes out of the last."""
        model = self.adapted.model
        starts = range(0, tokens.size, self.segment)
        x = [model.embed(tokens[None, start : start + self.segment]) for start in starts]
        mx.eval(x)
        borders = []
        for index, layer in enumerate(model.layers):
            keeps = kept and index >= self.adapted.first
            if keeps:
                borders.append(x)
                x = list(x)
            way = walk(layer, self.chunk)
            before = way.start(x[0].dtype)
            for number, part in enumerate(x):
                y, added = way.step(part, before)
                mx.eval(y, added)
                x[number] = y
                before = way.following(before, added)
        return [*borders, x]

    def backward(self, borders: list[Segments], pulls: Segments, tensors: Tensors) -> Tensors:
        """The gradients of the adapter's `tensors`, in float32, from those by the output of the last layer.
        Empties `borders`, which are those of `forward` without the last output, and `pulls`."""
        gradients: Tensors = {}
        first = self.adapted.first
        for index in range(len(self.adapted.model.layers) - 1, first - 1, -1):
            own = {name: tensors[name] for name in self.adapted.names(index)}
            gradients |= self._layer(index, borders.pop(), pulls, own, further=index > first)
        return gradients

    def _layer(self, index: int, x: Segments, pulls: Segments, own: Tensors, *, further: bool) -> Tensors:
        """The gradients of one layer's tensors; `pulls` become those by its input, if it goes `further`."""
        way = walk(self.adapted.model.layers[index], self.chunk)
        states = [way.start(x[0].dtype)]
        for part in x[:-1]:
            # Of the layer, only what makes up the state is computed.
            _, added = way.step(part, states[-1])
            mx.eval(added)
            states.append(way.following(states[-1], added))
        names = list(own)
        total = {name: mx.zeros(tensor.shape) for name, tensor in own.items()}
        for number in range(len(x) - 1, -1, -1):
            part, before = x.pop(), states.pop()
            count = len(before)

            def run(arrays: list[mx.array], part: mx.array = part, count: int = count) -> list[mx.array]:
                before, tensors, own_part = (
                    arrays[:count],
                    arrays[count : count + len(names)],
                    arrays[count:][len(names) :],
                )
                self.adapted.lay(dict(zip(names, tensors, strict=True)), index)
                y, added = way.step(own_part[0] if own_part else part, before)
                return [y, *added]

            wanted = [*before, *own.values(), *([part] if further else [])]
            _, found = mx.vjp(
                lambda *arrays, run=run: run(list(arrays)), wanted, [pulls[number], *way.pull(part, before)]
            )
            for name, gradient in zip(names, found[count:], strict=False):
                total[name] = total[name] + gradient
            pulls[number] = found[-1] if further else mx.zeros((0,))
            by_before = found[:count]
            del found
            mx.eval(pulls[number], by_before, total)
            del before, wanted
            way.push(by_before)
        self.adapted.lay(own, index)
        return total
