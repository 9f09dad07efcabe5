"""bench kv: how much keys and values at 8 bits change a model's predictions on a given text.

At every position: the Kullback-Leibler divergence, in nats, of the next-token distribution with 8-bit keys and
values from that with exact ones. It is reported in stretches of the text, because a difference would grow along
a long context.
"""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import mlx.core as mx

from mlx_model.commands.shared.chats import add_chats, joined_chats
from mlx_model.commands.shared.memory_check import add_memory, settle_memory
from mlx_model.commands.shared.options import load_model, prompt_tokens, read_text
from mlx_model.errors import ConfigError, RequestError
from mlx_model.memory.plan import Wishes
from mlx_model.model import Qwen3Next
from mlx_model.state.sequence import SequenceState

_CHUNK = 256
"""Tokens of a forward pass."""
_STRETCHES = 4
"""Parts of the text that figures are given for, so that growth with the context shows."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Positions [start, end): mean and largest divergence in nats, and the share (0 to 1) of positions with the
    same most likely token."""

    start: int
    end: int
    mean_kl: float
    max_kl: float
    same_argmax: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="checkpoint directory")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--tokens", metavar="1,2,3", help="token ids")
    source.add_argument("--file", type=Path, metavar="F", help="a UTF-8 text file")
    add_chats(source)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_memory(parser, slots=False)
    parser.set_defaults(dtype=None, adapter=None, kv_bits=None)


def run(arguments: argparse.Namespace) -> int:
    """Prints the divergence, and the bytes of a token's keys and values at both precisions. Raises
    EngineError."""
    if arguments.chats is not None:
        tokens = joined_chats(arguments.chats, arguments.model)
    else:
        tokens = prompt_tokens(arguments.tokens, read_text(arguments.file), arguments.model)
    if len(tokens) < _STRETCHES:
        raise RequestError(f"{len(tokens)} tokens are too few to compare anything.")
    plan = settle_memory(arguments, Wishes(len(tokens), chunk=_CHUNK, snapshots=0), all_logits=True)
    loaded = load_model(arguments, plan)
    model = loaded.model
    if not isinstance(model, Qwen3Next):
        raise ConfigError(
            f"A {loaded.architecture} model is run by mlx-lm, which keeps its own keys and values."
        )
    stretches, sizes = measure(model, tokens)
    if arguments.json:
        report = {"stretches": [asdict(stretch) for stretch in stretches], "bytes_per_token": sizes}
        print(json.dumps(report))
        return 0
    print(f"{'positions':>16}{'mean KL':>12}{'max KL':>12}{'same argmax':>14}")
    for part in stretches:
        positions = f"{part.start}-{part.end}"
        print(f"{positions:>16}{part.mean_kl:12.2e}{part.max_kl:12.2e}{part.same_argmax:14.2%}")
    print(f"bytes a token: {sizes['exact']:.0f} exact, {sizes['8 bits']:.0f} at 8 bits")
    return 0


def measure(model: Qwen3Next, tokens: Sequence[int]) -> tuple[list[Stretch], dict[str, float]]:
    """The divergence in equal stretches of the tokens, and the bytes of a token's keys and values by
    precision."""
    states = {
        "exact": SequenceState(model.config, model.dtype),
        "8 bits": SequenceState(model.config, model.dtype, kv_bits=8),
    }
    divergences: list[float] = []
    agreements: list[bool] = []
    for start in range(0, len(tokens), _CHUNK):
        chunk = mx.array([tokens[start : start + _CHUNK]])
        exact, packed = (
            (logits := model.logits(chunk, state)[0].astype(mx.float32))
            - mx.logsumexp(logits, axis=-1, keepdims=True)
            for state in states.values()
        )
        divergence = (mx.exp(exact) * (exact - packed)).sum(axis=-1)
        agreement = mx.argmax(exact, axis=-1) == mx.argmax(packed, axis=-1)
        mx.eval(divergence, agreement, *(array for state in states.values() for array in state.arrays()))
        divergences += [float(value) for value in divergence.tolist()]  # type: ignore[union-attr, arg-type]
        agreements += [bool(value) for value in agreement.tolist()]  # type: ignore[union-attr]
    size = math.ceil(len(tokens) / _STRETCHES)
    stretches = [
        Stretch(
            start,
            min(start + size, len(tokens)),
            sum(part := divergences[start : start + size]) / len(part),
            max(part),
            sum(same := agreements[start : start + size]) / len(same),
        )
        for start in range(0, len(tokens), size)
    ]
    held = {
        name: sum(array.nbytes for array in state.segment(0, len(tokens)).values()) / len(tokens)
        for name, state in states.items()
    }
    return stretches, held
