"""A small random checkpoint with all that a server needs."""

import json
from pathlib import Path
from typing import Any

from tests.support.checkpoints import write_checkpoint
from tests.support.small_tokenizer import VOCABULARY, write_small_tokenizer


def servable_checkpoint(directory: Path, **config: Any) -> Path:
    """Random qwen3_next weights with tokenizer, chat template and generation config, written to `directory`;
    `config` replaces fields of the small config."""
    write_small_tokenizer(directory)
    stops = json.loads((directory / "generation_config.json").read_text())["eos_token_id"]
    return write_checkpoint(directory, **{"vocab_size": VOCABULARY, "eos_token_id": stops[0], **config})
