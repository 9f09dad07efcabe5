"""bench decode: how fast the model reads and writes on this machine, beside what its memory bandwidth allows,
and beside mlx-lm's speed on the same work.

Measured are steps of the model as serving runs them, greedy and with the next step submitted before the last
token is read; without drafts, grammar, text and the wire. Engines take turns within each round, so that other
load and heat slow both alike. Then the last of an agent's turns is measured at the other end of the wire, plain
and drafted, and with --profile where the time of a token goes.

The roof is bandwidth over bytes: a step reads the active weights and all keys and values, a prompt reads all
weights once a chunk. No speed without drafts is above it; how near one comes is what a change can gain.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from platform import machine as architecture
from statistics import median
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_model.bench.speed.agent_turn import TURNS, TurnSpeed, measure_turn
from mlx_model.bench.speed.profile import profile
from mlx_model.commands.shared.memory_check import add_memory, settle_memory
from mlx_model.commands.shared.options import load_model, optional_tokenizer
from mlx_model.decode.language_model import LanguageModel, State
from mlx_model.engine.mlx_lm_model import check_mlx_lm, load_mlx_lm
from mlx_model.errors import ConfigError, RequestError
from mlx_model.memory.bandwidth import copied_bandwidth, stated_bandwidth
from mlx_model.memory.device import on_cpu
from mlx_model.memory.footprint import Footprint, footprint, stored_packing
from mlx_model.memory.machine import chip
from mlx_model.memory.plan import Wishes
from mlx_model.model import Qwen3Next
from mlx_model.weights.checkpoint import open_checkpoint

_CONTEXTS = (0, 8_192, 32_768, 131_072)
"""Tokens before those that are decoded, where memory allows."""
_PROMPTS = (128, 512, 2_048, 32_768)
"""Tokens of prompts, likewise."""
_LONGEST_ON_CPU = 8_192
"""Longer ones would take hours there."""
_LATER_TURN = (8192, 256)
"""A later turn of an agent: tokens that are known by then, and new ones."""
_DECODED = 64
"""Tokens decoded in a round."""
_PARTS = {
    "building": "building the graph",
    "submitting": "submitting it",
    "device": "waiting for the device",
    "detokenizing": "making text",
    "grammar": "grammar in a tool call",
}
"""What a reader is told that the parts of a profile are, where a name says too little."""
_DRAFTS = 3
"""Drafts that a pass verifies, as the MTP layer makes by default."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is timed: reading `tokens` after `context`, or writing as many; with `drafts` in passes that verify
    so many, all of which are accepted."""

    name: str
    context: int
    tokens: int
    writes: bool
    drafts: int = 0

    def roof(self, size: Footprint, bandwidth: float, chunk: int) -> float:
        """Tokens a second that a bandwidth in GB/s allows."""
        if self.writes:
            # With drafts this is more than any model of experts can have: other tokens choose others.
            return size.roof(bandwidth, self.context) * (1 + self.drafts)
        chunks = -(-self.tokens // chunk)
        read = chunks * (size.total.nbytes + self.context * size.kv_bytes_per_token)
        return self.tokens * bandwidth * 1e9 / read


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens a second at some work: the median of the rounds and their range; `host_ms`: of a written token,
    the time to submit it; `ratio`: of our speed to mlx-lm's in the same round, the median."""

    work: Work
    roof: float
    median: float
    least: float
    most: float
    host_ms: float | None
    beside: float | None = None
    ratio: float | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="checkpoint directory")
    parser.add_argument(
        "--beside", type=Path, metavar="DIR", help="the same model as mlx-lm reads it, to run beside ours"
    )
    parser.add_argument(
        "--contexts",
        metavar="N,N",
        help="tokens before those that are decoded "
        f"(default: of {','.join(map(str, _CONTEXTS))} those that memory allows)",
    )
    parser.add_argument(
        "--turns",
        type=int,
        default=TURNS,
        metavar="N",
        help="turns of the agent's session over the wire, 0 for none (default: %(default)s)",
    )
    parser.add_argument("--profile", action="store_true", help="also say where the time of a token goes")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="rounds of everything (default: 3)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_memory(parser, slots=False)
    parser.set_defaults(dtype=None, adapter=None, kv_bits=None)


