"""convert: any checkpoint to the fused layout, packed by a recipe, with a progress bar."""

import argparse
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from mlx_model.commands.shared.sizes import readable_size
from mlx_model.weights.conversion.convert import convert
from mlx_model.weights.recipes import Recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    parser.add_argument("--source", required=True, type=Path, metavar="DIR", help="the checkpoint to read")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the directory to make")
    parser.add_argument(
        "--recipe",
        required=True,
        choices=[str(recipe) for recipe in Recipe],
        metavar="RECIPE",
        help="q4: 4 bits; q4-dense8: experts 4 bits, the rest 8; q8: 8 bits; bf16: unpacked",
    )
    parser.add_argument(
        "--graft-mtp", type=Path, metavar="DIR", help="take the MTP layer from this sibling checkpoint"
    )


def run(arguments: argparse.Namespace) -> int:
    """Converts; 130 when interrupted. Raises EngineError."""
    console = Console(stderr=True)
    columns = (
        TextColumn("Converting"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    try:
        with Progress(*columns, console=console) as bar:

            def report(done: int, total: int) -> None:
                # The bar is shown only when work begins: an error should not be printed below an empty bar.
                task = bar.task_ids[0] if bar.task_ids else bar.add_task("convert", total=total)
                bar.update(task, completed=done)

            result = convert(
                arguments.source,
                arguments.out,
                Recipe(arguments.recipe),
                graft_mtp=arguments.graft_mtp,
                progress=report,
            )
    except KeyboardInterrupt:
        console.print("Interrupted. The same command goes on where it was.")
        return 130
    drafter = f", MTP layer from {result.mtp_source}" if result.mtp_source else ""
    resumed = f", gone on from {result.resumed_at:.0%}" if result.resumed_at else ""
    console.print(f"{result.directory}: {readable_size(result.nbytes)}{drafter}{resumed}")
    return 0
