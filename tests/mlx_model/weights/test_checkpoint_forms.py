"""The same model in every form a checkpoint can have gives the same logits."""

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx_lm.utils import load_model

from mlx_model.engine.loading import load_qwen3_next
from mlx_model.errors import CheckpointError
from mlx_model.weights.checkpoint import open_checkpoint
from mlx_model.weights.conversion.convert import convert
from mlx_model.weights.recipes import Recipe
from tests.support.weights import forms
from tests.support.weights.checkpoints import random_tensors, tiny_config, write_tensors

CONFIG = tiny_config(mlp_only_layers=[1], intermediate_size=128)
TOKENS = mx.array([[3, 1, 4, 1, 5, 9, 2, 6, 5, 35, 89, 79]])


@pytest.fixture(scope="module")
def tensors() -> forms.Tensors:
    """Values that bfloat16 and float16 both hold exactly, so that forms of any type agree bit for bit."""
    exact = {}
    for name, tensor in random_tensors(CONFIG, seed=7, mtp=True).items():
        rounded = np.array(mx.array(tensor).astype(mx.bfloat16).astype(mx.float32))
        exact[name] = np.where(np.abs(rounded) < 2**-14, 0, rounded).astype(np.float32)
    return exact


def logits(directory: Path) -> np.ndarray:
    model = load_qwen3_next(open_checkpoint(directory), dtype="float32")
    hidden = model.hidden(TOKENS, model.state())
    assert model.mtp is not None
    drafted = model.mtp(model.embed(TOKENS), hidden, model.mtp_kv())
    return np.array(mx.concatenate([model.head(hidden), model.head(drafted)]))


@pytest.fixture(scope="module")
def expected(tensors: forms.Tensors, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    return logits(forms.write(tmp_path_factory.mktemp("original") / "m", CONFIG, tensors))


def with_rope_parameters() -> dict[str, Any]:
    config = {key: value for key, value in CONFIG.items() if not key.startswith(("rope_", "partial_"))}
    parameters = {"rope_type": "default", "rope_theta": 5000000, "partial_rotary_factor": 0.25}
    return {**config, "rope_parameters": parameters, "dtype": "float32"}


@pytest.mark.parametrize(
    "form",
    ["packed", "stacked", "norms-forgotten", "norms-and-convolution-forgotten", "mtp-norms-forgotten"],
)
def test_layouts_agree_bit_for_bit(
    form: str, tensors: forms.Tensors, expected: np.ndarray, tmp_path: Path
) -> None:
    config = CONFIG
    if form == "packed":
        config, tensors = with_rope_parameters(), forms.packed(CONFIG, tensors)
    else:
        original = tensors
        tensors = forms.stacked(
            CONFIG,
            tensors,
            shift=form in ("stacked", "mtp-norms-forgotten"),
            turn=form != "norms-and-convolution-forgotten",
        )
        if form == "mtp-norms-forgotten":
            forgotten = [n for n in tensors if n.startswith("mtp.") and n.endswith(forms.OFFSET_NORMS)]
            tensors |= {name: original[name] for name in forgotten}
    np.testing.assert_array_equal(logits(forms.write(tmp_path / "m", config, tensors)), expected)


@pytest.mark.parametrize(("dtype", "shards"), [(mx.bfloat16, 3), (mx.float16, 1), (mx.float32, 2)])
def test_types_and_shards_agree_bit_for_bit(
    dtype: mx.Dtype, shards: int, tensors: forms.Tensors, expected: np.ndarray, tmp_path: Path
) -> None:
    directory = forms.write(tmp_path / "m", CONFIG, {})
    (directory / "model.safetensors").unlink()
    write_tensors(directory, tensors, dtype=dtype, shards=shards)
    np.testing.assert_array_equal(logits(directory), expected)


def test_the_fused_layout_agrees_bit_for_bit(
    tensors: forms.Tensors, expected: np.ndarray, tmp_path: Path
) -> None:
    source = forms.write(tmp_path / "m", CONFIG, tensors)
    convert(source, tmp_path / "fused", Recipe.BF16, shard_bytes=300_000)
    assert len(list((tmp_path / "fused").glob("*.safetensors"))) > 3
    np.testing.assert_array_equal(logits(tmp_path / "fused"), expected)


PACKINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "4 bits, routers 8": ({"group_size": 64, "bits": 4}, {".gate": {"group_size": 64, "bits": 8}}),
    "8 bits": ({"group_size": 64, "bits": 8}, {}),
    "every module its own": (
        {"group_size": 32, "bits": 4},
        {
            "switch_mlp.up_proj": {"group_size": 64, "bits": 6},
            "in_proj_ba": False,
            "k_proj": {"group_size": 32, "bits": 8},
            "v_proj": False,
            "shared_expert.gate_proj": {"group_size": 64, "bits": 3},
            "embed_tokens": {"group_size": 32, "bits": 5},
            "lm_head": {"group_size": 32, "bits": 2},
        },
    ),
    "mxfp4": ({"group_size": 32, "bits": 4, "mode": "mxfp4"}, {"mlp.gate": {"group_size": 64, "bits": 8}}),
    "nvfp4": ({"group_size": 16, "bits": 4, "mode": "nvfp4"}, {}),
    "mxfp8": ({"group_size": 32, "bits": 8, "mode": "mxfp8"}, {}),
}


