"""bench tune: which limits of MLX's command buffers are fastest on this machine, kept for the engine's next
start.

MLX reads them once, when it is imported, so each choice is measured in a process of its own, which loads the
model. Choices take turns within each round. The fastest decoding wins among those that cost prompts little.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryFile

from mlx_model.bench.processes.tied import end_tied, start_tied
from mlx_model.errors import EngineError, RequestError
from mlx_model.memory.buffer_limits import NAMES, keep_limits, tuning_file
from mlx_model.memory.machine import chip

CHOICES: tuple[dict[str, str], ...] = (
    {},
    *(dict(zip(NAMES, limits, strict=True)) for limits in (("50", "100"), ("200", "400"), ("1000", "1000"))),
)
"""MLX's own limits, and larger ones up to those that others found to be fast on M1 to M4."""
_PROMPT_SHARE = 0.9
"""The least share of the fastest prompt's speed that a choice must keep."""
_PROMPT = 2048
"""Tokens of the prompt whose speed counts, or the longest shorter one."""
_SECONDS = 1800
"""Of one measurement: loading a large model takes minutes."""


class TuningFailed(EngineError):
    """A measurement under one of the choices ended with an error, whose last line is quoted."""

    exit_status = 1


@dataclass(frozen=True, slots=True)
class Tuned:
    """One choice of limits, and tokens a second under it: the medians of the rounds."""

    limits: Mapping[str, str]
    prompt: float
    decoding: float


Measure = Callable[[Path, Mapping[str, str]], tuple[float, float]]
"""A model and limits to tokens a second of a prompt, and of decoding."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="checkpoint directory")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds of all choices (default: 3)")
    parser.add_argument("--keep", action="store_true", help="use the fastest from the next start on")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Prints a table in Markdown. Raises EngineError."""
    named = chip()
    if not named:
        raise RequestError("There is nothing to tune: command buffers are Metal's, and this is no Mac.")
    if arguments.rounds < 1:
        raise RequestError("At least one round is needed.")
    found = tune(arguments.model, arguments.rounds, measured)
    best = fastest(found)
    if arguments.keep:
        keep_limits(tuning_file(), named, best.limits)
    if arguments.json:
        rows = [
            {"limits": dict(one.limits), "prompt": one.prompt, "decoding": one.decoding, "fastest": one is best}
            for one in found
        ]
        print(json.dumps({"chip": named, "choices": rows, "kept": arguments.keep}))
        return 0
    print(f"{named}\n\n| Operations, megabytes of a command buffer | Prompt, tokens/s | Decoding, tokens/s |")
    print("|---|---|---|")
    for one in found:
        limits = ", ".join(one.limits[name] for name in NAMES) if one.limits else "MLX's own"
        print(f"| {limits}{' (fastest)' if one is best else ''} | {one.prompt:.1f} | {one.decoding:.1f} |")
    kept = f"Kept in {tuning_file()}." if arguments.keep else "--keep has the engine start with the fastest."
    print(f"\n{kept}")
    return 0


def tune(model: Path, rounds: int, measure: Measure) -> list[Tuned]:
    """All choices, measured in turn."""
    speeds: list[list[tuple[float, float]]] = [[] for _ in CHOICES]
    for _ in range(rounds):
        for index, limits in enumerate(CHOICES):
            speeds[index].append(measure(model, limits))
    return [
        Tuned(limits, median(prompt for prompt, _ in taken), median(decoding for _, decoding in taken))
        for limits, taken in zip(CHOICES, speeds, strict=True)
    ]


def fastest(found: Sequence[Tuned]) -> Tuned:
    """The choice that decodes fastest, of those whose prompts are nearly as fast as the fastest."""
    least = _PROMPT_SHARE * max(one.prompt for one in found)
    return max((one for one in found if one.prompt >= least), key=lambda one: one.decoding)


def measured(model: Path, limits: Mapping[str, str]) -> tuple[float, float]:
    """Measures in a process of its own, by bench decode. Raises TuningFailed."""
    command = [sys.executable, "-P", "-m", "mlx_model", "bench", "decode", "--model", str(model), "--json"]
    command += ["--contexts", "0", "--rounds", "1", "--turns", "0"]
    # An empty one keeps MLX's own limit (see memory.device.set_buffer_limits).
    environment = {**os.environ, **{name: limits.get(name, "") for name in NAMES}}
    with TemporaryFile("w+") as out, TemporaryFile("w+") as log:
        process = start_tied(command, out=out, log=log, environment=environment)
        try:
            status = process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            raise TuningFailed(f"A measurement was not done after {_SECONDS // 60} minutes.") from None
        finally:
            end_tied(process)
        out.seek(0)
        log.seek(0)
        said, errors = out.read(), log.read()
    if status:
        last = (errors.strip().splitlines() or ["it said nothing."])[-1]
        raise TuningFailed(f"A measurement failed: {last}")
    speeds = json.loads(said)["speeds"]
    prompts = {one["work"]["tokens"]: one["median"] for one in speeds if not one["work"]["writes"]}
    decoding = next(one["median"] for one in speeds if one["work"]["writes"])
    return float(prompts[max(tokens for tokens in prompts if tokens <= _PROMPT)]), float(decoding)
