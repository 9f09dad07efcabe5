"""LoRA and DoRA adapters against mlx-lm, which trains them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx_lm.tuner.utils import load_adapters
from mlx_lm.utils import load_model

from mlx_model.engine.loading import load
from mlx_model.errors import CheckpointError, ConfigError, EngineError
from mlx_model.weights.conversion.convert import convert
from mlx_model.weights.recipes import Recipe
from tests.support.weights import forms
from tests.support.weights.adapters import NO_EXPERTS, change_tensors, write_adapter
from tests.support.weights.checkpoints import (
    DENSE_3_5,
    SPARSE_3_5,
    random_tensors,
    tiny_config,
    write_checkpoint,
)

TOKENS = mx.array([[3, 1, 4, 1, 5, 9, 2, 6, 5, 35, 89, 79] * 3])
EVERYTHING = None
SOME = ["self_attn.k_proj", "self_attn.q_proj", "mlp.switch_mlp.up_proj", "linear_attn.in_proj_ba"]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_checkpoint(tmp_path / "model", seed=8, mlp_only_layers=[1])


def by_mlx_lm(checkpoint: Path, adapter: Path) -> np.ndarray:
    model, _ = load_model(checkpoint)
    load_adapters(model, str(adapter))
    model.eval()
    return np.array(model(TOKENS))


def by_us(checkpoint: Path, adapter: Path | None) -> np.ndarray:
    model = load(checkpoint, adapter=adapter, dtype="float32").model
    return np.array(model.logits(TOKENS, model.state()))


@pytest.mark.parametrize("keys", [EVERYTHING, SOME], ids=["every linear layer", "some"])
@pytest.mark.parametrize("layers", [2, 4])
def test_logits_are_those_of_mlx_lm(
    keys: list[str] | None, layers: int, checkpoint: Path, tmp_path: Path
) -> None:
    adapter = write_adapter(tmp_path / "adapter", checkpoint, keys, layers)
    ours, theirs = by_us(checkpoint, adapter), by_mlx_lm(checkpoint, adapter)
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())
    assert np.abs(ours - by_us(checkpoint, None)).max() > 0.1


@pytest.mark.parametrize("keys", [EVERYTHING, ["linear_attn.in_proj_z", "linear_attn.in_proj_a"]])
@pytest.mark.parametrize("shape", [SPARSE_3_5, DENSE_3_5], ids=["sparse", "dense"])
def test_logits_of_qwen3_5_are_those_of_mlx_lm(
    keys: list[str] | None, shape: dict[str, Any], tmp_path: Path
) -> None:
    config = tiny_config(num_hidden_layers=2, full_attention_interval=2, **shape)
    checkpoint = forms.published(tmp_path / "model", config, random_tensors(config, 8))
    adapter = write_adapter(tmp_path / "adapter", checkpoint, keys, 2)
    ours, theirs = by_us(checkpoint, adapter), by_mlx_lm(checkpoint, adapter)
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())
    assert np.abs(ours - by_us(checkpoint, None)).max() > 0.1


@pytest.mark.parametrize("bits", [None, 4])
def test_dora_is_that_of_mlx_lm(bits: int | None, checkpoint: Path, tmp_path: Path) -> None:
    if bits is not None:
        config = tiny_config(mlp_only_layers=[1])
        tensors = forms.stacked(config, random_tensors(config, 8))
        packed, block = forms.quantized(tensors, {"group_size": 32, "bits": bits, "mode": "affine"})
        checkpoint = forms.write(tmp_path / "packed", {**config, "quantization": block}, packed)
    adapter = write_adapter(tmp_path / "adapter", checkpoint, NO_EXPERTS, kind="dora")
    ours, theirs = by_us(checkpoint, adapter), by_mlx_lm(checkpoint, adapter)
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())
    assert np.abs(ours - by_us(checkpoint, None)).max() > 0.1


def test_our_own_layout_takes_the_same_adapter(tmp_path: Path) -> None:
    original = write_checkpoint(tmp_path / "original", seed=8, dtype=mx.bfloat16)
    adapter = write_adapter(tmp_path / "adapter", original, SOME)
    convert(original, tmp_path / "fused", Recipe.BF16)
    ours, expected = by_us(tmp_path / "fused", adapter), by_us(original, adapter)
    np.testing.assert_allclose(ours, expected, atol=1e-6 * np.abs(expected).max())


def test_a_foreign_model_takes_an_adapter_through_mlx_lm(checkpoint: Path, tmp_path: Path) -> None:
    from mlx_model.engine.mlx_lm_model import load_mlx_lm  # noqa: PLC0415

    adapter = write_adapter(tmp_path / "adapter", checkpoint, SOME)
    model = load_mlx_lm(checkpoint, "qwen3_next", dtype=mx.float32, adapter=adapter)
    np.testing.assert_array_equal(np.array(model.logits(TOKENS, model.state())), by_mlx_lm(checkpoint, adapter))


def spoil_config(**fields: Any) -> Callable[[Path], None]:
    def spoil(adapter: Path) -> None:
        path = adapter / "adapter_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return spoil


def spoil_tensors(change: Callable[[dict[str, mx.array]], None]) -> Callable[[Path], None]:
    return lambda adapter: change_tensors(adapter, change)


NAME = "model.layers.3.self_attn.k_proj"


@pytest.mark.parametrize(
    ("spoil", "kind", "said"),
    [
        (spoil_config(fine_tune_type="full"), ConfigError, "full"),
        (spoil_config(fine_tune_type="dora"), CheckpointError, r"\.m\b"),
        (spoil_config(lora_parameters={"rank": 3}), ConfigError, "scale"),
        (lambda adapter: (adapter / "adapter_config.json").unlink(), CheckpointError, "adapter_config.json"),
        (lambda adapter: (adapter / "adapters.safetensors").unlink(), CheckpointError, "adapters.safetensors"),
        (spoil_tensors(lambda tensors: tensors.pop(f"{NAME}.lora_b")), CheckpointError, f"{NAME}.lora_b"),
        (
            spoil_tensors(lambda tensors: tensors.update({f"{NAME}.lora_a": mx.zeros((65, 3))})),
            CheckpointError,
            f"{NAME}.lora_a",
        ),
        (
            spoil_tensors(lambda tensors: tensors.update({"model.layers.9.mlp.gate.lora_a": mx.zeros((1, 1))})),
            CheckpointError,
            "model.layers.9",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    spoil: Callable[[Path], None],
    kind: type[EngineError],
    said: str,
    checkpoint: Path,
    tmp_path: Path,
) -> None:
    adapter = write_adapter(tmp_path / "adapter", checkpoint, SOME)
    spoil(adapter)
    with pytest.raises(kind, match=said):
        load(checkpoint, adapter=adapter)
