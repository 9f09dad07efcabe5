"""The divergence that `bench kl` prints is that of the models that `convert` writes."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_model.__main__ import main
from mlx_model.bench import quantization
from mlx_model.engine.loading import load_qwen3_next
from mlx_model.weights.checkpoint import open_checkpoint
from mlx_model.weights.conversion.convert import convert
from mlx_model.weights.recipes import Recipe
from tests.support.weights.checkpoints import write_checkpoint


def log_probabilities(directory: Path, tokens: list[int]) -> np.ndarray:
    model = load_qwen3_next(open_checkpoint(directory))
    logits = np.array(model.logits(mx.array([tokens]), model.state())[0], dtype=np.float64)
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


@pytest.mark.parametrize("shape", [{}, {"tie_word_embeddings": True, "mlp_only_layers": [0]}])
def test_it_is_the_divergence_of_the_converted_models(
    shape: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantization, "_CHUNK", 48)
    source = write_checkpoint(tmp_path / "m", mtp=True, dtype=mx.bfloat16, **shape)
    tokens = np.random.default_rng(1).integers(0, 256, 120).tolist()
    given = ",".join(map(str, tokens))
    assert main(["bench", "kl", "--model", str(source), "--tokens", given, "--json"]) == 0
    found = {line["recipe"]: line for line in json.loads(capsys.readouterr().out)["recipes"]}
    reference = log_probabilities(source, tokens)
    assert found["bf16"]["mean_kl"] == 0
    for recipe in (Recipe.Q8, Recipe.Q4_DENSE8, Recipe.Q4):
        convert(source, tmp_path / recipe, recipe)
        other = log_probabilities(tmp_path / recipe, tokens)
        divergence = (np.exp(reference) * (reference - other)).sum(-1)
        line = found[recipe]
        assert line["mean_kl"] == pytest.approx(divergence.mean(), rel=0.01)
        assert line["max_kl"] == pytest.approx(divergence.max(), rel=0.01)
        chosen = other[np.arange(119), tokens[1:]]
        assert line["perplexity"] == pytest.approx(np.exp(-chosen.mean()), rel=1e-3)
    assert found["q8"]["mean_kl"] < found["q4-dense8"]["mean_kl"] < found["q4"]["mean_kl"]
    assert main(["bench", "kl", "--model", str(tmp_path / "q4"), "--tokens", given]) == 2
    assert "bfloat16 original" in capsys.readouterr().err