def run(arguments: argparse.Namespace) -> int:
    """Prints a table in Markdown. Raises EngineError."""
    contexts = _lengths(arguments.contexts)
    if arguments.rounds < 1:
        raise RequestError("At least one round is needed.")
    if arguments.turns < 0:
        raise RequestError("--turns takes a number of turns, 0 for none.")
    if arguments.beside is not None:
        check_mlx_lm(arguments.beside)  # what takes minutes comes before it is loaded
    # First, and over before the model is loaded here: there is room for one of them.
    has_tokenizer = (arguments.model / "tokenizer.json").exists()
    turns = measure_turn(arguments.model, arguments.turns) if arguments.turns > 0 and has_tokenizer else []
    decoded = (1 + arguments.rounds) * _DECODED
    asked = None if contexts is None else max(*contexts, *_PROMPTS[:1], sum(_LATER_TURN)) + decoded
    plan = settle_memory(arguments, Wishes(asked, snapshots=0))
    if plan is not None and contexts is not None and max(contexts) + decoded > plan.context:
        raise RequestError(
            f"A context of {max(contexts):,} tokens and {decoded:,} decoded after it are more than "
            f"the {plan.context:,} that the model has."
        )
    most = _LONGEST_ON_CPU if on_cpu() else 1 << 30
    if plan is not None:
        most = min(most, plan.context - decoded)
    works = _works([length for length in _CONTEXTS if length <= most] if contexts is None else contexts, most)
    started = time.perf_counter()
    loaded = load_model(arguments, plan)
    seconds = time.perf_counter() - started
    if plan is None or not isinstance(loaded.model, Qwen3Next):
        raise ConfigError(f"A {loaded.architecture} model is run by mlx-lm itself.")
    engines: list[LanguageModel[Any]] = [loaded.model]
    if arguments.beside is not None:
        dtype = loaded.model.dtype
        engines.append(load_mlx_lm(arguments.beside, loaded.architecture, dtype=dtype, adapter=None))
    named = chip()
    bandwidth = stated_bandwidth(named) or copied_bandwidth()
    checkpoint = open_checkpoint(arguments.model)
    size = footprint(checkpoint.config, stored_packing(checkpoint))
    mx.reset_peak_memory()
    speeds = [measure(engines, work, arguments.rounds, plan.chunk, size, bandwidth) for work in works]
    report = {
        "machine": named or architecture(),
        "bandwidth_gb_per_second": round(bandwidth, 1),
        "bandwidth_is_stated": stated_bandwidth(named) is not None,
        "mlx": version("mlx"),
        "mlx_lm": version("mlx-lm"),
        "dtype": str(loaded.model.dtype).removeprefix("mlx.core."),
        "chunk": plan.chunk,
        "load_seconds": seconds,
        "peak_bytes": mx.get_peak_memory(),
    }
    parts = profile(loaded.model, optional_tokenizer(arguments.model)) if arguments.profile else {}
    if parts and turns:
        parts["wire"] = turns[0].wire_ms
    if arguments.json:
        measured = {"speeds": [asdict(speed) for speed in speeds], "turns": [asdict(turn) for turn in turns]}
        print(json.dumps({**report, **measured, "profile": parts}))
    else:
        _print(report, speeds)
        _print_turns(turns, arguments.turns)
        _print_parts(parts)
    return 0


def _lengths(contexts: str | None) -> list[int] | None:
    if contexts is None:
        return None
    try:
        lengths = [int(part) for part in contexts.split(",")]
    except ValueError:
        raise RequestError(f"{contexts!r} is no list of lengths; write them as 0,8192.") from None
    if min(lengths) < 0:
        raise RequestError("No context is shorter than 0 tokens.")
    return lengths


def _works(contexts: Sequence[int], most: int) -> list[Work]:
    """The work at these contexts, and prompts of at most `most` tokens."""
    known, new = _LATER_TURN
    return [
        *(Work(f"prompt of {count:,}", 0, count, False) for count in _PROMPTS if count <= most),
        *([Work(f"{new} more after {known:,}", known, new, False)] if known + new <= most else []),
        *(
            Work(f"{name} after {length:,}", length, _DECODED, True, drafts)
            for length in contexts
            for name, drafts in (("decoding", 0), (f"decoding, {_DRAFTS} drafts accepted a pass,", _DRAFTS))
        ),
    ]


