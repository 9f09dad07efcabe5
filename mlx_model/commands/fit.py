"""fit: the memory plan of a model on this machine or another, and whether it fits."""

import argparse
import json
import re
from dataclasses import replace
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mlx_model.commands.shared.model_shape import add_shape, read_shape
from mlx_model.commands.shared.sizes import count
from mlx_model.config.published import NAME
from mlx_model.memory.activation_bytes import Arithmetic
from mlx_model.memory.advice import gigabytes, verdict
from mlx_model.memory.device import arithmetic, default_dtype
from mlx_model.memory.machine import GIB, Machine, mac, this_machine
from mlx_model.memory.plan import MemoryPlan, Model, Wishes, plan_memory
from mlx_model.weights.layout import Component

_BAR = 60
"""Cells of the bar."""
_COLORS = {
    "experts": "blue",
    "other weights": "cyan",
    "keys and values": "green",
    "snapshots": "yellow",
    "activations": "magenta",
    "free": "bright_black",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    add_shape(parser, required=False)
    add_machine(parser)
    parser.add_argument(
        "--context", type=count, metavar="N", help="tokens of context (default: as many as fit)"
    )
    parser.add_argument("--kv-bits", type=int, choices=(8,), help="keep keys and values at 8 bits")
    parser.add_argument(
        "--expert-slots", type=count, metavar="N", help="experts of each layer that stay in memory"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_machine(parser: argparse.ArgumentParser) -> None:
    """--memory."""
    parser.add_argument(
        "--memory",
        type=_memory,
        metavar="SIZE",
        help="of a Mac with so much memory, as it is sold (36GB), instead of this machine",
    )


def machine_of(arguments: argparse.Namespace) -> Machine:
    """The Mac that --memory describes, else this machine."""
    return this_machine() if arguments.memory is None else mac(arguments.memory)


def run(arguments: argparse.Namespace) -> int:
    """0 when it fits, 1 when it does not. Raises EngineError."""
    name, model = _model(arguments)
    machine = machine_of(arguments)
    if arguments.memory is None:
        model = replace(model, arithmetic=arithmetic(default_dtype(model.config.dtype), model.config))
    wishes = Wishes(arguments.context, arguments.expert_slots)
    plan = plan_memory(model, machine, wishes)
    sentence = verdict(model, machine, wishes, plan)
    if arguments.json:
        print(json.dumps({"model": name, **_report(plan), "verdict": sentence}, indent=2))
    else:
        _print(name, plan, sentence)
    return 0 if plan.fits else 1


def _model(arguments: argparse.Namespace) -> tuple[str, Model]:
    shape = read_shape(arguments)
    source = NAME if shape.source is None else shape.source if shape.checkpoint is None else shape.source.name
    model = Model(shape.config, shape.packing, Arithmetic(), arguments.kv_bits, mtp=shape.has_mtp)
    return f"{source} · {shape.made_by}", model


def _report(plan: MemoryPlan) -> dict[str, Any]:
    return {
        "fits": plan.fits,
        "memory_bytes": plan.machine.memory,
        "usable_bytes": plan.machine.usable,
        "margin_bytes": plan.margin,
        "budget_bytes": plan.budget,
        "peak_bytes": plan.peak,
        "weights": {str(part): nbytes for part, nbytes in plan.weights.items()},
        "weight_bytes": plan.weight_bytes,
        "context": plan.context,
        "kv_bytes": plan.kv,
        "state_bytes": plan.state,
        "snapshot_bytes": plan.stored,
        "chunk": plan.chunk,
        "activation_bytes": plan.activations,
        "expert_slots": plan.expert_slots,
        "wired_limit_bytes": plan.wired_limit,
        "memory_limit_bytes": plan.memory_limit,
        "cache_limit_bytes": plan.cache_limit,
    }


def _print(name: str, plan: MemoryPlan, sentence: str) -> None:
    console = Console()
    experts = plan.weights.get(Component.EXPERTS, 0)
    resident = "all" if plan.expert_slots is None else f"{plan.expert_slots} of each layer"
    table = Table(title=name, title_justify="left", box=SIMPLE_HEAD)
    table.add_column("held", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("")
    table.add_row("experts", gigabytes(experts), resident)
    table.add_row("other weights", gigabytes(plan.weight_bytes - experts), "")
    table.add_row("keys and values", gigabytes(plan.kv + plan.state), f"{plan.context:,} tokens of context")
    table.add_row("snapshots", gigabytes(plan.stored), "of this conversation and earlier ones")
    table.add_row("activations", gigabytes(plan.activations), f"{plan.chunk:,} prompt tokens at once")
    table.add_section()
    table.add_row("in all", gigabytes(plan.peak), f"of {gigabytes(plan.budget)}", style="bold")
    left = plan.machine.memory - plan.budget
    table.add_row(
        "for everyone else", gigabytes(left), f"of {plan.machine.memory / GIB:.0f} GB of memory", style="dim"
    )
    console.print(table)
    console.print(_bar(plan))
    console.print(sentence)


def _bar(plan: MemoryPlan) -> Text:
    """The budget as a bar; memory beyond it is drawn in red."""
    experts = plan.weights.get(Component.EXPERTS, 0)
    sizes = {
        "experts": experts,
        "other weights": plan.weight_bytes - experts,
        "keys and values": plan.kv + plan.state,
        "snapshots": plan.stored,
        "activations": plan.activations,
        "free": max(plan.budget - plan.peak, 0),
    }
    whole = max(plan.budget, plan.peak)
    end = round(_BAR * plan.budget / whole)
    bar, done = Text(), 0
    for part, size in sizes.items():
        before, done = done, done + size
        cells = range(round(_BAR * before / whole), round(_BAR * done / whole))
        for cell in cells:
            mark = "░" if part == "free" else "█" if cell < end else "▓"
            bar.append(mark, style=_COLORS[part] if cell < end else "red")
    return bar


def _memory(text: str) -> int:
    """Memory as it is sold: 36GB are 36 · 2^30 bytes."""
    match = re.fullmatch(r"(\d{1,5}(?:\.\d+)?)\s*(?:GB|GiB|G)?", text.strip(), re.IGNORECASE)
    if match is None or float(match[1]) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no size of a memory; write it as 36GB")
    return int(float(match[1]) * GIB)
