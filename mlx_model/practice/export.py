"""A training's weights as a checkpoint: first in Hugging Face form, then converted to the engine's layout."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import mlx.core as mx
from tokenizers import Tokenizer

from mlx_model.chat.prompt import KNOWS_TOOLS
from mlx_model.errors import ConfigError
from mlx_model.practice.training.run_folder import RunFolder, shape_of
from mlx_model.weights.conversion.convert import Conversion, convert
from mlx_model.weights.recipes import Recipe

BEGIN, END = "<|endoftext|>", "<|im_end|>"
TEMPLATE = Path(__file__).with_name("chat_template.jinja")
COMPANIONS = ("tokenizer.json", TEMPLATE.name)
"""What a training's folder and a checkpoint both hold, as it is."""

SAMPLING: dict[str, Any] = {"do_sample": False}
"""The checkpoint's own sampling: it is greedy, since a small model's second choice is rarely right."""


def export(run: Path, out: Path, recipe: Recipe) -> Conversion:
    """Writes the averaged weights of `run` as a checkpoint of the engine's own layout at `out`, which must not
    exist. Raises ConfigError and CheckpointError."""
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "hugging-face"
        export_plain(RunFolder(run), plain)
        return convert(plain, out, recipe)


def export_plain(run: RunFolder, directory: Path) -> None:
    """Writes the averaged weights in Hugging Face form, float32; raises ConfigError."""
    state = run.load()
    directory.mkdir(parents=True)
    for name in COMPANIONS:
        try:
            shutil.copyfile(run.path / name, directory / name)
        except OSError as error:
            raise ConfigError(f"{run.path / name} cannot be copied: {error.strerror or error}.") from None
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    begin, end = (tokenizer.token_to_id(token) for token in (BEGIN, END))
    if begin is None or end is None:
        raise ConfigError(f"{run.path / 'tokenizer.json'} has no {BEGIN} or no {END}.")
    tensors = {name: mx.array(weight.float().numpy()) for name, weight in state["average"].items()}
    mx.save_safetensors(str(directory / "model.safetensors"), tensors, metadata={"format": "pt"})
    files = {
        "config.json": shape_of(state).config(begin, end, "float32"),
        "generation_config.json": {"eos_token_id": end, **SAMPLING},
        "tokenizer_config.json": {
            **{"tokenizer_class": "Qwen2Tokenizer", "eos_token": END, "pad_token": BEGIN},
            # The template names no tools: the model knows the workspace's.
            KNOWS_TOOLS: True,
        },
    }
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
