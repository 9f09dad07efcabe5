"""What an adapter is for: a made-up API is learnt from 60 files that use it, and little else is lost."""

import argparse
import difflib
import shutil
from itertools import product
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from mlx_model.__main__ import main
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.engine.loading import load
from mlx_model.model import Qwen3Next
from tests.support.weights.trained_checkpoint import trained_checkpoint, unseen_code

NOUNS = [
    "orders",
    "users",
    "items",
    "parts",
    "notes",
    "tasks",
    "words",
    "rows",
    "pages",
    "marks",
    "bills",
    "goods",
]
HELD_OUT = ["seats", "rooms", "files", "lines"]
VERBS = ["load", "read", "fetch", "list", "gather"]
CALL = "open_vault(path)"


def beginning(verb: str, noun: str) -> str:
    return f"import quarry\n\n\ndef {verb}_{noun}(path):\n    with quarry."


def continued(model: Qwen3Next, tokenizer: Tokenizer, text: str, count: int = 24) -> str:
    state, said = model.state(), []
    logits = model.last_logits(mx.array([tokenizer.encode(text)]), state)
    for _ in range(count):
        said.append(int(mx.argmax(logits)))
        logits = model.last_logits(mx.array([said[-1:]]), state)
    return b"".join(map(tokenizer.bytes_of, said)).decode(errors="replace")


def general_loss(model: Qwen3Next, tokenizer: Tokenizer) -> float:
    """In nats per token, over code that neither the model nor the adapter has seen."""
    total, count = 0.0, 0
    for file in unseen_code()[:4]:
        tokens = tokenizer.encode(file.read_text(encoding="utf-8"))[:1500]
        logits = model.logits(mx.array([tokens[:-1]]), model.state())[0]
        chosen = mx.take_along_axis(logits, mx.array(tokens[1:])[:, None], axis=-1)[:, 0]
        losses = np.array(mx.logsumexp(logits, axis=-1) - chosen)
        total, count = total + float(losses.sum()), count + len(losses)
    return total / count


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_made_up_api_is_learnt_from_its_files(tmp_path: Path) -> None:
    checkpoint = trained_checkpoint()
    tokenizer = Tokenizer.from_directory(checkpoint)
    api, everyday, out = tmp_path / "api", tmp_path / "everyday", tmp_path / "out"
    for folder in (api, everyday):
        folder.mkdir()
    for verb, noun in product(VERBS, NOUNS):
        text = f'{CALL} as vault:\n        return vault.drain("{noun}").collect()\n'
        (api / f"{verb}_{noun}.py").write_text(beginning(verb, noun) + text)
    # Beside it, a little of what the model knows already.
    for module in (argparse, difflib, shutil):
        file = Path(module.__file__)
        (everyday / file.name).write_text(file.read_text(encoding="utf-8")[:12_000])
    options = ["--steps", "200", "--batch", "4", "--length", "128", "--learning-rate", "5e-3"]
    options += ["--targets", "attention,delta-net,shared-expert,experts"]
    arguments = ["tune", "--model", str(checkpoint), "--data", str(api), str(everyday), "--out", str(out)]
    assert main([*arguments, *options]) == 0
    before, after = (load(checkpoint, adapter=adapter, dtype="float32").model for adapter in (None, out))
    asked = [beginning(verb, noun) for verb, noun in product(VERBS[:3], HELD_OUT)]
    assert not any(continued(before, tokenizer, text).startswith(CALL) for text in asked)
    used = sum(continued(after, tokenizer, text).startswith(CALL) for text in asked)
    assert used >= 10, f"{used} of {len(asked)}"
    assert general_loss(after, tokenizer) < 1.02 * general_loss(before, tokenizer)