def measure(  # noqa: PLR0917 (the work, and what its roof needs)
    engines: Sequence[LanguageModel[Any]],
    work: Work,
    rounds: int,
    chunk: int,
    size: Footprint,
    bandwidth: float,
) -> Speed:
    """The speed of the first engine at some work, the other's beside it. A round that is not counted goes
    first: it compiles kernels. With a context each round begins where the last one ended."""
    tokens = np.random.default_rng(0).integers(0, engines[0].vocabulary, work.context + work.tokens).tolist()
    context, new = tokens[: work.context], tokens[work.context :]
    if work.drafts:
        engines = engines[:1]  # mlx-lm does not draft with this architecture
    states = [_read(engine, engine.state(), context, chunk) for engine in engines]
    times: list[list[float]] = [[] for _ in engines]
    hosts: list[float] = []
    for number in range(rounds + 1):
        for index, engine in enumerate(engines):
            if not work.context:
                states[index] = engine.state()
            started = time.perf_counter()
            host = None
            if work.drafts:
                _verify(engine, states[index], new, 1 + work.drafts)
            elif work.writes:
                host = _write(engine, states[index], new)
            else:
                _read(engine, states[index], new, chunk)
            if number:
                times[index].append(time.perf_counter() - started)
                if host is not None and not index:
                    hosts.append(1000 * host / work.tokens)
    rates = [[work.tokens / took for took in seconds] for seconds in times]
    ours = rates[0]
    beside = rates[1] if len(rates) > 1 else None
    return Speed(
        work,
        work.roof(size, bandwidth, chunk),
        median(ours),
        min(ours),
        max(ours),
        median(hosts) if hosts else None,
        None if beside is None else median(beside),
        None if beside is None else median(own / other for own, other in zip(ours, beside, strict=True)),
    )


def _read(engine: LanguageModel[Any], state: State, tokens: Sequence[int], chunk: int) -> State:
    """Has the engine read tokens, a chunk at a time; returns the state."""
    for start in range(0, len(tokens), chunk):
        logits = engine.last_logits(mx.array([tokens[start : start + chunk]]), state)
        mx.eval(logits, state.arrays())
    return state


def _verify(engine: LanguageModel[Any], state: Any, given: Sequence[int], block: int) -> None:
    """Has the engine verify the given tokens in passes of `block`, and keeps them all."""
    for start in range(0, len(given), block):
        state.record(True)
        chosen = mx.argmax(engine.logits(mx.array([given[start : start + block]]), state), axis=-1)
        state.record(False)
        mx.eval(chosen, state.arrays())
        state.keep(chosen.size)


def _write(engine: LanguageModel[Any], state: State, given: Sequence[int]) -> float:
    """Has the engine write as many greedy tokens as are given, after the first of them; seconds in which steps
    were submitted."""
    host = 0.0
    newest = mx.array(given[0])
    for _ in given:
        before, begun = newest, time.perf_counter()
        newest = mx.argmax(engine.last_logits(before.reshape(1, 1), state))
        mx.async_eval(newest, state.arrays())  # type: ignore[no-untyped-call]
        host += time.perf_counter() - begun
        before.item()
    newest.item()
    return host


def _print(report: dict[str, Any], speeds: Sequence[Speed]) -> None:
    source = "as stated" if report["bandwidth_is_stated"] else "measured by a copy"
    print(
        f"{report['machine']}, {report['bandwidth_gb_per_second']:g} GB/s ({source}); MLX {report['mlx']}, "
        f"mlx-lm {report['mlx_lm']}; {report['dtype']}, chunks of {report['chunk']} tokens; loaded in "
        f"{report['load_seconds']:.1f} s, at most {report['peak_bytes'] / 1e9:.2f} GB in use\n"
    )
    print("| Work | Tokens/s | Range | Roof | Of the roof | To submit a token | mlx-lm | Times mlx-lm |")
    print("|---|---|---|---|---|---|---|---|")
    for speed in speeds:
        host = "" if speed.host_ms is None else f"{speed.host_ms:.2f} ms"
        beside = "" if speed.beside is None else f"{speed.beside:.1f}"
        ratio = "" if speed.ratio is None else f"{speed.ratio:.2f}"
        print(
            f"| {speed.work.name} | {speed.median:.1f} | {speed.least:.1f} to {speed.most:.1f} | "
            f"{speed.roof:.0f} | {speed.median / speed.roof:.0%} | {host} | {beside} | {ratio} |"
        )


def _print_turns(turns: Sequence[TurnSpeed], number: int) -> None:
    if not turns:
        return
    print(f"\n| Turn {number} over the wire | Prompt | Cached | First token | Tokens/s | Wire, a token |")
    print("|---|---|---|---|---|---|")
    for turn in turns:
        print(
            f"| draft {turn.draft} | {turn.prompt:,} | {turn.cached:,} | {turn.first_ms:.0f} ms | "
            f"{turn.tokens_per_second:.1f} | {turn.wire_ms:.2f} ms |"
        )


def _print_parts(parts: Mapping[str, float]) -> None:
    if not parts:
        return
    print("\n| Part of a token | Time |\n|---|---|")
    for name, milliseconds in parts.items():
        print(f"| {_PARTS.get(name, name)} | {milliseconds:.3f} ms |")
