"""bench batch: how much faster several replies are decoded together than one alone.

Replies are greedy, without drafts, each after its own random prompt, and decoded as serving decodes them; the
prompts are not timed. Within a round every number of rows has its turn, so that other load and heat slow all of
them alike.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_model.bench.shared_prompts import SNAPSHOT_BYTES, SharedPrompts
from mlx_model.commands.shared.memory_check import add_memory, settle_memory
from mlx_model.commands.shared.options import load_model
from mlx_model.commands.shared.sizes import count
from mlx_model.decode.generation import Generation
from mlx_model.decode.generator import MOST_ROWS, Generator
from mlx_model.decode.request import GenerationRequest, SamplingParameters
from mlx_model.errors import ConfigError, RequestError
from mlx_model.memory.plan import Wishes
from mlx_model.model import Qwen3Next


@dataclass(frozen=True, slots=True)
class Width:
    """Replies decoded together. `tokens_per_second`: of all rows, the median of the rounds; `ratio`: to that of
    one row in the same round, the median, and its range."""

    rows: int
    tokens_per_second: float
    ratio: float
    ratio_range: tuple[float, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="checkpoint directory")
    parser.add_argument(
        "--rows", default="2,4,8", metavar="N,N", help="replies at once, beside one (default: %(default)s)"
    )
    parser.add_argument(
        "--context", type=count, default=256, metavar="N", help="tokens of each prompt (default: %(default)s)"
    )
    parser.add_argument(
        "--tokens", type=count, default=64, metavar="N", help="tokens of each reply (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=count, default=3, metavar="N", help="rounds (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_memory(parser, slots=True)
    parser.set_defaults(dtype=None, adapter=None, kv_bits=None)


def run(arguments: argparse.Namespace) -> int:
    """Prints a table in Markdown. Raises EngineError."""
    try:
        rows = [int(part) for part in arguments.rows.split(",")]
    except ValueError:
        raise RequestError(f"{arguments.rows!r} is no list of numbers; write them as 2,4.") from None
    if not all(1 < number <= MOST_ROWS for number in rows):
        raise RequestError(f"--rows takes numbers from 2 to {MOST_ROWS}.")
    longest = max(rows) * (arguments.context + arguments.tokens)
    plan = settle_memory(arguments, Wishes(longest, snapshots=SNAPSHOT_BYTES))
    loaded = load_model(arguments, plan)
    if not isinstance(loaded.model, Qwen3Next):
        raise ConfigError(f"mlx-lm runs a {loaded.architecture} model here, and serves one request at a time.")
    generator: Generator[Any] = Generator(
        loaded.model,
        SharedPrompts(loaded.model),
        chunk=512 if plan is None else plan.chunk,
        batching=loaded.model,
    )
    numbers = np.random.default_rng(0)
    requests = [
        _request(numbers.integers(0, loaded.model.vocabulary, arguments.context + 1).tolist(), arguments.tokens)
        for _ in range(max(rows))
    ]
    found = measure(generator, [1, *rows], requests, arguments.rounds)
    if arguments.json:
        print(json.dumps([asdict(width) for width in found]))
        return 0
    print("| Replies at once | Tokens/s | Times one | Range |")
    print("|---|---|---|---|")
    for width in found:
        least, most = width.ratio_range
        print(
            f"| {width.rows} | {width.tokens_per_second:.1f} | {width.ratio:.2f} | {least:.2f} to {most:.2f} |"
        )
    return 0


def measure(
    generator: Generator[Any], rows: Sequence[int], requests: Sequence[GenerationRequest], rounds: int
) -> list[Width]:
    """Decodes the replies to the first 1, 2, ... requests at once, as `rows` says, whose first is 1; all have
    the same number of tokens. A round that is not counted goes first: it computes the prompts, and compiles
    kernels."""
    rates: dict[int, list[float]] = {number: [] for number in rows}
    for turn in range(rounds + 1):
        for number in rows if turn % 2 else reversed(rows):
            seconds = _seconds(generator, requests[:number])
            if turn:
                rates[number].append(number * requests[0].max_tokens / seconds)
    alone = rates[rows[0]]
    ratios = {n: [own / one for own, one in zip(rates[n], alone, strict=True)] for n in rows}
    return [Width(n, median(rates[n]), median(ratios[n]), (min(ratios[n]), max(ratios[n]))) for n in rows]


def _seconds(generator: Generator[Any], requests: Sequence[GenerationRequest]) -> float:
    """The seconds in which the replies are decoded at once."""
    generations = [generator.begin(request, lambda: False) for request in requests]
    for generation in generations:
        while generation.prompt_left:
            list(generation.step())
    mx.synchronize()
    started = time.perf_counter()
    while generations:
        if len(generations) == 1:
            list(generations[0].step())
        else:
            _step(generator, generations)
        generations = [generation for generation in generations if not generation.ended]
    return time.perf_counter() - started


def _step(generator: Generator[Any], generations: Sequence[Generation[Any]]) -> None:
    for _, happened in generator.together(generations):
        if isinstance(happened, Exception):
            raise happened


def _request(prompt: Sequence[int], tokens: int) -> GenerationRequest:
    """A greedy reply; all tokens of the prompt but the last are stored."""
    greedy = SamplingParameters(temperature=0)
    return GenerationRequest(tuple(prompt), tokens, frozenset(), greedy, boundaries=(len(prompt) - 1,))
