"""train-mtp: an MTP layer fitted to a model over the user's own code, with a progress bar."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from mlx_model.commands.shared.memory_check import DoesNotFit, add_memory, settle_memory
from mlx_model.commands.shared.training_bar import training_bar
from mlx_model.config.family import ARCHITECTURES
from mlx_model.config.model_config import architecture
from mlx_model.errors import ConfigError, RequestError
from mlx_model.memory.advice import gigabytes
from mlx_model.memory.device import arithmetic, default_dtype
from mlx_model.memory.footprint import stored_packing
from mlx_model.memory.machine import Machine, this_machine
from mlx_model.memory.plan import Wishes, margin
from mlx_model.train.forecast import fitting_bytes
from mlx_model.train.steps import Schedule
from mlx_model.train.training import Means, Trained, Training, train_mtp
from mlx_model.weights.checkpoint import open_checkpoint


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
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the checkpoint to make")
    parser.add_argument(
        "--graft-mtp",
        type=Path,
        metavar="DIR",
        help="begin from this sibling's MTP layer (default: from the model's own, or from scratch)",
    )
    parser.add_argument("--steps", type=int, default=1000, metavar="N", help="(default 1000)")
    parser.add_argument("--batch", type=int, default=4, metavar="N", help="sequences a step (default 4)")
    parser.add_argument(
        "--sequence-length", type=int, default=1024, metavar="N", help="tokens a sequence (default 1024)"
    )
    parser.add_argument("--learning-rate", type=float, default=3e-4, metavar="X", help="(default 3e-4)")
    parser.add_argument(
        "--held-out",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="of the text, for measuring only (default 0.05)",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default 0)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_memory(parser, slots=True)
    parser.set_defaults(dtype=None, kv_bits=None)


def run(arguments: argparse.Namespace) -> int:
    """Trains; 130 when interrupted. Raises EngineError."""
    training = Training(
        model=arguments.model,
        data=tuple(arguments.data),
        out=arguments.out,
        schedule=Schedule(arguments.steps, arguments.batch, arguments.learning_rate, arguments.seed),
        length=arguments.sequence_length,
        held_out=arguments.held_out,
        graft=arguments.graft_mtp,
    )
    _check(arguments)
    means = settle_training(arguments)
    console = Console(stderr=True)
    try:
        with training_bar(console) as report:
            trained = train_mtp(training, means, report)
    except KeyboardInterrupt:
        console.print("Interrupted. The same command goes on where it was.")
        return 130
    if arguments.json:
        print(json.dumps(asdict(trained) | {"directory": str(trained.directory)}))
    else:
        _tell(console, trained)
    return 0


def settle_training(arguments: argparse.Namespace, machine: Machine | None = None) -> Means:
    """The memory plan for running the model over the text. Checks that plan and the memory of the training
    itself. Raises DoesNotFit unless --force is given, and EngineError."""
    name = architecture(arguments.model)
    if name not in ARCHITECTURES:
        fitting = ", ".join(sorted(ARCHITECTURES))
        raise ConfigError(f"An MTP layer fits a model of {fitting}; {arguments.model} is a {name} model.")
    machine = machine or this_machine()
    checkpoint = open_checkpoint(arguments.model)
    config = checkpoint.config
    if arguments.sequence_length > config.context_length:
        raise RequestError(
            f"--sequence-length is {arguments.sequence_length}; the model's context is {config.context_length}."
        )
    float_bytes = arithmetic(default_dtype(config.dtype), config).float_bytes
    needed = fitting_bytes(config, stored_packing(checkpoint), arguments.sequence_length, float_bytes)
    budget = machine.usable - margin(machine)
    if needed > budget and not arguments.force:
        raise DoesNotFit(
            f"Training does not fit: the MTP layer with its optimizer needs {gigabytes(needed)} and may use "
            f"{gigabytes(budget)} here. (--force tries it all the same.)"
        )
    plan = settle_memory(arguments, Wishes(context=arguments.sequence_length, snapshots=0), machine=machine)
    assert plan is not None, "mlx-lm does not run it"
    return Means(plan.chunk, plan.expert_slots, plan.model.widened)


def _check(arguments: argparse.Namespace) -> None:
    for option in ("steps", "batch"):
        if getattr(arguments, option) < 1:
            raise RequestError(f"--{option} is {getattr(arguments, option)}; it must be at least 1.")
    if not 0 <= arguments.seed < 1 << 64:
        raise RequestError(f"--seed is {arguments.seed}; it must be 0 or more and less than 2^64.")
    if not 0 < arguments.held_out <= 0.5:
        raise RequestError(f"--held-out is {arguments.held_out:g}; it must be more than 0 and at most 0.5.")
    if not 0 < arguments.learning_rate <= 1:
        raise RequestError(f"--learning-rate is {arguments.learning_rate:g}; it must be between 0 and 1.")


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
