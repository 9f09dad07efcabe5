"""A small Qwen3-Next that has learnt a little Python: unlike random ones it is sure of most tokens, its experts
specialize, and its keys and values are such as training makes them.

Trained by the independent implementation (see `oracle`), once a clone: the result is kept in .cache under a
name that follows from everything it is made of.
"""

import fcntl
import hashlib
import inspect
import json
import shutil
import sys
import sysconfig
from dataclasses import asdict, dataclass
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from mlx_model.chat.tokenizer import Tokenizer
from tests.support.places import CACHE
from tests.support.weights.checkpoints import tiny_config
from tests.support.weights.small_tokenizer import VOCABULARY, write_small_tokenizer

EXPERTS, ACTIVE = 32, 4

_CACHE = CACHE / "trained"
_STANDARD_LIBRARY = Path(sysconfig.get_paths()["stdlib"])
_TRAINED_ON = ("argparse", "ast", "configparser", "dataclasses", "difflib", "inspect", "mailbox", "optparse")
_TRAINED_ON += ("pickle", "shutil", "subprocess", "tarfile", "typing")
_UNSEEN = ("calendar", "csv", "ftplib", "gzip", "netrc", "shelve", "smtplib", "tempfile")


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is put into it."""

    layers: tuple[str, ...]
    steps: int
    batch: int = 4
    length: int = 128
    learning_rate: float = 1e-2


QUICK = Effort(("linear_attention", "full_attention"), 200)
"""Seconds."""
THOROUGH = Effort(("linear_attention", "linear_attention", "linear_attention", "full_attention"), 600)
"""Minutes."""


def unseen_code() -> list[Path]:
    """Files of Python code that no trained checkpoint has seen."""
    return [_STANDARD_LIBRARY / f"{name}.py" for name in _UNSEEN]


def trained_checkpoint(effort: Effort = QUICK) -> Path:
    """The directory of the checkpoint, in Hugging Face form, float32, with tokenizer. Not to be written to.
    Skips the test where the oracle is not installed."""
    pytest.importorskip("torch", reason="the oracle is not installed (ORACLE=0)")
    pytest.importorskip("transformers", reason="the oracle is not installed (ORACLE=0)")
    text = "".join((_STANDARD_LIBRARY / f"{name}.py").read_text(encoding="utf-8") for name in _TRAINED_ON)
    made_of = (text, inspect.getsource(sys.modules[__name__]), repr(asdict(effort)))
    directory = _CACHE / hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:16]
    if directory.exists():
        return directory
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not directory.exists():
            unfinished = _CACHE / f"{directory.name}.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            _train(text, effort, unfinished)
            unfinished.rename(directory)
    return directory


def _train(text: str, effort: Effort, directory: Path) -> None:
    from tests.support.engine.oracle import torch, transformers  # noqa: PLC0415 (it takes seconds)

    write_small_tokenizer(directory)
    tokens = np.array(Tokenizer.from_directory(directory).encode(text))
    stops = json.loads((directory / "generation_config.json").read_text())["eos_token_id"]
    config = tiny_config(
        vocab_size=VOCABULARY,
        eos_token_id=stops[0],
        num_hidden_layers=len(effort.layers),
        layer_types=list(effort.layers),
        num_experts=EXPERTS,
        num_experts_per_tok=ACTIVE,
        moe_intermediate_size=32,
        linear_num_value_heads=2,
    )
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    model = transformers.Qwen3NextForCausalLM(transformers.Qwen3NextConfig(**config)).float()
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.95), weight_decay=0.01)
    for step in range(effort.steps):
        rate = effort.learning_rate * min(1.0, (step + 1) / 10) * max(0.02, 1 - step / effort.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        starts = random.integers(0, len(tokens) - effort.length - 1, effort.batch)
        batch = torch.tensor(np.stack([tokens[start : start + effort.length + 1] for start in starts]))
        logits = model(batch[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    tensors = {name: mx.array(tensor.numpy()) for name, tensor in model.state_dict().items()}
    mx.save_safetensors(str(directory / "model.safetensors"), tensors, metadata={"format": "pt"})
    (directory / "config.json").write_text(json.dumps(config, indent=1))
