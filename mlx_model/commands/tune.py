"""tune: an adapter trained over the user's own code, conversations and decisions; and what stands beside it."""

import argparse
from dataclasses import asdict, replace
from pathlib import Path

from rich.console import Console

from mlx_model.commands.shared.sizes import count
from mlx_model.commands.shared.training import check_room, check_schedule, open_trainable, run_training
from mlx_model.commands.tuning import fit, merge
from mlx_model.commands.tuning.adapter_options import add_adapter, read_adapter_shape
from mlx_model.errors import RequestError
from mlx_model.memory.advice import gigabytes
from mlx_model.memory.device import arithmetic, default_dtype, gains_by_widening, set_memory_limits
from mlx_model.memory.footprint import stored_packing
from mlx_model.memory.machine import Machine, this_machine
from mlx_model.memory.plan import Model
from mlx_model.train.steps import Report, Schedule
from mlx_model.tune.adapters.targets import Shape
from mlx_model.tune.data.reading import Wanted, read_material
from mlx_model.tune.data.reviewed import has_pairs, is_reviewed
from mlx_model.tune.forecast import TuningPlan, plan_tuning, remedies
from mlx_model.tune.gradients import Means
from mlx_model.tune.preference import OddsRatio
from mlx_model.tune.training import Tuned, Tuning, tune

_BESIDE = {
    "fit": ("what a tuning takes in memory, part by part", fit),
    "merge": ("write an adapter into a checkpoint", merge),
}
"""What stands in place of options, each with its summary and its module."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    parser.epilog = (
        "The result is an adapter as mlx-lm writes it: serve --adapter takes it. An interrupted tuning goes on "
        "when the same command is given again."
    )
    beside = parser.add_subparsers(dest="beside", metavar="[fit|merge]", required=False)
    for name, (summary, module) in _BESIDE.items():
        command = beside.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        module.add_arguments(command)
        command.set_defaults(beside_run=module.run)
    parser.add_argument("--model", type=Path, metavar="DIR", help="the checkpoint to adapt")
    parser.add_argument(
        "--data",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="text files, folders with all text files in them that no .gitignore names, and .jsonl files "
        "with a chat in each line (`messages`) or a decision (`prompt`, and `completion` or `chosen` and "
        "`rejected`)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="the adapter to make")
    add_adapter(parser)
    parser.add_argument(
        "--length",
        type=count,
        default=2048,
        metavar="N",
        help="tokens of a text; longer ones are cut. Memory between the layers grows with it (default 2048)",
    )
    parser.add_argument(
        "--steps",
        type=count,
        default=200,
        metavar="N",
        help="a step costs about four times what reading its texts as prompts does (default 200)",
    )
    parser.add_argument(
        "--batch", type=count, default=4, metavar="N", help="texts a step, one after the other (default 4)"
    )
    parser.add_argument("--learning-rate", type=float, default=2e-4, metavar="X", help="(default 2e-4)")
    parser.add_argument(
        "--held-out",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="of the data, for judging only (default 0.05)",
    )
    parser.add_argument(
        "--loss",
        choices=("assistant", "all"),
        default="assistant",
        help="which tokens of a chat are learnt: the assistant's, or all; of other text always all",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default 0)")
    parser.add_argument(
        "--force",
        action="store_true",
        help="tune where it does not fit; the system may slow down, end this or other programs, or restart",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Tunes; 130 when interrupted. Raises EngineError."""
    if arguments.beside is not None:
        return int(arguments.beside_run(arguments))
    _check(arguments)
    shape = read_adapter_shape(arguments)
    pairs = any(is_reviewed(file) and has_pairs(file) for file in arguments.data if file.suffix == ".jsonl")
    plan = settle_tuning(arguments, shape, texts=2 if pairs else 1)
    schedule = Schedule(arguments.steps, arguments.batch, arguments.learning_rate, arguments.seed)
    wanted = Wanted(
        arguments.length,
        arguments.steps * arguments.batch,
        arguments.held_out,
        arguments.seed,
        everything=arguments.loss == "all",
    )
    options = {**asdict(wanted), "data": sorted(str(path.resolve()) for path in arguments.data)}
    tuning = Tuning(arguments.model, arguments.out, shape, schedule, options)
    means = Means(plan.segment, widened=plan.widened)
    objective = OddsRatio() if pairs else None

    def train(report: Report) -> Tuned:
        return tune(
            tuning,
            lambda: read_material(arguments.data, arguments.model, wanted),
            means,
            report,
            objective,
        )

    return run_training(arguments, train, _tell)


def settle_tuning(
    arguments: argparse.Namespace, shape: Shape, machine: Machine | None = None, *, texts: int = 1
) -> TuningPlan:
    """The plan of the tuning that the options describe; packed weights are widened where that is faster and
    fits. `texts`: of an example, see plan_tuning. Raises DoesNotFit unless --force is given, and
    EngineError."""
    machine = machine or this_machine()
    checkpoint = open_trainable(arguments.model, "--length", arguments.length)
    config = checkpoint.config
    dtype = default_dtype(config.dtype)
    model = Model(config, stored_packing(checkpoint), arithmetic(dtype, config))
    plan = plan_tuning(model, machine, shape, arguments.length, texts=texts)
    check_room(
        "Tuning does not fit: it",
        plan.peak,
        machine,
        force=arguments.force,
        would=lambda: remedies(model, machine, shape, arguments.length, texts),
    )
    if checkpoint.quantization and gains_by_widening(dtype):
        wide = plan_tuning(replace(model, widened=True), machine, shape, arguments.length, texts=texts)
        plan = wide if wide.fits else plan
    set_memory_limits(plan)
    return plan


def _check(arguments: argparse.Namespace) -> None:
    for option in ("model", "data", "out"):
        if not getattr(arguments, option):
            raise RequestError(f"--{option} is missing: tune needs --model, --data and --out.")
    if arguments.length < 2:
        raise RequestError("--length is 1; a text needs a token that follows another.")
    check_schedule(arguments)


def _tell(console: Console, tuned: Tuned) -> None:
    console.print(
        f"{tuned.directory}: {tuned.steps} steps on {'; '.join(tuned.made_of)}; "
        f"{gigabytes(tuned.peak)} in memory at most",
        soft_wrap=True,
    )
    console.print(tuned.verdict.sentence, soft_wrap=True)
    if len(tuned.by_source) > 1:
        for source, verdict in zip(tuned.made_of, tuned.by_source, strict=True):
            console.print(f"  of {source}: {verdict.sentence}", soft_wrap=True)
    if tuned.preferred is not None:
        console.print(tuned.preferred.sentence, soft_wrap=True)
    if tuned.has_mtp:
        console.print(
            "The model's drafting layer does not know the adapter: train-mtp --adapter "
            f"{tuned.directory} fits it again, and says how often its drafts are right before and after.",
            soft_wrap=True,
        )
