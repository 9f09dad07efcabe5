"""What all trainings share: options of the schedule, the checks before anything is loaded, and the run."""

import argparse
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from mlx_model.commands.shared.memory_check import DoesNotFit, settle_memory
from mlx_model.commands.shared.training_bar import training_bar
from mlx_model.config.family import ARCHITECTURES
from mlx_model.config.model_config import architecture
from mlx_model.errors import ConfigError, RequestError
from mlx_model.memory.advice import gigabytes, listed
from mlx_model.memory.device import arithmetic, default_dtype
from mlx_model.memory.machine import Machine, this_machine
from mlx_model.memory.plan import Wishes, margin
from mlx_model.train.checkpointing import Ended, Result, as_json
from mlx_model.train.reading import Means
from mlx_model.train.steps import Report
from mlx_model.weights.checkpoint import Checkpoint, open_checkpoint

_R = TypeVar("_R", bound=Result)


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
    machine = machine or this_machine()
    checkpoint = open_trainable(arguments.model, "--sequence-length", arguments.sequence_length)
    config = checkpoint.config
    taken = needed(checkpoint, arithmetic(default_dtype(config.dtype), config).float_bytes)
    check_room(f"Training does not fit: {what} with its optimizer", taken, machine, force=arguments.force)
    plan = settle_memory(arguments, Wishes(context=arguments.sequence_length, snapshots=0), machine=machine)
    assert plan is not None, "mlx-lm does not run it"
    return Means(plan.chunk, plan.expert_slots, plan.model.widened)


def open_trainable(model: Path, option: str, length: int) -> Checkpoint:
    """The checkpoint to train for, with texts of `length` tokens, as `option` says. Raises EngineError."""
    name = architecture(model)
    if name not in ARCHITECTURES:
        fitting = ", ".join(sorted(ARCHITECTURES))
        raise ConfigError(f"Training is for models of {fitting}; {model} is a {name} model.")
    checkpoint = open_checkpoint(model)
    context = checkpoint.config.context_length
    if length > context:
        raise RequestError(f"{option} is {length}; the model's context is {context}.")
    return checkpoint


def check_room(
    beginning: str,
    needed: int,
    machine: Machine,
    *,
    force: bool,
    would: Callable[[], Iterable[str]] | None = None,
) -> None:
    """Raises DoesNotFit where more bytes are `needed` than a model may use, unless that is to be tried all the
    same. `beginning`: of the sentence, up to what needs them; `would`: what would fit."""
    budget = machine.usable - margin(machine)
    if needed <= budget or force:
        return
    fitting = "" if would is None else f"; it would fit {listed(would())}"
    raise DoesNotFit(
        f"{beginning} needs {gigabytes(needed)} and may use {gigabytes(budget)} here{fitting}. "
        "(--force tries it all the same.)"
    )


def run_training(
    arguments: argparse.Namespace, train: Callable[[Report], _R], tell: Callable[[Console, _R], None]
) -> int:
    """Trains with a progress bar, and prints the result, as JSON or by `tell`; 130 when interrupted. Raises
    EngineError."""
    console = Console(stderr=True)
    try:
        with training_bar(console) as report:
            trained = train(report)
    except KeyboardInterrupt:
        console.print("Interrupted. The same command goes on where it was.")
        return 130
    except Ended as ended:
        if not arguments.json:
            raise
        print(json.dumps(ended.told))
        return 0
    if arguments.json:
        print(json.dumps(as_json(trained)))
    else:
        tell(console, trained)
    return 0
