"""bench edits: how many edits would have missed, and what it costs a token that none can.

The model is shown a file and has begun a call of `edit` on it; what is measured is how it writes `old_string`,
once as the tools' grammar leaves it free and once held to the file, side by side. An edit misses where what it
quotes does not stand in the file, or stands there more than once. Besides, what is admitted next is timed by
itself, in a file of 100,000 lines, with tokens drawn at random among those that may come.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import mlx_model
from mlx_model.chat.prompt import PromptEncoder
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.chat.tools.edits.exact_edits import Files
from mlx_model.chat.tools.edits.known_files import NamedFile
from mlx_model.chat.tools.edits.quotation import END
from mlx_model.chat.tools.grammar import Schemas, ToolGrammar
from mlx_model.chat.tools.token_grammar import GrammarConstraint
from mlx_model.commands.shared.memory_check import add_memory, settle_memory
from mlx_model.commands.shared.options import load_model, read_text
from mlx_model.commands.shared.sizes import count
from mlx_model.decode.generator import Generator
from mlx_model.decode.request import GenerationRequest, SamplingParameters, TokenGenerated
from mlx_model.engine.generation_config import published_sampling
from mlx_model.errors import RequestError
from mlx_model.memory.plan import Wishes

_SCHEMAS: Schemas = {
    "edit": {
        "properties": {name: {"type": "string"} for name in ("file_path", "old_string", "new_string")}
        | {"replace_all": {"type": "boolean"}},
        "required": ["file_path", "old_string", "new_string"],
    }
}
_NAME = "shown.py"
_OPENED = (
    f"<tool_call>\n<function=edit>\n<parameter=file_path>\n{_NAME}\n</parameter>\n<parameter=old_string>\n"
)
# Of the engine's own files, those that make short prompts.
_MOST_CHARACTERS = 2000
_LONG_LINES = 100_000
"""Lines of the longest file: its index is timed."""
# A quotation that has not ended by then is cut off and counted as such.
_MOST_TOKENS = 200
_LONG_EDITS, _LONG_TOKENS = 50, 40


@dataclass(frozen=True, slots=True)
class Outcome:
    """Edits of one kind: the shares of those whose quotation stands in the file nowhere, more than once, and
    that came to no end; and the milliseconds a token took, the median of the edits' means."""

    nowhere: float
    ambiguous: float
    endless: float
    ms_per_token: float


