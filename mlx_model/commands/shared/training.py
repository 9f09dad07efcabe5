"""What the trainings of drafters share: options of the schedule, and the check of memory."""

import argparse
from collections.abc import Callable

from mlx_model.commands.shared.memory_check import DoesNotFit, settle_memory
from mlx_model.config.family import ARCHITECTURES
from mlx_model.config.model_config import architecture
from mlx_model.errors import ConfigError, RequestError
from mlx_model.memory.advice import gigabytes
from mlx_model.memory.device import arithmetic, default_dtype
from mlx_model.memory.machine import Machine, this_machine
from mlx_model.memory.plan import Wishes, margin
from mlx_model.train.reading import Means
from mlx_model.weights.checkpoint import Checkpoint, open_checkpoint


def add_schedule(parser: argparse.ArgumentParser) -> None:
    """How long is trained, on how much of the text, and how fast."""
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


def check_schedule(arguments: argparse.Namespace) -> None:
    """Raises RequestError for a value that cannot work."""
    for option in ("steps", "batch"):
        if getattr(arguments, option) < 1:
            raise RequestError(f"--{option} is {getattr(arguments, option)}; it must be at least 1.")
    if not 0 <= arguments.seed < 1 << 64:
        raise RequestError(f"--seed is {arguments.seed}; it must be 0 or more and less than 2^64.")
    if not 0 < arguments.held_out <= 0.5:
        raise RequestError(f"--held-out is {arguments.held_out:g}; it must be more than 0 and at most 0.5.")
    if not 0 < arguments.learning_rate <= 1:
        raise RequestError(f"--learning-rate is {arguments.learning_rate:g}; it must be between 0 and 1.")


def settle_training(
    arguments: argparse.Namespace,
    what: str,
    needed: Callable[[Checkpoint, int], int],
    machine: Machine | None = None,
) -> Means:
    """The memory plan for running the model over the text. Checks that plan, and the memory of training `what`,
    of which `needed` gives the bytes for a checkpoint and the bytes of a number. Raises DoesNotFit unless
    --force is given, and EngineError."""
    name = architecture(arguments.model)
    if name not in ARCHITECTURES:
        fitting = ", ".join(sorted(ARCHITECTURES))
        raise ConfigError(
            f"Drafters can be trained for models of {fitting}; {arguments.model} is a {name} model."
        )
    machine = machine or this_machine()
    checkpoint = open_checkpoint(arguments.model)
    config = checkpoint.config
    if arguments.sequence_length > config.context_length:
        raise RequestError(
            f"--sequence-length is {arguments.sequence_length}; the model's context is {config.context_length}."
        )
    taken = needed(checkpoint, arithmetic(default_dtype(config.dtype), config).float_bytes)
    budget = machine.usable - margin(machine)
    if taken > budget and not arguments.force:
        raise DoesNotFit(
            f"Training does not fit: {what} with its optimizer needs {gigabytes(taken)} and may use "
            f"{gigabytes(budget)} here. (--force tries it all the same.)"
        )
    plan = settle_memory(arguments, Wishes(context=arguments.sequence_length, snapshots=0), machine=machine)
    assert plan is not None, "mlx-lm does not run it"
    return Means(plan.chunk, plan.expert_slots, plan.model.widened)
