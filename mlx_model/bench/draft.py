"""bench draft: what drafting gains on this machine, on three kinds of text, and what passes of each width cost.

Replies are greedy, so each way of drafting gives the same ones; runs with and without drafts alternate, so that
a machine that grows warm slows all of them alike.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, get_args

import mlx.core as mx

from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.decode.drafting import Step
from mlx_model.decode.request import DraftMode, GenerationFinished, GenerationRequest, SamplingParameters
from mlx_model.decode.verify import DEEPEST
from mlx_model.errors import ConfigError, RequestError
from mlx_model.loading import LoadedModel, load
from mlx_model.model import Qwen3Next

_FILE = '''"""Counting the words of a text."""

from collections import Counter
from pathlib import Path


def read_words(path: Path) -> list[str]:
    """The words of a file, in lower case."""
    text = path.read_text(encoding="utf-8")
    return [word.strip(".,;:!?").lower() for word in text.split()]


def most_frequent(words: list[str], count: int = 10) -> list[tuple[str, int]]:
    """The words that come most often, with how often they come."""
    return Counter(words).most_common(count)


def report(path: Path) -> str:
    """One line a word."""
    return "\\n".join(f"{word}: {times}" for word, times in most_frequent(read_words(path)))
'''
TEXTS = {
    "rewriting a file": f"This is words.py:\n\n{_FILE}\n\nThe same file with count: int = 20 in it:\n\n",
    "new code": '"""A priority queue on a heap."""\n\nimport heapq\n\n\nclass PriorityQueue:\n',
    "prose": "The harbour lay quiet in the early morning, and the first boats had not yet come back. ",
}


@dataclass(frozen=True, slots=True)
class Result:
    """One text under one mode: decoded tokens a second (median of the runs), and that over plain decoding;
    tokens a pass of the model; acceptance[source][place]: the share of drafts accepted at that place of a
    block, from 1 on, of those before which nothing was rejected."""

    tokens_per_second: float
    speedup: float
    tokens_per_step: float
    acceptance: dict[str, dict[int, float]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="checkpoint directory")
    parser.add_argument("--max-tokens", type=int, default=256, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="runs of each kind")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Prints the measurements. Raises EngineError."""
    if arguments.max_tokens < 8 or arguments.rounds < 1:
        raise RequestError("At least 8 tokens and one round are needed to measure anything.")
    tokenizer = Tokenizer.from_directory(arguments.model)
    loaded = load(arguments.model)
    if not isinstance(loaded.model, Qwen3Next):
        raise ConfigError(f"A {loaded.architecture} model is run by mlx-lm, which cannot draft.")
    costs = pass_milliseconds(loaded.model, tokenizer.encode(_FILE))
    results = {
        name: measure(loaded, tokenizer.encode(text), arguments.max_tokens, arguments.rounds)
        for name, text in TEXTS.items()
    }
    if arguments.json:
        texts = {
            name: {mode: asdict(result) for mode, result in modes.items()} for name, modes in results.items()
        }
        print(json.dumps({"pass_ms": costs, "texts": texts}))
        return 0
    print("A pass of n tokens, in ms: " + ", ".join(f"{width}: {ms:.2f}" for width, ms in costs.items()))
    for name, modes in results.items():
        print(f"\n{name}")
        for mode, result in modes.items():
            print(
                f"  {mode:7} {result.tokens_per_second:8.1f} tok/s ({result.speedup:.2f}×), "
                f"{result.tokens_per_step:.2f} tokens a pass"
            )
            for source, shares in result.acceptance.items():
                print(f"          {source}: " + ", ".join(f"{at}: {share:.0%}" for at, share in shares.items()))
    return 0


def pass_milliseconds(model: Qwen3Next, context: Sequence[int]) -> dict[int, float]:
    """What verifying takes by how many tokens go in, from 1 to 17, after a context; the median of five."""
    state = model.state()
    mx.eval(model.hidden(mx.array([list(context)]), state))
    costs: dict[int, float] = {}
    for width in range(1, DEEPEST + 2):
        tokens = mx.array([[context[place % len(context)] for place in range(width)]])
        seconds = []
        for _ in range(6):
            started = time.perf_counter()
            state.record(True)
            mx.eval(mx.argmax(model.logits(tokens, state), axis=-1))
            state.record(False)
            state.keep(0)
            mx.eval(state.arrays())
            seconds.append(time.perf_counter() - started)
        # The first time, kernels are compiled.
        costs[width] = 1000 * median(seconds[1:])
    return costs


def measure(
    loaded: LoadedModel, prompt: Sequence[int], max_tokens: int, rounds: int
) -> dict[DraftMode, Result]:
    """Every mode that the model has, in turn, round after round; one round before them is not counted."""
    assert isinstance(loaded.model, Qwen3Next)
    modes = [mode for mode in get_args(DraftMode) if mode != "mtp" or loaded.model.mtp is not None]
    steps: dict[DraftMode, list[Step]] = {mode: [] for mode in modes}
    generators = {mode: loaded.generator(draft=mode, watch=steps[mode].append) for mode in modes}
    request = GenerationRequest(tuple(prompt), max_tokens, frozenset(), SamplingParameters(temperature=0))
    speeds: dict[DraftMode, list[float]] = defaultdict(list)
    accepted = dict.fromkeys(modes, 0)
    for number in range(rounds + 1):
        for mode in modes:
            *_, finished = generators[mode].generate(request, lambda: False)
            assert isinstance(finished, GenerationFinished)
            if number:
                speeds[mode].append(1000 * finished.generated_tokens / finished.generated_ms)
                accepted[mode] += finished.accepted_tokens
    plain = median(speeds["none"])
    generated = rounds * max_tokens
    return {
        mode: Result(
            median(speeds[mode]),
            median(speeds[mode]) / plain,
            generated / (generated - accepted[mode]),
            acceptance(steps[mode]),
        )
        for mode in modes
    }


def acceptance(steps: Sequence[Step]) -> dict[str, dict[int, float]]:
    """By source and place in the block."""
    judged: dict[str, dict[int, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for step in steps:
        for place in range(1, min(step.accepted + 1, step.drafted) + 1):
            judged[str(step.source)][place].append(place <= step.accepted)
    shares: dict[str, Any] = {
        source: {place: sum(kept) / len(kept) for place, kept in sorted(places.items())}
        for source, places in sorted(judged.items())
    }
    return shares