@dataclass(frozen=True, slots=True)
class LongFile:
    """A file of so many bytes: milliseconds of one core to index it, and on average to follow a token and tell
    which may come next, by the grammar alone and held to the file."""

    nbytes: int
    index_ms: float
    grammar_ms: float
    held_ms: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this measurement."""
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="checkpoint directory")
    parser.add_argument(
        "--file",
        type=Path,
        action="append",
        metavar="F",
        help="a UTF-8 text file to edit, may be given again (default: the engine's own sources)",
    )
    parser.add_argument("--edits", type=count, default=40, metavar="N", help="edits either way (default: 40)")
    parser.add_argument("--temperature", type=float, metavar="T", help="(default: the checkpoint's own)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_memory(parser, slots=False)
    parser.set_defaults(dtype=None, adapter=None, kv_bits=None)


def run(arguments: argparse.Namespace) -> int:
    """Prints the shares and the costs. Raises EngineError."""
    texts = [read_text(path) or "" for path in arguments.file or ()] or _own_sources()
    encoder = PromptEncoder.from_directory(arguments.model)
    prompts = [_prompt(encoder, text) for text in texts]
    longest = max(map(len, prompts))
    plan = settle_memory(arguments, Wishes(longest + _MOST_TOKENS + 1, snapshots=0))
    loaded = load_model(arguments, plan)
    grammar = ToolGrammar(encoder.tokenizer, loaded.model.vocabulary)
    sampling = published_sampling(arguments.model)
    if arguments.temperature is not None:
        sampling = replace(sampling, temperature=arguments.temperature)
    bench = _Bench(loaded.generator(), encoder.tokenizer, grammar, sampling)
    outcomes = bench.compare(list(zip(prompts, texts, strict=True)), arguments.edits)
    long = long_file(grammar, encoder.tokenizer, "".join(_own_sources()))
    if arguments.json:
        shown = {name: asdict(outcome) for name, outcome in outcomes.items()}
        print(json.dumps({"edits": arguments.edits, **shown, "long_file": asdict(long)}))
        return 0
    print(f"{'':6}{'nowhere':>10}{'ambiguous':>11}{'endless':>9}{'ms a token':>12}")
    for name, outcome in outcomes.items():
        shares = f"{outcome.nowhere:10.1%}{outcome.ambiguous:11.1%}{outcome.endless:9.1%}"
        print(f"{name:6}{shares}{outcome.ms_per_token:12.2f}")
    print(
        f"in {_LONG_LINES:,} lines ({long.nbytes / 1e6:.1f} MB): {long.index_ms:.0f} ms once, then "
        f"{long.held_ms:.3f} ms a token; the grammar alone {long.grammar_ms:.3f} ms"
    )
    return 0


def _own_sources() -> list[str]:
    files = sorted(Path(mlx_model.__file__).parent.rglob("*.py"))
    texts = [file.read_text(encoding="utf-8") for file in files]
    return [text for text in texts if 500 < len(text) < _MOST_CHARACTERS]


def _prompt(encoder: PromptEncoder, text: str) -> tuple[int, ...]:
    """A conversation in which the file was read, up to the beginning of the quotation."""
    call = {"id": "1", "type": "function", "function": {"name": "read_file", "arguments": {"file_path": _NAME}}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": f"There is a mistake in {_NAME}. Find and mend it."},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": text},
    ]
    return (*encoder.encode(messages).tokens, *encoder.tokenizer.encode_marked(_OPENED, "\0"))


class _Bench:
    def __init__(
        self,
        generator: Generator[Any],
        tokenizer: Tokenizer,
        grammar: ToolGrammar,
        sampling: SamplingParameters,
    ) -> None:
        self._generator, self._tokenizer, self._grammar = generator, tokenizer, grammar
        self._sampling = sampling

    def compare(self, shown: Sequence[tuple[tuple[int, ...], str]], edits: int) -> dict[str, Outcome]:
        """The files in turn, with other seeds each time, edited freely and held."""
        quoted: dict[str, list[tuple[int | None, float]]] = {"free": [], "held": []}
        for number in range(edits):
            prompt, text = shown[number % len(shown)]
            for name in quoted if number % 2 else reversed(quoted):
                quoted[name].append(self._edit(prompt, text, number, held=name == "held"))
        return {name: _outcome(each) for name, each in quoted.items()}

    def _edit(self, prompt: tuple[int, ...], text: str, seed: int, *, held: bool) -> tuple[int | None, float]:
        """How often the quotation stands in the text, None where it did not end; and seconds a token."""
        request = GenerationRequest(
            prompt,
            _MOST_TOKENS,
            frozenset(),
            replace(self._sampling, seed=seed),
            constraint=lambda: opened(self._grammar, self._tokenizer, text if held else None),
        )
        written = bytearray()
        times: list[float] = []

        def is_over() -> bool:
            return END in written

        for event in self._generator.generate(request, is_over):
            if isinstance(event, TokenGenerated):
                written += self._tokenizer.bytes_of(event.token)
                times.append(time.perf_counter())
        quoted, end, _ = bytes(written).partition(END)
        # The first token waits for the prompt.
        seconds = (times[-1] - times[0]) / max(1, len(times) - 1)
        return occurrences(text, quoted.decode(errors="replace")) if end else None, seconds


def opened(grammar: ToolGrammar, tokenizer: Tokenizer, text: str | None) -> GrammarConstraint:
    """A constraint on a call that is to write `old_string` next, held to a text or, where that is None, to the
    grammar alone. Raises RequestError where this checkpoint makes no such calls."""
    files: Files = {}
    if text is not None:
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        files = grammar.files.resolve([NamedFile([_NAME], sha256, text)])
    constraint = grammar.constraint(_SCHEMAS, files)
    if constraint is None:
        raise RequestError("This checkpoint's tokenizer has no tokens that open and close a tool call.")
    for token in tokenizer.encode_marked(_OPENED, "\0"):
        constraint.advance(token)
    return constraint


def occurrences(text: str, quoted: str) -> int:
    """How often it stands in the text, overlapping places counted; an empty quotation stands nowhere."""
    found, at = 0, text.find(quoted) if quoted else -1
    while at >= 0:
        found, at = found + 1, text.find(quoted, at + 1)
    return found


def _outcome(edits: Sequence[tuple[int | None, float]]) -> Outcome:
    found = [times for times, _ in edits]
    return Outcome(
        nowhere=found.count(0) / len(found),
        ambiguous=sum(times is not None and times > 1 for times in found) / len(found),
        endless=found.count(None) / len(found),
        ms_per_token=1000 * median(seconds for _, seconds in edits),
    )


def long_file(grammar: ToolGrammar, tokenizer: Tokenizer, source: str) -> LongFile:
    """The costs in a file that repeats the lines of `source`, each with a number before it."""
    lines = source.splitlines()
    text = "".join(f"{n} {lines[n % len(lines)]}\n" for n in range(_LONG_LINES))
    started = time.thread_time()
    opened(grammar, tokenizer, text).mask()
    index = time.thread_time() - started
    taken = {True: 0.0, False: 0.0}
    tokens = 0
    for seed in range(_LONG_EDITS):
        chance = np.random.default_rng(seed)
        written = b""
        held, free = (opened(grammar, tokenizer, each) for each in (text, None))
        for _ in range(_LONG_TOKENS):
            may = np.flatnonzero(held.mask())
            token = int(chance.choice(may))
            for constraint in (held, free):
                started = time.thread_time()
                constraint.advance(token)
                constraint.mask()
                taken[constraint is held] += time.thread_time() - started
            tokens += 1
            written += tokenizer.bytes_of(token)
            if written.endswith(END):
                break
    return LongFile(len(text.encode()), 1000 * index, 1000 * taken[False] / tokens, 1000 * taken[True] / tokens)
