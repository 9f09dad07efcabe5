"""train-mtp: an MTP layer fitted to a model over the user's own code, with a progress bar."""

import argparse
from pathlib import Path

from rich.console import Console

from mlx_model.commands.shared.memory_check import add_memory
from mlx_model.commands.shared.training import add_schedule, check_schedule, run_training, settle_training
from mlx_model.engine.adapters import MTP_FOLDER, adapter_directory
from mlx_model.errors import RequestError
from mlx_model.memory.footprint import stored_packing
from mlx_model.train.forecast import fitting_bytes
from mlx_model.train.steps import Schedule
from mlx_model.train.training import Trained, Training, train_mtp
from mlx_model.weights.checkpoint import Checkpoint


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    parser.epilog = (
        "The result is a checkpoint like any other, made of links to the model's files and one new file: serve "
        "it, or take its MTP layer into another with convert --graft-mtp. An interrupted training goes on when "
        "the same command is given again."
    )
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="the checkpoint to draft for")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        nargs="+",
        metavar="PATH",
        help="text files, and folders with all text files in them that no .gitignore names",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="the checkpoint to make; not with --adapter, whose directory gets the layer",
    )
    parser.add_argument(
        "--adapter",
        type=adapter_directory,
        metavar="ADAPTER",
        help="fit the model's own layer again to the model with this adapter, which keeps the result in "
        f"{MTP_FOLDER}/",
    )
    parser.add_argument(
        "--graft-mtp",
        type=Path,
        metavar="DIR",
        help="begin from this sibling's MTP layer (default: from the model's own, or from scratch)",
    )
    add_schedule(parser)
    add_memory(parser, slots=True)
    parser.set_defaults(dtype=None, kv_bits=None)


def run(arguments: argparse.Namespace) -> int:
    """Trains; 130 when interrupted. Raises EngineError."""
    if (arguments.out is None) == (arguments.adapter is None):
        raise RequestError(
            "Say what to make: a checkpoint with --out, or a layer for an adapter with --adapter."
        )
    training = Training(
        model=arguments.model,
        data=tuple(arguments.data),
        out=arguments.adapter / MTP_FOLDER if arguments.out is None else arguments.out,
        adapter=arguments.adapter,
        schedule=Schedule(arguments.steps, arguments.batch, arguments.learning_rate, arguments.seed),
        length=arguments.sequence_length,
        held_out=arguments.held_out,
        graft=arguments.graft_mtp,
    )
    check_schedule(arguments)
    length = training.length
    means = settle_training(arguments, "the MTP layer", lambda of, size: needed_bytes(of, size, length))
    return run_training(arguments, lambda report: train_mtp(training, means, report), _tell)


def needed_bytes(checkpoint: Checkpoint, float_bytes: int, length: int) -> int:
    """Bytes that training takes, on sequences of `length` tokens."""
    return fitting_bytes(checkpoint.config, stored_packing(checkpoint), length, float_bytes)


def _tell(console: Console, trained: Trained) -> None:
    console.print(
        f"{trained.directory}: {trained.steps} steps on {trained.tokens:,} tokens of {trained.files} files",
        soft_wrap=True,
    )
    for draft, (before, after) in enumerate(zip(trained.before, trained.after, strict=True), 1):
        console.print(
            f"draft {draft} is the model's own choice: {before:.1%} → {after:.1%} "
            f"of {trained.held_out_tokens:,} tokens held out"
        )
