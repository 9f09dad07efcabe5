"""Recipes: how many bits each component of the model gets.

The router and the gate of the shared expert never get fewer than 8: a wrong choice of experts costs more than
the few bytes saved. All packing is in groups of 64, in MLX's affine mode, with bfloat16 scales.
"""

from enum import StrEnum

from mlx_model.config.model_config import Quantization
from mlx_model.weights.layout import Component, Projection

GROUP_SIZE = 64
"""Weights that share a scale: the size of published MLX checkpoints."""
FOUR_BITS = Quantization(bits=4, group_size=GROUP_SIZE)
EIGHT_BITS = Quantization(bits=8, group_size=GROUP_SIZE)


class Recipe(StrEnum):
    """What `convert --recipe` takes."""

    Q4 = "q4"
    """4 bits, but 8 for the routers."""
    Q4_DENSE8 = "q4-dense8"
    """Routed experts in 4 bits; in 8 everything that every token passes through."""
    Q8 = "q8"
    BF16 = "bf16"

    @property
    def default(self) -> Quantization | None:
        """How most of the weights are packed."""
        return {Recipe.Q4: FOUR_BITS, Recipe.Q4_DENSE8: FOUR_BITS, Recipe.Q8: EIGHT_BITS}.get(self)


def quantization_for(recipe: Recipe, projection: Projection) -> Quantization | None:
    """A recipe's packing of a projection; None: it stays bfloat16 (recipe bf16, or rows that groups of 64 do
    not divide)."""
    default = recipe.default
    if default is None or projection.columns % GROUP_SIZE:
        return None
    if projection.component is Component.ROUTER:
        return EIGHT_BITS
    if recipe is Recipe.Q4_DENSE8 and projection.component is not Component.EXPERTS:
        return EIGHT_BITS
    return default
