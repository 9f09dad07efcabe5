"""tune fit: what a tuning takes in memory, part by part, here or on a Mac of another size."""

import argparse
import json
from dataclasses import asdict, replace

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mlx_model.commands.fit import add_machine, machine_of
from mlx_model.commands.shared.model_shape import add_shape, read_shape
from mlx_model.commands.shared.sizes import count
from mlx_model.commands.tuning.adapter_options import add_adapter, read_adapter_shape
from mlx_model.config.published import NAME
from mlx_model.memory.activation_bytes import Arithmetic
from mlx_model.memory.advice import gigabytes
from mlx_model.memory.device import arithmetic, default_dtype
from mlx_model.memory.plan import Model
from mlx_model.tune.forecast import TuningPlan, plan_tuning

_LENGTHS = (1024, 4096, 16_384)
"""Tokens of a text."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    add_shape(parser, required=False)
    add_machine(parser)
    add_adapter(parser)
    parser.add_argument(
        "--length",
        type=count,
        nargs="+",
        default=_LENGTHS,
        metavar="N",
        help=f"tokens of a text (default: {' '.join(map(str, _LENGTHS))})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """0 when every length fits, 1 when one does not. Raises EngineError."""
    found = read_shape(arguments)
    machine = machine_of(arguments)
    model = Model(found.config, found.packing, Arithmetic())
    if arguments.memory is None:
        model = replace(model, arithmetic=arithmetic(default_dtype(found.config.dtype), found.config))
    shape = read_adapter_shape(arguments)
    plans = [plan_tuning(model, machine, shape, length) for length in arguments.length]
    if arguments.json:
        print(json.dumps([{**asdict(plan), "peak": plan.peak, "fits": plan.fits} for plan in plans], indent=2))
    else:
        source = NAME if found.source is None else found.source.name
        _print(f"{source} · {found.made_by} · {shape.kind} of rank {shape.rank}", plans)
    return 0 if all(plan.fits for plan in plans) else 1


def _print(name: str, plans: list[TuningPlan]) -> None:
    table = Table(title=f"{name}, by tokens of a text", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("held", no_wrap=True)
    for plan in plans:
        table.add_column(f"{plan.length:,}", justify="right", no_wrap=True)

    def row(title: str, part: str, style: str = "") -> None:
        table.add_row(title, *(gigabytes(getattr(plan, part)) for plan in plans), style=style)

    row("weights", "weights")
    row("adapter and optimizer", "adapter")
    row("between the layers", "borders")
    row("one layer, forward and back", "layer")
    row("or the head", "head")
    table.add_section()
    row("in all", "peak", style="bold")
    table.add_row("tokens a layer computes at once", *(f"{plan.segment:,}" for plan in plans), style="dim")
    table.add_row("", *("fits" if plan.fits else "does not fit" for plan in plans))
    console = Console()
    console.print(table)
    console.print(f"A model may use {gigabytes(plans[0].budget)} there. Computed, not measured on a Mac.")
