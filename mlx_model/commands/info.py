"""info: a model's sizes and its upper bound of speed, without reading its weights."""

import argparse
import json
import math
from typing import Any

import mlx.core as mx
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mlx_model.commands.shared.model_shape import ModelShape, add_shape, read_shape
from mlx_model.commands.shared.sizes import readable_size
from mlx_model.config.model_config import ModelConfig
from mlx_model.engine.kernel_choice import choose_delta_step
from mlx_model.memory.device import blas_report, default_dtype
from mlx_model.memory.footprint import ComponentFootprint, Footprint, footprint
from mlx_model.weights.checkpoint import Checkpoint, StoredProjection, stored_bytes
from mlx_model.weights.layout import Component

_DEFAULT_BANDWIDTH_GB = 546.0
"""GB/s: Apple's figure for the M4 Max."""
_DEFAULT_CONTEXT = 32_768
"""Tokens."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    add_shape(parser, required=True)
    parser.add_argument(
        "--context",
        type=_tokens,
        default=_DEFAULT_CONTEXT,
        metavar="N",
        help="tokens of context to reckon with",
    )
    parser.add_argument(
        "--bandwidth",
        type=_gigabytes,
        default=_DEFAULT_BANDWIDTH_GB,
        metavar="GB/S",
        help="memory bandwidth for the roof (default 546)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Prints the report. Raises EngineError."""
    report = model_report(read_shape(arguments), arguments.context, arguments.bandwidth)
    if arguments.json:
        print(json.dumps(report, indent=2))
    else:
        _print(report)
    return 0


def model_report(shape: ModelShape, context: int, bandwidth_gb: float) -> dict[str, Any]:
    """The report of a checkpoint, or of the result that `convert` would write; sizes are bytes."""
    size = footprint(shape.config, shape.packing, mtp=shape.has_mtp)
    if shape.checkpoint is not None and shape.recipe is None:
        disk = _disk_bytes(shape.checkpoint)
    else:
        disk = {part: value.nbytes for part, value in size.components.items()}
    dtype: mx.Dtype = getattr(mx, default_dtype(shape.config.dtype))
    named = {
        "model": str(shape.source),
        "recipe": shape.made_by,
        "drafter": _drafter(shape),
        "delta_step": choose_delta_step(shape.config, dtype).words,
    }
    return _report(size, disk, context, bandwidth_gb, **named)


def _drafter(shape: ModelShape) -> str:
    if shape.checkpoint is None:
        unknown = "unknown: a config does not say whether the weights have an MTP layer"
        return _grafted(shape.config) or unknown
    if shape.has_mtp:
        return _grafted(shape.config) or "MTP, the model's own"
    return "no MTP: the checkpoint has no mtp.* tensors (graft them with convert, or fit them with train-mtp)"


def _grafted(config: ModelConfig) -> str | None:
    if config.mtp_trained:
        return f"MTP, from {config.mtp_source}"
    if config.mtp_source is None:
        return None
    return f"MTP, grafted from {config.mtp_source} (rope_theta {config.mtp_rope_theta:g})"


def _disk_bytes(checkpoint: Checkpoint) -> dict[Component, int]:
    sizes: dict[Component, int] = {}
    for item in checkpoint.stored:
        owner = item.projection if isinstance(item, StoredProjection) else item.vector
        part = Component.MTP if owner.mtp else owner.component
        sizes[part] = sizes.get(part, 0) + stored_bytes(item)
    return sizes


def _report(
    size: Footprint, disk: dict[Component, int], context: int, bandwidth_gb: float, **named: str
) -> dict[str, Any]:
    parts = {str(part): _part(value, disk.get(part, 0)) for part, value in size.components.items()}
    on_disk = sum(value for part, value in disk.items() if part is not Component.MTP)
    return {
        **named,
        "blas": blas_report(),
        "parameters": {"total": size.total.parameters, "active": size.total.active_parameters},
        "total": _part(size.total, on_disk),
        "parts": parts,
        "kv_bytes_per_token": size.kv_bytes_per_token,
        "snapshot_bytes": size.snapshot_bytes,
        "context": context,
        "context_bytes": size.context_bytes(context),
        "bytes_per_token": size.bytes_per_token(context),
        "bandwidth_gb_per_second": bandwidth_gb,
        "roof_tokens_per_second": size.roof(bandwidth_gb, context),
    }


def _part(size: ComponentFootprint, disk_bytes: int) -> dict[str, int]:
    return {
        "parameters": size.parameters,
        "active_parameters": size.active_parameters,
        "disk_bytes": disk_bytes,
        "memory_bytes": size.nbytes,
        "bytes_per_token": size.bytes_per_token,
    }


def _print(report: dict[str, Any]) -> None:
    console = Console()
    table = Table(title=f"{report['model']} · {report['recipe']}", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("part", no_wrap=True)
    for heading in ("parameters", "active", "on disk", "in memory", "per token"):
        table.add_column(heading, justify="right", no_wrap=True)
    rows = {name: part for name, part in report["parts"].items() if name != Component.MTP}
    for name, part in rows.items():
        table.add_row(name.replace("_", " "), *_cells(part))
    table.add_section()
    table.add_row("model", *_cells(report["total"]), style="bold")
    if Component.MTP in report["parts"]:
        table.add_row("+ mtp layer", *_cells(report["parts"][Component.MTP]))
    console.print(table)
    facts = Table.grid(padding=(0, 2))
    facts.add_row("drafter", report["drafter"])
    facts.add_row("DeltaNet step", report["delta_step"])
    if report["blas"] is not None:
        facts.add_row("BLAS", report["blas"])
    facts.add_row("KV per token", f"{report['kv_bytes_per_token'] / 1024:.4g} KiB in bfloat16")
    facts.add_row("snapshot", f"{readable_size(report['snapshot_bytes'])} of recurrent state")
    facts.add_row("context", f"{report['context']:,} tokens hold {readable_size(report['context_bytes'])}")
    facts.add_row(
        "roof",
        f"{report['roof_tokens_per_second']:.0f} tokens/s at {report['bandwidth_gb_per_second']:g} GB/s: "
        f"{readable_size(report['bytes_per_token'])} move for each token at that context, without drafts",
    )
    console.print(facts)


def _cells(part: dict[str, int]) -> tuple[str, ...]:
    return (
        _count(part["parameters"]),
        _count(part["active_parameters"]),
        readable_size(part["disk_bytes"]),
        readable_size(part["memory_bytes"]),
        readable_size(part["bytes_per_token"]),
    )


def _count(number: int) -> str:
    for limit, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= limit:
            return f"{number / limit:.2f} {unit}"
    return str(number)


def _tokens(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 1 << 30):
        raise argparse.ArgumentTypeError(f"{text} is no number of tokens between 0 and {1 << 30}")
    return int(text)


def _gigabytes(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is no number of GB/s above 0")
    return value