@pytest.mark.parametrize("packing", PACKINGS)
def test_quantized_conversions_agree_with_mlx_lm(packing: str, tensors: forms.Tensors, tmp_path: Path) -> None:
    main = {name: tensor for name, tensor in tensors.items() if not name.startswith("mtp.")}
    arrays, block = forms.quantized(forms.stacked(CONFIG, main), *PACKINGS[packing])
    directory = forms.write(tmp_path / "m", {**CONFIG, "quantization": block}, arrays)
    reference, _ = load_model(directory)
    wanted = np.array(reference(TOKENS))
    model = load_qwen3_next(open_checkpoint(directory), dtype="float32")
    got = np.array(model.logits(TOKENS, model.state()))
    assert np.abs(got - wanted).max() <= 1e-4 * np.abs(wanted).max()
    np.testing.assert_array_equal(got.argmax(-1), wanted.argmax(-1))


@pytest.mark.parametrize(("recipe", "bits"), [(Recipe.Q4, 4), (Recipe.Q8, 8)])
def test_converting_the_original_equals_fusing_its_conversion(
    recipe: Recipe, bits: int, tensors: forms.Tensors, tmp_path: Path
) -> None:
    eight = {"group_size": 64, "bits": 8}
    arrays, block = forms.quantized(
        forms.stacked(CONFIG, tensors),
        {"group_size": 64, "bits": bits},
        {"mlp.gate": eight, "shared_expert_gate": eight},
        mx.bfloat16,
    )
    theirs = forms.write(tmp_path / "theirs", {**CONFIG, "quantization": block}, arrays)
    convert(theirs, tmp_path / "fused", recipe)
    convert(forms.write(tmp_path / "original", CONFIG, tensors), tmp_path / "ours", recipe)
    fused = dict(open_checkpoint(tmp_path / "fused").tensors())
    ours = dict(open_checkpoint(tmp_path / "ours").tensors())
    assert fused.keys() == ours.keys()
    assert all(mx.array_equal(fused[name], ours[name]).item() for name in ours)
    np.testing.assert_array_equal(logits(theirs), logits(tmp_path / "fused"))


def test_norms_that_are_neither_are_refused(tensors: forms.Tensors, tmp_path: Path) -> None:
    half = {
        name: tensor - 0.5 if name.endswith(forms.OFFSET_NORMS) else tensor
        for name, tensor in forms.stacked(CONFIG, tensors).items()
    }
    with pytest.raises(CheckpointError, match="neither weights"):
        open_checkpoint(forms.write(tmp_path / "m", CONFIG, half))
