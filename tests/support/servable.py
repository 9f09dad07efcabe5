"""A small random checkpoint with all that a server needs."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx

from tests.support.checkpoints import write_checkpoint
from tests.support.small_tokenizer import VOCABULARY, write_small_tokenizer


def servable_checkpoint(directory: Path, **config: Any) -> Path:
    """Random qwen3_next weights with tokenizer, chat template and generation config, written to `directory`;
    `config` replaces fields of the small config."""
    write_small_tokenizer(directory)
    stops = json.loads((directory / "generation_config.json").read_text())["eos_token_id"]
    return write_checkpoint(directory, **{"vocab_size": VOCABULARY, "eos_token_id": stops[0], **config})


def make_endless(checkpoint: Path) -> Path:
    """Give the stop tokens a logit of 0 always: among random ones that is never one of the 40 best, so a reply
    goes on until something else ends it."""
    stops = json.loads((checkpoint / "generation_config.json").read_text())["eos_token_id"]
    weights = checkpoint / "model.safetensors"
    tensors = dict(mx.load(str(weights)))
    head = tensors["lm_head.weight"]
    head[mx.array(stops)] = 0
    mx.eval(tensors)
    weights.unlink()  # it is still mapped into memory
    mx.save_safetensors(str(weights), tensors, metadata={"format": "pt"})
    return checkpoint
