"""Which projections an adapter changes, under the names by which mlx-lm knows them."""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from enum import StrEnum

from typing_extensions import override

from mlx_model.config.model_config import ModelConfig
from mlx_model.errors import RequestError
from mlx_model.weights.layout import Component, Projection, model_items
from mlx_model.weights.names import Source, locate


class Target(StrEnum):
    """Projections that are adapted together."""

    ATTENTION = "attention"
    DELTA_NET = "delta-net"
    SHARED_EXPERT = "shared-expert"
    MLP = "mlp"
    EXPERTS = "experts"


_COMPONENTS = {
    Component.ATTENTION: Target.ATTENTION,
    Component.DELTA_NET: Target.DELTA_NET,
    Component.SHARED_EXPERT: Target.SHARED_EXPERT,
    Component.DENSE_MLP: Target.MLP,
    Component.EXPERTS: Target.EXPERTS,
}
USUAL = (Target.ATTENTION, Target.DELTA_NET, Target.SHARED_EXPERT, Target.MLP)
"""All that every token passes through."""


class Kind(StrEnum):
    """LoRA (arXiv 2106.09685) or DoRA (arXiv 2402.09353)."""

    LORA = "lora"
    DORA = "dora"


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of an adapter. `scale`: what the product of its matrices is multiplied by; `layers`: how many,
    from the last one on, are adapted (None: all)."""

    kind: Kind = Kind.LORA
    rank: int = 16
    scale: float = 2.0
    targets: tuple[Target, ...] = USUAL
    layers: int | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """A projection that is adapted: its layer, and the matrices that it consists of in the published form, each
    of which is adapted by itself."""

    projection: Projection
    layer: int
    sources: tuple[Source, ...]


def sites(config: ModelConfig, shape: Shape) -> tuple[Site, ...]:
    """The projections that an adapter of this shape changes, in the order of the forward pass. Raises
    RequestError where the model has none."""
    found = tuple(_sites(config, shape))
    if not found:
        named = ", ".join(shape.targets)
        raise RequestError(f"This model has nothing of {named} in the layers that are to be adapted.")
    return found


def first_layer(config: ModelConfig, shape: Shape) -> int:
    """The first layer that may be adapted."""
    return 0 if shape.layers is None else max(0, config.num_hidden_layers - shape.layers)


def _sites(config: ModelConfig, shape: Shape) -> Iterator[Site]:
    first = first_layer(config, shape)
    for item in model_items(config, mtp=False):
        if isinstance(item, Projection) and _COMPONENTS.get(item.component) in shape.targets:
            layer = int(item.path.split(".")[2])
            if layer >= first:
                yield Site(item, layer, locate(config, item, _Published()))


class _Published(Container[str]):
    """The names of an MLX conversion, in which experts are stacked and nothing is fused."""

    @override
    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and ".switch_mlp." in name
