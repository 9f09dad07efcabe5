"""bench draft: the speedup by drafting on this machine, on three kinds of text or on recorded chats, and the
cost of passes by width.

The replies are given: every pass computes everything it computes in serving, and then the given token replaces
the model's choice. So the texts are the same for every model, and drafts are accepted as they would be for a
model that writes them. Replies are greedy; with --own-words the model writes its own. With --chats it writes
its own as well, to all chats one after the other, and each draft mode learns from one to the next as in
serving.

All draft modes make the same reply side by side, _SLICE tokens each in turn, each with its own clock, so that
other load and heat slow all of them alike.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import mlx.core as mx
from typing_extensions import override

from mlx_model.bench.draft_texts import TEXTS
from mlx_model.bench.shared_prompts import SNAPSHOT_BYTES, SharedPrompts
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.commands.shared.chats import add_chats, read_chats
from mlx_model.commands.shared.memory_check import add_memory, settle_memory
from mlx_model.commands.shared.options import add_drafter, load_model
from mlx_model.decode.drafting import Step
from mlx_model.decode.generator import Generator
from mlx_model.decode.request import DraftMode, GenerationRequest, SamplingParameters, TokenGenerated
from mlx_model.decode.verify import DEEPEST, VerifyingModel
from mlx_model.engine.loading import ways
from mlx_model.errors import ConfigError, RequestError
from mlx_model.memory.plan import Wishes
from mlx_model.model import Qwen3Next
from mlx_model.state.sequence import SequenceState

_SLICE = 16
"""Tokens that one draft mode makes before the next mode's turn."""
_CONTEXT = 4096
"""Tokens: more than the texts and their replies have."""


