"""score: log-probabilities and perplexity of given tokens."""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import mlx.core as mx

from mlx_model.commands.shared.memory_check import add_memory, settle_memory
from mlx_model.commands.shared.options import add_model, load_model, prompt_tokens, read_text
from mlx_model.decode.language_model import LanguageModel
from mlx_model.errors import RequestError
from mlx_model.memory.plan import Wishes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    add_model(parser)
    add_memory(parser, slots=False)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--tokens", metavar="1,2,3", help="token ids")
    source.add_argument("--file", type=Path, metavar="F", help="a UTF-8 text file")
    parser.add_argument("--chunk", type=int, default=512, metavar="N", help="tokens computed at once")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print {tokens, logprobs, argmax, perplexity}: logprobs[i] is of tokens[i + 1], "
        "argmax[i] the most likely token in that place",
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the scores. Raises EngineError."""
    text = read_text(arguments.file)
    tokens = prompt_tokens(arguments.tokens, text, arguments.model)
    if arguments.chunk < 1:
        raise RequestError(f"--chunk is {arguments.chunk}; it must be at least 1.")
    plan = settle_memory(arguments, Wishes(len(tokens), chunk=arguments.chunk, snapshots=0), all_logits=True)
    logprobs, argmax = score(load_model(arguments, plan).model, tokens, arguments.chunk)
    perplexity = math.exp(-sum(logprobs) / len(logprobs))
    if arguments.json:
        report = {"tokens": tokens, "logprobs": logprobs, "argmax": argmax, "perplexity": perplexity}
        print(json.dumps(report))
        return 0
    print("    token   log-probability   most likely")
    for token, logprob, likely in zip(tokens[1:], logprobs, argmax, strict=False):
        print(f"{token:9d}   {logprob:15.6f}   {likely:11d}")
    print(f"perplexity {perplexity:.6f} over {len(logprobs)} tokens")
    return 0


def score(model: LanguageModel[Any], tokens: Sequence[int], chunk: int) -> tuple[list[float], list[int]]:
    """The natural log-probability of every token but the first, [n - 1], and the most likely token after every
    prefix, [n]. `chunk`: tokens computed at once. Raises RequestError."""
    if len(tokens) < 2:
        raise RequestError("There is nothing to score: it takes at least two tokens.")
    if len(tokens) > model.context_length:
        raise RequestError(f"{len(tokens)} tokens are more than the context of {model.context_length} holds.")
    unknown = next((token for token in tokens if not 0 <= token < model.vocabulary), None)
    if unknown is not None:
        raise RequestError(f"Token {unknown} is not in the vocabulary of {model.vocabulary} tokens.")
    state = model.state()
    logprobs: list[float] = []
    argmax: list[int] = []
    for start in range(0, len(tokens), chunk):
        logits = model.logits(mx.array([tokens[start : start + chunk]]), state)[0].astype(mx.float32)
        argmax += cast(list[int], mx.argmax(logits, axis=-1).tolist())
        following = mx.array(list(tokens[start + 1 : start + chunk + 1]))
        rows = logits[: following.size]
        if following.size:
            chosen = mx.take_along_axis(rows, following[:, None], axis=-1)[:, 0]
            logprobs += cast(list[float], (chosen - mx.logsumexp(rows, axis=-1)).tolist())
        mx.eval(state.arrays())
    return logprobs, argmax
