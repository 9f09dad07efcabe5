"""tune merge: an adapter written into a checkpoint."""

import argparse
from pathlib import Path

from rich.console import Console

from mlx_model.commands.shared.sizes import readable_size
from mlx_model.commands.shared.training_bar import training_bar
from mlx_model.engine.adapters import adapter_directory
from mlx_model.weights.conversion.merge import merge


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    parser.epilog = (
        "The result has the form of the checkpoint: adapted matrices are unpacked, changed and packed again as "
        "they were, one at a time. An interrupted merge goes on when the same command is given again."
    )
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="the checkpoint")
    parser.add_argument(
        "--adapter",
        type=adapter_directory,
        required=True,
        metavar="ADAPTER",
        help="a directory, or a name in the folder of adapters",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the directory to make")


def run(arguments: argparse.Namespace) -> int:
    """Merges; 130 when interrupted. Raises EngineError."""
    console = Console(stderr=True)
    try:
        with training_bar(console) as report:
            merged = merge(
                arguments.model,
                arguments.adapter,
                arguments.out,
                progress=lambda done, total: report("Merging", done, total, ""),
            )
    except KeyboardInterrupt:
        console.print("Interrupted. The same command goes on where it was.")
        return 130
    console.print(
        f"{merged.directory}: {readable_size(merged.nbytes)}, {merged.matrices} matrices changed",
        soft_wrap=True,
    )
    return 0
