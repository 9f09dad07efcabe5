"""A small random checkpoint with all that a server needs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlx.core as mx
from tokenizers import Tokenizer

from tests.support.weights.checkpoints import write_checkpoint
from tests.support.weights.small_tokenizer import VOCABULARY, write_small_tokenizer


def servable_checkpoint(directory: Path, **config: Any) -> Path:
    """Random qwen3_next weights with tokenizer, chat template and generation config, written to `directory`;
    `config` replaces fields of the small config."""
    write_small_tokenizer(directory)
    stops = json.loads((directory / "generation_config.json").read_text())["eos_token_id"]
    return write_checkpoint(directory, **{"vocab_size": VOCABULARY, "eos_token_id": stops[0], **config})


def make_endless(checkpoint: Path) -> Path:
    """Give the stop tokens and the one that opens a tool call a logit of 0 always: among random ones that is
    never one of the 40 best, so a reply is words, and goes on until something else ends it."""
    with _tensors(checkpoint) as tensors:
        tensors["lm_head.weight"][mx.array([_opening(checkpoint), *_stop_tokens(checkpoint)])] = 0
    return checkpoint


def make_brief(checkpoint: Path) -> Path:
    """Have replies be some words and then end, whatever is drawn: a stop token is likely at every place, and a
    tool call, which a random model may never find its way out of, is never begun.

    One dimension of the hidden state is the same for every token but the line feed that a prompt ends with,
    and read by the stop tokens' logits alone.
    """
    line_feed = _tokenizer(checkpoint).encode("\n").ids[-1]
    with _tensors(checkpoint) as tensors:
        tensors["model.embed_tokens.weight"][:, 0] = 4
        tensors["model.embed_tokens.weight"][line_feed, 0] = -4
        head = tensors["lm_head.weight"]
        head[:, 0] = 0
        head[mx.array([_opening(checkpoint), *_stop_tokens(checkpoint)])] = 0
        head[mx.array(_stop_tokens(checkpoint)), 0] = 1
    return checkpoint


def _tokenizer(checkpoint: Path) -> Tokenizer:
    return Tokenizer.from_file(str(checkpoint / "tokenizer.json"))


def _opening(checkpoint: Path) -> int:
    opening: int = _tokenizer(checkpoint).token_to_id("<tool_call>")
    return opening


def _stop_tokens(checkpoint: Path) -> list[int]:
    stops: list[int] = json.loads((checkpoint / "generation_config.json").read_text())["eos_token_id"]
    return stops


@contextmanager
def _tensors(checkpoint: Path) -> Iterator[dict[str, mx.array]]:
    """The checkpoint's tensors, written back as they are afterwards."""
    weights = checkpoint / "model.safetensors"
    tensors = dict(mx.load(str(weights)))
    yield tensors
    mx.eval(tensors)
    weights.unlink()  # it is still mapped into memory
    mx.save_safetensors(str(weights), tensors, metadata={"format": "pt"})
