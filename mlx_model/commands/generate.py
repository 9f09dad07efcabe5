"""generate: continue a prompt, given as text or as tokens."""

import argparse
import json
import sys
from dataclasses import replace

from mlx_model.chat.detokenizer import Detokenizer
from mlx_model.chat.tokenizer import stop_tokens
from mlx_model.commands.shared.memory_check import add_memory, settle_memory
from mlx_model.commands.shared.options import (
    add_draft,
    add_model,
    load_model,
    optional_tokenizer,
    prompt_tokens,
)
from mlx_model.decode.request import (
    GenerationFinished,
    GenerationRequest,
    SamplingParameters,
    TokenGenerated,
)
from mlx_model.decode.timings import timings
from mlx_model.engine.generation_config import published_sampling
from mlx_model.engine.guarded import GuardedGenerator
from mlx_model.engine.reserves import engine_reserves
from mlx_model.memory.plan import Wishes
from mlx_model.memory.relief import Relief


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this subcommand."""
    add_model(parser)
    add_memory(parser, slots=True)
    prompt = parser.add_mutually_exclusive_group(required=True)
    prompt.add_argument("--tokens", metavar="1,2,3", help="the prompt as token ids")
    prompt.add_argument("--prompt", metavar="TEXT", help="the prompt as text, without a chat template")
    parser.add_argument("--max-tokens", type=int, default=256, metavar="N")
    parser.add_argument(
        "--temperature", type=float, metavar="T", help="default, as of the next: the checkpoint's"
    )
    parser.add_argument("--top-p", type=float, metavar="P")
    parser.add_argument("--top-k", type=int, metavar="K")
    parser.add_argument("--min-p", type=float, metavar="P")
    parser.add_argument("--repetition-penalty", type=float, metavar="R")
    parser.add_argument("--seed", type=int, metavar="S")
    add_draft(parser)
    parser.add_argument("--json", action="store_true", help="print {tokens, text, timings}")


def run(arguments: argparse.Namespace) -> int:
    """Streams the text, or prints one JSON object. Raises EngineError."""
    tokenizer = optional_tokenizer(arguments.model)
    prompt = prompt_tokens(arguments.tokens, arguments.prompt, arguments.model)
    # The generator refuses a limit out of range.
    plan = settle_memory(arguments, Wishes(len(prompt) + max(arguments.max_tokens, 1), snapshots=0))
    loaded = load_model(arguments, plan)
    generator = GuardedGenerator(
        loaded.generator(chunk=None if plan is None else plan.chunk, draft=arguments.draft),
        Relief(engine_reserves(None, loaded.residency)),
        loaded.residency,
        request_bytes=None if plan is None or arguments.force else plan.request_bytes,
    )
    request = GenerationRequest(
        prompt=prompt,
        max_tokens=arguments.max_tokens,
        stop_tokens=stop_tokens(arguments.model),
        sampling=_sampling(arguments),
    )
    tokens: list[int] = []
    pieces: list[str] = []
    detokenizer = Detokenizer(tokenizer) if tokenizer is not None else None

    def show(piece: str) -> None:
        pieces.append(piece)
        if not arguments.json:
            print(piece, end="", flush=True)

    finished: GenerationFinished | None = None
    for event in generator.generate(request, lambda: False):
        if isinstance(event, TokenGenerated):
            tokens.append(event.token)
            if event.token not in request.stop_tokens:
                show(detokenizer.add(event.token) if detokenizer is not None else f"{event.token} ")
        elif isinstance(event, GenerationFinished):
            finished = event
    assert finished is not None
    if detokenizer is not None:
        show(detokenizer.finish())
    text = "".join(pieces) if detokenizer is not None else None
    if arguments.json:
        print(json.dumps({"tokens": tokens, "text": text, "timings": timings(finished)}))
    else:
        rate = timings(finished)["predicted_per_second"]
        print(f"\n[{finished.generated_tokens} tokens, {rate:.1f} tok/s, {finished.reason}]", file=sys.stderr)
    return 0


def _sampling(arguments: argparse.Namespace) -> SamplingParameters:
    """The command line's parameters, else the checkpoint's defaults."""
    names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed")
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    return replace(published_sampling(arguments.model), **given)
