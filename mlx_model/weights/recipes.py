"""Recipes: how many bits each part of the model gets.

The router and the gate of the shared expert never get fewer than 8: a wrong choice of experts costs more than
the few bytes saved. Everything is in groups of 64, in MLX's affine mode, with bfloat16 scales.
"""

from enum import StrEnum

from mlx_model.config.model_config import Quantization
from mlx_model.weights.layout import Part, Projection

GROUP_SIZE = 64
FOUR_BITS = Quantization(bits=4, group_size=GROUP_SIZE)
EIGHT_BITS = Quantization(bits=8, group_size=GROUP_SIZE)


class Recipe(StrEnum):
    """What `convert --recipe` takes."""

    Q4 = "q4"
    """Everything in 4 bits, the routers excepted."""
    Q4_DENSE8 = "q4-dense8"
    """Routed experts in 4 bits; what every token passes through in 8."""
    Q8 = "q8"
    BF16 = "bf16"

    @property
    def default(self) -> Quantization | None:
        """How most of the weights are packed."""
        return {Recipe.Q4: FOUR_BITS, Recipe.Q4_DENSE8: FOUR_BITS, Recipe.Q8: EIGHT_BITS}.get(self)


def quantization_for(recipe: Recipe, projection: Projection) -> Quantization | None:
    """How a recipe packs a projection; None: it stays bfloat16 (no whole number of groups fits its input)."""
    default = recipe.default
    if default is None or projection.columns % GROUP_SIZE:
        return None
    if projection.part is Part.ROUTER:
        return EIGHT_BITS
    if recipe is Recipe.Q4_DENSE8 and projection.part is not Part.EXPERTS:
        return EIGHT_BITS
    return default
