"""The gradient of every adapted matrix against transformers with PEFT, and what it does not depend on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_model.engine.loading import load_qwen3_next
from mlx_model.memory.device import prepare_mlx
from mlx_model.tune.adapters.matrices import AdaptedModel
from mlx_model.tune.adapters.published import published
from mlx_model.tune.adapters.targets import USUAL, Kind, Shape, Target, sites
from mlx_model.tune.data.texts import Text
from mlx_model.tune.gradients import Means, Tuner
from mlx_model.tune.losses import Likelihood
from mlx_model.weights.checkpoint import open_checkpoint
from tests.support.engine.tuned_reference import reference_gradients
from tests.support.weights import forms
from tests.support.weights.checkpoints import DENSE_3_5, random_tensors, tiny_config, write_checkpoint

TOLERANCE = 1e-4
"""Of the length of a matrix's gradient."""
SCALE = 2.0


@dataclass(frozen=True)
class Case:
    """A checkpoint as it is given to us, the one that transformers reads, and the shape of the adapter."""

    ours: Path
    theirs: Path
    shape: Shape


def every(kind: Kind = Kind.LORA) -> Shape:
    return Shape(kind, 3, SCALE, tuple(Target) if kind is Kind.LORA else USUAL)


def plain(directory: Path) -> Case:
    path = write_checkpoint(directory / "model", seed=5, mlp_only_layers=[1], full_attention_interval=2)
    return Case(path, path, every())


def dora(directory: Path) -> Case:
    return Case(*(write_checkpoint(directory / "model", seed=6),) * 2, every(Kind.DORA))


def dense(directory: Path) -> Case:
    path = write_checkpoint(directory / "model", seed=7, **DENSE_3_5)
    return Case(path, path, every())


def packed(directory: Path) -> Case:
    """Stacked experts, everything at 4 bits; transformers reads what those bits stand for."""
    config = tiny_config(num_hidden_layers=2, full_attention_interval=2)
    tensors = random_tensors(config, 8)
    setting: dict[str, Any] = {"group_size": 32, "bits": 4}
    stored, block = forms.quantized(
        forms.stacked(config, tensors),
        setting,
        {"mlp.gate": False, "embed_tokens": False, "shared_expert_gate": False},
    )
    meant = dict(tensors)
    for name, tensor in tensors.items():
        kept = ("mlp.gate.weight", "embed_tokens.weight", "shared_expert_gate.weight")
        if tensor.ndim == 2 and "conv1d" not in name and not name.endswith(kept):
            meant[name] = np.array(mx.dequantize(*mx.quantize(mx.array(tensor), **setting), **setting))
    ours = forms.write(directory / "ours", {**config, "quantization": block}, stored)
    return Case(ours, forms.write(directory / "theirs", config, meant), every())


def check(case: Case, length: int, means: list[Means]) -> None:
    prepare_mlx()
    model = load_qwen3_next(open_checkpoint(case.ours), dtype="float32", for_gradients=True)
    adapted = AdaptedModel(model, sites(model.config, case.shape), case.shape)
    random = np.random.default_rng(length)
    tensors = adapted.initial(1)
    for name, tensor in tensors.items():
        # Away from the beginning, where half of the gradients are zero.
        noise = mx.array(random.standard_normal(tensor.shape).astype(np.float32))
        tensors[name] = tensor * (1 + 0.1 * noise) if name.endswith(".m") else tensor + 0.1 * noise
    tokens = random.integers(0, model.config.vocab_size, length).astype(np.uint32)
    counted = random.random(length) < 0.6
    counted[-1] = True
    text = Text(tokens, counted)
    given = {name: np.array(tensor) for name, tensor in published(adapted, tensors).items()}
    named = {name.removeprefix("language_model."): array for name, array in given.items()}
    loss, expected = reference_gradients(case.theirs, named, scale=SCALE, tokens=tokens, counted=counted)
    assert expected.keys() == named.keys()
    for mean in means:
        gradients, ours = Tuner(adapted, Likelihood(), mean).gradients(tensors, [(text,)])
        assert ours == pytest.approx(loss, rel=1e-5)
        found = published(adapted, gradients)
        assert len(found) == len(expected)
        for name, gradient in found.items():
            wanted = expected[name.removeprefix("language_model.")]
            error = float(np.linalg.norm(np.array(gradient) - wanted)) / (float(np.linalg.norm(wanted)) + 1e-12)
            assert error < TOLERANCE, (name, mean, error)


@pytest.mark.parametrize("make", [plain, dora, dense, packed])
def test_gradients_are_those_of_peft(make: Any, tmp_path: Path) -> None:
    case = make(tmp_path)
    check(case, 70, [Means(32, 16), Means(128, 64)])
    check(case, 2, [Means(64, 64)])


@pytest.mark.slow
@pytest.mark.parametrize("make", [plain, dora, dense, packed])
def test_gradients_of_long_texts_are_those_of_peft(make: Any, tmp_path: Path) -> None:
    case = make(tmp_path)
    check(case, 700, [Means(512, 64), Means(256, 256), Means(96, 32)])
    check(case, 3001, [Means(512, 128)])
