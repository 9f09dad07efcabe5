"""The matrices of an adapter in training, and how they are laid over the model's projections.

They are kept by the module that mlx-lm knows, in float32: `MODULE.lora_a` [in, rank], `MODULE.lora_b` [rank,
out], and DoRA's `MODULE.m` [out]; each with a leading axis of experts for a bank. Rows are in the engine's
order.
"""

from collections.abc import Mapping, Sequence
from operator import attrgetter

import mlx.core as mx

from mlx_model.layers.low_rank import Adaptable, LowRankUpdate
from mlx_model.model import Qwen3Next
from mlx_model.tune.adapters.targets import Kind, Shape, Site

Tensors = dict[str, mx.array]


class AdaptedModel:
    """A model, and the sites of it that are adapted."""

    def __init__(self, model: Qwen3Next, sites: Sequence[Site], shape: Shape) -> None:
        self.model = model
        self.sites = sites
        self.shape = shape
        self.first = min(site.layer for site in sites)
        """The first layer that is adapted."""
        self._shrinking: dict[str, mx.array] = {}

    def initial(self, seed: int) -> Tensors:
        """An adapter that changes nothing yet, as mlx-lm begins: `lora_a` uniform within 1 / sqrt(in), `lora_b`
        zero, and magnitudes the lengths of the rows as they are."""
        key, rank = mx.random.key(seed), self.shape.rank
        tensors: Tensors = {}
        for site in self.sites:
            for source in site.sources:
                *bank, rows, columns = source.shape
                key, own = mx.random.split(key)
                bound = columns**-0.5
                tensors[f"{source.module}.lora_a"] = mx.random.uniform(
                    -bound, bound, (*bank, columns, rank), key=own
                )
                tensors[f"{source.module}.lora_b"] = mx.zeros((*bank, rank, rows))
        if self.shape.kind is Kind.DORA:
            self.measure(tensors)
            for site in self.sites:
                lengths, above = 1.0 / self._shrinking[site.projection.path], 0
                for source in site.sources:
                    tensors[f"{source.module}.m"] = lengths[..., above : above + source.shape[-2]]
                    above += source.shape[-2]
        mx.eval(tensors)
        return tensors

    def names(self, layer: int) -> list[str]:
        """The names of a layer's tensors."""
        kinds = ("lora_a", "lora_b", "m") if self.shape.kind is Kind.DORA else ("lora_a", "lora_b")
        return [
            f"{source.module}.{kind}"
            for site in self.sites
            if site.layer == layer
            for source in site.sources
            for kind in kinds
        ]

    def measure(self, tensors: Mapping[str, mx.array]) -> None:
        """For DoRA, measures the lengths of the adapted rows, which are taken as constants: once a step."""
        if self.shape.kind is not Kind.DORA:
            return
        for site in self.sites:
            a, b = self._joined(site, tensors)
            # A gain of magnitudes that are all one: the lengths' inverses.
            gain = self._at(site).prepared(a, b, mx.ones((*b.shape[:-2], b.shape[-1])), mx.float32).gain
            assert gain is not None
            self._shrinking[site.projection.path] = gain

    def lay(self, tensors: Mapping[str, mx.array], layer: int | None = None) -> None:
        """Lays these matrices over the projections of a layer, or of all."""
        for site in self.sites:
            if layer is not None and site.layer != layer:
                continue
            a, b = self._joined(site, tensors)
            gain = None
            if self.shape.kind is Kind.DORA:
                magnitude = mx.concatenate([tensors[f"{source.module}.m"] for source in site.sources], axis=-1)
                gain = (magnitude * self._shrinking[site.projection.path]).astype(self.model.dtype)
            self._at(site).update = LowRankUpdate(a, b, gain)

    def lift(self) -> None:
        """Leaves the model as it was without an adapter."""
        for site in self.sites:
            self._at(site).update = None

    def _joined(self, site: Site, tensors: Mapping[str, mx.array]) -> tuple[mx.array, mx.array]:
        """The update of the whole projection: `lora_a` side by side, `lora_b` as blocks on a diagonal."""
        rank, count = self.shape.rank, len(site.sources)
        a = [tensors[f"{source.module}.lora_a"] for source in site.sources]
        b = []
        for index, source in enumerate(site.sources):
            block = tensors[f"{source.module}.lora_b"]
            widths = [(0, 0)] * (block.ndim - 2) + [(index * rank, (count - 1 - index) * rank), (0, 0)]
            b.append(mx.pad(block, widths))
        return mx.concatenate(a, axis=-1), self.shape.scale * mx.concatenate(b, axis=-1)

    def _at(self, site: Site) -> Adaptable:
        path = site.projection.path.removeprefix(f"model.layers.{site.layer}.")
        found: Adaptable = attrgetter(path)(self.model.layers[site.layer])
        return found