@dataclass(frozen=True, slots=True)
class Result:
    """One text in one draft mode. `tokens_per_second`: decoded, the median of the rounds; `speedup`: over plain
    decoding in the same round, the median, and its range; `first_speedup`: of the warm-up round, in which the
    controller has no measurements; `tokens_per_step`: per pass of the model; acceptance[source][position]: the
    share of drafts accepted at that position of a block (from 1), among those after no rejected draft;
    `as_plain`: the share of tokens that are those of plain decoding."""

    tokens_per_second: float
    speedup: float
    speedup_range: tuple[float, float]
    first_speedup: float
    tokens_per_step: float
    acceptance: dict[str, dict[int, float]]
    as_plain: float


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt's tokens, and how many tokens are to be written after it."""

    prompt: Sequence[int]
    count: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="checkpoint directory")
    parser.add_argument("--max-tokens", type=int, default=320, metavar="N", help="of each reply")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="replies of each kind, at most")
    parser.add_argument(
        "--seconds", type=float, default=300, metavar="S", help="no new round after so long (default: 300)"
    )
    parser.add_argument(
        "--own-words", action="store_true", help="replies are the model's own, not the texts given"
    )
    add_drafter(parser)
    add_chats(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_memory(parser, slots=False)
    parser.set_defaults(dtype=None, adapter=None, kv_bits=None)


def run(arguments: argparse.Namespace) -> int:
    """Prints the measurements. Raises EngineError."""
    if arguments.max_tokens < 8 or arguments.rounds < 1 or not arguments.seconds > 0:
        raise RequestError("At least 8 tokens, one round and some time are needed to measure anything.")
    tokenizer = Tokenizer.from_directory(arguments.model)
    # As in serving: weights are wired where possible, and a model that does not fit is refused.
    plan = settle_memory(arguments, Wishes(_CONTEXT, snapshots=SNAPSHOT_BYTES))
    loaded = load_model(arguments, plan)
    model = loaded.model
    if not isinstance(model, Qwen3Next):
        raise ConfigError(f"A {loaded.architecture} model is run by mlx-lm, which cannot draft.")
    costs = pass_milliseconds(model, tokenizer.encode(TEXTS["prose"].reply))
    own_words = arguments.own_words or arguments.chats is not None
    results = {}
    for name, verifier, asked in _texts(arguments, model, tokenizer):
        seconds = arguments.seconds if arguments.chats is not None else arguments.seconds / len(TEXTS)
        results[name] = measure(model, verifier, asked, rounds=arguments.rounds, seconds=seconds)
    if arguments.json:
        texts = {name: {mode: asdict(result) for mode, result in by.items()} for name, by in results.items()}
        print(json.dumps({"given_replies": not own_words, "pass_ms": costs, "texts": texts}))
    else:
        _print(costs, results, own_words)
    return 0


def _texts(
    arguments: argparse.Namespace, model: Qwen3Next, tokenizer: Tokenizer
) -> Iterator[tuple[str, VerifyingModel[SequenceState], list[Asked]]]:
    """Each text's name, what writes it, and what is asked."""
    if arguments.chats is not None:
        chats = read_chats(arguments.chats, arguments.model)
        # A reply is as long as the one recorded: what the model writes after its end is no chat.
        asked = [Asked(chat.prompt, max(2, min(arguments.max_tokens, len(chat.reply)))) for chat in chats]
        yield f"{len(chats)} chats", model, asked
        return
    for name, text in TEXTS.items():
        prompt, given = tokenizer.encode(text.prompt), tokenizer.encode(text.reply)
        if arguments.own_words:
            yield name, model, [Asked(prompt, arguments.max_tokens)]
        else:
            count = min(arguments.max_tokens, len(given))
            yield name, Reciting(model, [*prompt, *given]), [Asked(prompt, count)]


def _print(
    costs: Mapping[int, float], results: Mapping[str, Mapping[DraftMode, Result]], own_words: bool
) -> None:
    print(
        "Replies are the model's own." if own_words else "Replies are given; the model computes all the same."
    )
    print("A pass of n tokens, in ms: " + ", ".join(f"{width}: {ms:.2f}" for width, ms in costs.items()))
    for name, modes in results.items():
        print(f"\n{name}")
        for mode, result in modes.items():
            low, high = result.speedup_range
            print(
                f"  {mode:7} {result.tokens_per_second:8.1f} tok/s, {result.speedup:.3f}× none "
                f"({low:.3f} to {high:.3f}, at first {result.first_speedup:.3f}), "
                f"{result.tokens_per_step:.2f} tokens a pass, {result.as_plain:.1%} as none"
            )
            for source, shares in result.acceptance.items():
                print(f"          {source}: " + ", ".join(f"{at}: {share:.0%}" for at, share in shares.items()))


def pass_milliseconds(model: Qwen3Next, context: Sequence[int]) -> dict[int, float]:
    """Milliseconds of a verifying pass after a context, by its width in tokens, from 1 to 17; the median of
    five."""
    state = model.state()
    mx.eval(model.hidden(mx.array([list(context)]), state))
    seconds: dict[int, list[float]] = defaultdict(list)
    for _ in range(6):
        for width in range(1, DEEPEST + 2):
            tokens = mx.array([[context[index % len(context)] for index in range(width)]])
            started = time.perf_counter()
            state.record(True)
            mx.eval(mx.argmax(model.logits(tokens, state), axis=-1))
            state.record(False)
            state.keep(0)
            mx.eval(state.arrays())
            seconds[width].append(time.perf_counter() - started)
    # The first pass of a width compiles its kernels.
    return {width: 1000 * median(times[1:]) for width, times in seconds.items()}


class Reciting(VerifyingModel[SequenceState]):
    """A VerifyingModel that computes everything the model computes and then chooses the tokens of a given
    text."""

    def __init__(self, model: Qwen3Next, text: Sequence[int]) -> None:
        self._model = model
        self._text = list(text)
        self._positions: list[int] = []

    @property
    @override
    def vocabulary(self) -> int:
        return self._model.vocabulary

    @property
    @override
    def context_length(self) -> int:
        return self._model.context_length

    @override
    def state(self) -> SequenceState:
        return self._model.state()

    @override
    def hidden(self, tokens: mx.array, state: SequenceState) -> mx.array:
        """Also notes the positions of the next tokens, for the call of `head` that follows."""
        end = len(self._text) - 1
        self._positions = [min(state.length + offset + 1, end) for offset in range(tokens.shape[1])]
        return self._model.hidden(tokens, state)

    @override
    def head(self, hidden: mx.array) -> mx.array:
        """Takes the result of the last call of `hidden`, or its last position [1, hidden]."""
        logits = self._model.head(hidden)
        given = mx.array([self._text[position] for position in self._positions])
        chosen = given[:, None] == mx.arange(self.vocabulary)
        return mx.where(chosen if logits.ndim == 3 else chosen[-1:], mx.inf, logits)

    @override
    def logits(self, tokens: mx.array, state: SequenceState) -> mx.array:
        return self.head(self.hidden(tokens, state))

    @override
    def last_logits(self, tokens: mx.array, state: SequenceState) -> mx.array:
        return self.head(self.hidden(tokens, state)[:, -1])[0]


class _Clock:
    """Seconds that one draft mode has run; it is stopped while the others run."""

    def __init__(self) -> None:
        self._before = 0.0
        self._since: float | None = None

    def __call__(self) -> float:
        return self._before + (0.0 if self._since is None else time.perf_counter() - self._since)

    def go(self) -> None:
        self._since = time.perf_counter()

    def stop(self) -> None:
        self._before, self._since = self(), None


class _Way:
    """One draft mode, generating reply after reply."""

    def __init__(
        self,
        mode: DraftMode,
        model: Qwen3Next,
        verifier: VerifyingModel[SequenceState],
        states: SharedPrompts,
    ) -> None:
        self.clock = _Clock()
        self.steps: list[Step] = []
        drafting = ways(model, verifier, watch=self.steps.append, clock=self.clock)[mode]
        self._generator: Generator[Any] = Generator(verifier, states, drafting=drafting)
        self._events: Iterator[TokenGenerated] = iter(())
        self._last: TokenGenerated | None = None
        self.tokens: list[int] = []
        """Of the last round."""
        self.accepted = 0
        """Drafts, in the last round."""

    def begin(self, request: GenerationRequest) -> None:
        """Processes the prompt and decodes the first token."""
        events = self._generator.generate(request, lambda: False)
        self._events = (event for event in events if isinstance(event, TokenGenerated))
        self._last = next(self._events)
        self.tokens.append(self._last.token)
        mx.synchronize()

    def go_on(self, tokens: int) -> float:
        """Decodes `tokens` more tokens, or the rest of the reply; returns the seconds taken."""
        started = self.clock()
        self.clock.go()
        for _ in range(tokens):
            self._last = next(self._events, self._last)
            assert self._last is not None
            self.tokens.append(self._last.token)
        mx.synchronize()
        self.clock.stop()
        return self.clock() - started

    def end(self) -> None:
        """The reply is whole."""
        assert self._last is not None
        self.accepted += self._last.costs.accepted_tokens


def measure(
    model: Qwen3Next,
    verifier: VerifyingModel[SequenceState],
    asked: Sequence[Asked],
    *,
    rounds: int,
    seconds: float,
) -> dict[DraftMode, Result]:
    """Measures every draft mode of the model on what is asked, side by side, in a warm-up round and up to
    `rounds` more; after `seconds` no new round begins, except the first after the warm-up."""
    states = SharedPrompts(model)
    modes = list(ways(model, verifier))
    by_mode = {mode: _Way(mode, model, verifier, states) for mode in modes}
    taken: dict[DraftMode, list[float]] = defaultdict(list)
    ends_at = time.perf_counter() + seconds
    while len(taken["none"]) < 2 or (len(taken["none"]) <= rounds and time.perf_counter() < ends_at):
        for way in by_mode.values():
            way.tokens, way.accepted = [], 0
        spent = dict.fromkeys(modes, 0.0)
        for one in asked:
            _reply(by_mode, one, spent)
        for mode, time_spent in spent.items():
            taken[mode].append(time_spent)
    plain = by_mode["none"]
    decoded = sum(one.count - 1 for one in asked)
    return {mode: _result(way, decoded, taken[mode], taken["none"], plain) for mode, way in by_mode.items()}


def _reply(by_mode: dict[DraftMode, _Way], asked: Asked, spent: dict[DraftMode, float]) -> None:
    """Has every mode make the reply, and adds the seconds to those spent."""
    prompt, greedy = tuple(asked.prompt), SamplingParameters(temperature=0)
    request = GenerationRequest(prompt, asked.count, frozenset(), greedy, boundaries=(len(prompt) - 1,))
    # The last mode, whose drafters follow the prompt, processes it; the others start from its snapshot.
    for way in reversed(by_mode.values()):
        way.begin(request)
    for number in range(-(-(asked.count - 1) // _SLICE)):
        for mode in by_mode if number % 2 else reversed(by_mode):
            spent[mode] += by_mode[mode].go_on(min(_SLICE, asked.count - 1 - number * _SLICE))
    for way in by_mode.values():
        way.end()


def _result(way: _Way, decoded: int, taken: Sequence[float], plain: Sequence[float], undrafted: _Way) -> Result:
    first, *speedups = (without / with_drafts for without, with_drafts in zip(plain, taken, strict=True))
    same = sum(ours == theirs for ours, theirs in zip(way.tokens, undrafted.tokens, strict=True))
    return Result(
        tokens_per_second=decoded / median(taken[1:]),
        speedup=median(speedups),
        speedup_range=(min(speedups), max(speedups)),
        first_speedup=first,
        tokens_per_step=len(way.tokens) / (len(way.tokens) - way.accepted),
        acceptance=acceptance(way.steps),
        as_plain=same / len(way.tokens),
    )


def acceptance(steps: Sequence[Step]) -> dict[str, dict[int, float]]:
    """The share of drafts accepted (0 to 1), by source and position in the block; see Result."""
    judged: dict[str, dict[int, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for step in steps:
        for position in range(1, min(step.accepted + 1, step.drafted) + 1):
            judged[str(step.source)][position].append(position <= step.accepted)
    shares: dict[str, Any] = {
        source: {position: sum(kept) / len(kept) for position, kept in sorted(positions.items())}
        for source, positions in sorted(judged.items())
    }
    return shares
