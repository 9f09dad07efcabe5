"""bench residency: speed, reads and memory with only some experts in memory, by the number of slots.

Each number of slots runs in a process of its own, whose resident memory is therefore that number's.
"""

import argparse
import json
import time
from argparse import Namespace
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import active_children, get_context
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from mlx_model.bench.processes.tied import end_with_parent
from mlx_model.commands.shared.chats import add_chats, read_chats
from mlx_model.commands.shared.memory_check import add_memory, settle_memory
from mlx_model.commands.shared.options import prompt_tokens, read_text
from mlx_model.config.model_config import ModelConfig
from mlx_model.decode.request import GenerationRequest, PromptProcessed, SamplingParameters, TokenGenerated
from mlx_model.engine.loading import load
from mlx_model.errors import RequestError
from mlx_model.memory.machine import resident_bytes
from mlx_model.memory.plan import MemoryPlan, Wishes
from mlx_model.weights.experts.residency import ExpertCounts

_SHARES = (1, 2, 4, 16)


@dataclass(frozen=True, slots=True)
class Measured:
    """One number of slots. Bytes read from disk for the whole prompt, and for each token after it; the hit rate
    (0 to 1) of decoding; bytes of resident memory. `same_tokens`: as with the first number of slots
    measured."""

    slots: int
    hit_rate: float
    prompt_bytes_read: int
    bytes_read_per_token: float
    resident_bytes: int
    prompt_seconds: float
    tokens_per_second: float
    same_tokens: bool


@dataclass(frozen=True, slots=True)
class _Run:
    tokens: tuple[int, ...]
    prompt: ExpertCounts
    decode: ExpertCounts
    resident: int
    prompt_seconds: float
    decode_seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="checkpoint directory")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--tokens", metavar="1,2,3", help="the prompt as token ids")
    source.add_argument("--file", type=Path, metavar="F", help="the prompt as a UTF-8 text file")
    add_chats(source)
    parser.add_argument("--max-tokens", type=int, default=64, metavar="N", help="tokens to decode")
    parser.add_argument(
        "--slots",
        metavar="N,N",
        help="experts of each layer in memory (default: all or as many as fit, 1/2, 1/4, 1/16, the fewest)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_memory(parser, slots=False)


def run(arguments: argparse.Namespace) -> int:
    """Prints one line a number of slots. Raises EngineError."""
    config = ModelConfig.from_directory(arguments.model)
    if arguments.chats is not None:
        prompt = read_chats(arguments.chats, arguments.model)[0].prompt
    else:
        prompt = prompt_tokens(arguments.tokens, read_text(arguments.file), arguments.model)
    plan = _plan(arguments.model, prompt, None, arguments.max_tokens, arguments.force)
    slots = _slots(arguments.slots, config, plan.expert_slots or config.num_experts)
    if arguments.max_tokens < 2:
        raise RequestError("--max-tokens must be at least 2: the first token is the prompt's.")
    measured = measure(arguments.model, prompt, slots, arguments.max_tokens, force=arguments.force)
    if arguments.json:
        print(json.dumps({"prompt_tokens": len(prompt), "residency": [asdict(line) for line in measured]}))
        return 0
    table = Table(title=f"{arguments.model} · {len(prompt)} tokens", title_justify="left", box=SIMPLE_HEAD)
    for heading in ("slots", "hits", "read/prompt", "read/token", "resident", "tok/s", "tokens"):
        table.add_column(heading, justify="right", no_wrap=True)
    for line in measured:
        table.add_row(
            str(line.slots),
            f"{line.hit_rate:.1%}",
            f"{line.prompt_bytes_read / 1e6:.1f} MB",
            f"{line.bytes_read_per_token / 1e6:.2f} MB",
            f"{line.resident_bytes / 1e6:.0f} MB",
            f"{line.tokens_per_second:.1f}",
            "same" if line.same_tokens else "DIFFERENT",
        )
    Console().print(table)
    return 0


def measure(
    directory: Path, prompt: Sequence[int], slots: Sequence[int], count: int, *, force: bool = False
) -> list[Measured]:
    """Greedy decoding of `count` tokens with each number of slots; the tokens of the first are the reference.
    Raises DoesNotFit where a number does not fit and is not forced, and EngineError."""
    runs: list[_Run] = []
    for number in slots:
        context = get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context, initializer=end_with_parent) as pool:
            try:
                runs.append(pool.submit(_run, directory, tuple(prompt), number, count, force).result())
            except BaseException:
                # Otherwise the pool, told to end, waits until the whole run is done.
                for worker in active_children():
                    worker.terminate()
                raise
    return [
        Measured(
            slots=number,
            hit_rate=found.decode.hit_rate,
            prompt_bytes_read=found.prompt.nbytes,
            bytes_read_per_token=found.decode.nbytes / (count - 1),
            resident_bytes=found.resident,
            prompt_seconds=found.prompt_seconds,
            tokens_per_second=(count - 1) / max(found.decode_seconds, 1e-9),
            same_tokens=found.tokens == runs[0].tokens,
        )
        for number, found in zip(slots, runs, strict=True)
    ]


def _plan(directory: Path, prompt: Sequence[int], slots: int | None, count: int, force: bool) -> MemoryPlan:
    plan = settle_memory(
        Namespace(model=directory, dtype=None, kv_bits=None, expert_slots=slots, force=force),
        Wishes(len(prompt) + count, snapshots=0),
    )
    assert plan is not None, "mlx-lm does not run it"
    return plan


def _run(directory: Path, prompt: tuple[int, ...], slots: int, count: int, force: bool) -> _Run:
    plan = _plan(directory, prompt, slots, count, force)
    loaded = load(directory, expert_slots=plan.expert_slots)
    residency = loaded.residency
    asked = GenerationRequest(prompt, count, frozenset(), SamplingParameters(temperature=0))
    tokens: list[int] = []
    after_prompt, prompt_ended = ExpertCounts(), 0.0
    started = time.perf_counter()
    for event in loaded.generator(chunk=plan.chunk).generate(asked, lambda: False):
        if isinstance(event, PromptProcessed) and event.processed == event.total and not prompt_ended:
            prompt_ended = time.perf_counter()
            after_prompt = residency.counted() if residency is not None else ExpertCounts()
        elif isinstance(event, TokenGenerated):
            tokens.append(event.token)
    ended = time.perf_counter()
    in_all = residency.counted() if residency is not None else ExpertCounts()
    resident = resident_bytes()
    if residency is not None:
        residency.close()
    decode = in_all - after_prompt
    return _Run(tuple(tokens), after_prompt, decode, resident, prompt_ended - started, ended - prompt_ended)


def _slots(given: str | None, config: ModelConfig, most: int) -> list[int]:
    if not config.num_experts:
        raise RequestError("This model has no experts to keep on disk.")
    fewest = config.num_experts_per_tok
    if given is None:
        shares = (config.num_experts // share for share in _SHARES)
        return sorted({min(max(share, fewest), most) for share in shares} | {fewest}, reverse=True)
    try:
        wanted = [int(part) for part in given.split(",")]
    except ValueError:
        raise RequestError(f"{given[:40]!r} is no list of numbers; write them as 512,128,32.") from None
    if not all(fewest <= number <= config.num_experts for number in wanted):
        raise RequestError(f"Numbers of slots go from {fewest} to {config.num_experts} for this model.")
    return wanted
