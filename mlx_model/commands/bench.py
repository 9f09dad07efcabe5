"""bench: the measurements a user can run, each by its name."""

import argparse
import importlib
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

MEASUREMENTS = {
    "batch": ("mlx_model.bench.batch", "how much faster replies are decoded together than one by one"),
    "cache": (
        "mlx_model.bench.cache",
        "tokens computed again in agents' sessions; the cost of finding a prefix",
    ),
    "decode": ("mlx_model.bench.speed.decode", "reading and writing beside the roof and beside mlx-lm"),
    "doubt": ("mlx_model.bench.doubt.measure", "whether doubt in what a model writes predicts its wrong lines"),
    "draft": ("mlx_model.bench.draft", "what drafting gains on three kinds of text, and what passes cost"),
    "edits": ("mlx_model.bench.edits", "how many edits would miss, and what it costs that none can"),
    "kv": ("mlx_model.bench.kv", "what keys and values at 8 bits do to a model's predictions"),
    "operations": ("mlx_model.bench.operations", "the operations that a token dispatches, beside mlx-lm's"),
    "residency": ("mlx_model.bench.residency", "what keeping only some experts in memory costs and saves"),
    "tune": ("mlx_model.bench.speed.tune", "which command-buffer limits of MLX are fastest on this Mac"),
    "kl": ("mlx_model.bench.quantization", "how far each recipe's predictions are from bfloat16's"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One subcommand a measurement. Its module has add_arguments and run, like a command's."""
    measurements = parser.add_subparsers(dest="measurement", metavar="MEASUREMENT", required=True)
    for name, (module_name, summary) in MEASUREMENTS.items():
        measurement = measurements.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}."
        )
        module = importlib.import_module(module_name)
        module.add_arguments(measurement)
        measurement.set_defaults(measure=module.run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the one chosen. Raises EngineError."""
    with _unwound_by_signals():
        return int(arguments.measure(arguments))


@contextmanager
def _unwound_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP raise SystemExit, so that temporary folders are removed and processes ended."""
    taken = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
