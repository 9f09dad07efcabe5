"""The model that `info` and `fit` describe: a checkpoint, or only its shape, as stored or as packed by a
recipe."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from mlx_model.config.model_config import ModelConfig, read_json_object
from mlx_model.config.published import NAME, published_config
from mlx_model.memory.footprint import PackingOf, recipe_packing, stored_packing
from mlx_model.weights.checkpoint import Checkpoint, open_checkpoint
from mlx_model.weights.recipes import Recipe


@dataclass(frozen=True, slots=True)
class ModelShape:
    """`source` is the directory or the config.json, None for the published model; `recipe` is None for a
    checkpoint as it is stored. Without weights there is no `checkpoint`."""

    source: Path | None
    recipe: Recipe | None
    config: ModelConfig
    packing: PackingOf
    checkpoint: Checkpoint | None

    @property
    def has_mtp(self) -> bool:
        """Whether the weights are known to have an MTP layer."""
        return self.checkpoint is not None and self.checkpoint.has_mtp

    @property
    def made_by(self) -> str:
        """The recipe, for a title."""
        return str(self.recipe or "as stored")


def add_shape(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """The options that name a model. Where they are not `required`, the default is the published model."""
    what = parser.add_mutually_exclusive_group(required=required)
    default = "" if required else f" (default: {NAME}'s shape)"
    what.add_argument("--model", type=Path, metavar="DIR", help=f"a checkpoint{default}")
    what.add_argument("--config", type=Path, metavar="FILE", help="a config.json without weights")
    parser.add_argument(
        "--recipe",
        choices=[str(recipe) for recipe in Recipe],
        metavar="RECIPE",
        help=f"as if converted by this recipe ({', '.join(Recipe)}; default: as stored, or q4)",
    )


def read_shape(arguments: argparse.Namespace) -> ModelShape:
    """The model that the options name. Raises ConfigError, CheckpointError."""
    recipe = None if arguments.recipe is None else Recipe(arguments.recipe)
    if arguments.model is not None:
        checkpoint = open_checkpoint(arguments.model)
        packing = stored_packing(checkpoint) if recipe is None else recipe_packing(recipe)
        return ModelShape(arguments.model, recipe, checkpoint.config, packing, checkpoint)
    recipe = recipe or Recipe.Q4
    given = arguments.config
    config = published_config() if given is None else ModelConfig.from_dict(read_json_object(given))
    return ModelShape(given, recipe, config, recipe_packing(recipe), None)
