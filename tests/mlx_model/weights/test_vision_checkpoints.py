"""Qwen3.5 as published and as converted, with a vision encoder beside the text model: the logits are those of
the text model alone, which tests/mlx_model/test_model.py holds against transformers."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx_lm.utils import load_model

from mlx_model.config.model_config import ModelConfig, architecture
from mlx_model.errors import CheckpointError, ConfigError
from mlx_model.train.head import stored_head
from mlx_model.train.linked import write_linked
from mlx_model.weights.checkpoint import open_checkpoint
from mlx_model.weights.conversion.convert import convert
from mlx_model.weights.recipes import Recipe
from tests.support.weights import forms
from tests.support.weights.checkpoints import (
    DENSE_3_5,
    SPARSE_3_5,
    in_vision_wrapper,
    random_tensors,
    tiny_config,
)
from tests.support.weights.models import load_tiny

TWO = {"num_hidden_layers": 2, "full_attention_interval": 2, "intermediate_size": 128}
TOKENS = mx.array([[3, 1, 4, 1, 5, 9, 2, 6, 5, 35, 89, 79]])


@pytest.fixture(scope="module", params=["sparse", "dense, tied"])
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    shape = SPARSE_3_5 if request.param == "sparse" else {**DENSE_3_5, "tie_word_embeddings": True}
    return tiny_config(**TWO, **shape)


@pytest.fixture(scope="module")
def tensors(config: dict[str, Any]) -> forms.Tensors:
    """Values that bfloat16 holds exactly."""
    return {
        name: np.array(mx.array(tensor).astype(mx.bfloat16).astype(mx.float32))
        for name, tensor in random_tensors(config, seed=7, mtp=True).items()
    }


def logits(directory: Path, *, mtp: bool = True) -> np.ndarray:
    """Of the model, and of the MTP layer."""
    model = load_tiny(directory)
    hidden = model.hidden(TOKENS, model.state())
    if not mtp:
        return np.array(model.head(hidden))
    assert model.mtp is not None
    drafted = model.mtp(model.embed(TOKENS), hidden, model.mtp_kv())
    return np.array(mx.concatenate([model.head(hidden), model.head(drafted)]))


@pytest.fixture(scope="module")
def expected(
    config: dict[str, Any], tensors: forms.Tensors, tmp_path_factory: pytest.TempPathFactory
) -> np.ndarray:
    return logits(forms.write(tmp_path_factory.mktemp("text") / "m", config, tensors))


def by_mlx(config: dict[str, Any], tensors: forms.Tensors, **steps: bool) -> forms.Tensors:
    return forms.wrapped(forms.stacked(config, tensors, **steps), by_mlx=True)


def test_every_form_agrees_bit_for_bit(
    config: dict[str, Any], tensors: forms.Tensors, expected: np.ndarray, tmp_path: Path
) -> None:
    wrapper = in_vision_wrapper(config)
    original = forms.published(tmp_path / "published", config, tensors)
    np.testing.assert_array_equal(logits(original), expected)
    converted = forms.write(tmp_path / "mlx", wrapper, by_mlx(config, tensors))
    np.testing.assert_array_equal(logits(converted), expected)
    forgotten = forms.write(tmp_path / "forgotten", wrapper, by_mlx(config, tensors, shift=False))
    np.testing.assert_array_equal(logits(forgotten), expected)
    for name, source in (("a", original), ("b", converted)):
        convert(source, tmp_path / name, Recipe.BF16)
        np.testing.assert_array_equal(logits(tmp_path / name), expected)
        assert "vision_config" not in json.loads((tmp_path / name / "config.json").read_text())


def test_the_vision_encoders_files_need_not_be_there(
    config: dict[str, Any], tensors: forms.Tensors, expected: np.ndarray, tmp_path: Path
) -> None:
    original = forms.published(tmp_path / "m", config, tensors)
    names = mx.load(str(original / "model.safetensors")).keys()
    weight_map = {name: "absent" if ".visual." in name else "model" for name in names}
    index = {"weight_map": {name: f"{file}.safetensors" for name, file in weight_map.items()}}
    (original / "model.safetensors.index.json").write_text(json.dumps(index))
    np.testing.assert_array_equal(logits(original), expected)


def test_a_published_mtp_layer_is_grafted_onto_a_conversion_without_one(
    config: dict[str, Any], tensors: forms.Tensors, expected: np.ndarray, tmp_path: Path
) -> None:
    """MLX conversions leave the layer out, and it is published by itself."""
    for name, shift in (("shifted", True), ("raw", False)):
        stacked = forms.stacked(config, tensors, shift=shift)
        trunk = {name: tensor for name, tensor in stacked.items() if not name.startswith("mtp.")}
        layer = {name.removeprefix("mtp."): stacked[name] for name in stacked.keys() - trunk.keys()}
        model = forms.write(
            tmp_path / name / "model", in_vision_wrapper(config), forms.wrapped(trunk, by_mlx=True)
        )
        alone = {"model_type": "qwen3_5_mtp", "block_size": 3, "text_config": config}
        drafter = forms.write(tmp_path / name / "drafter", alone, layer)
        with pytest.raises(ConfigError, match="graft-mtp"):
            architecture(drafter)
        convert(model, tmp_path / name / "both", Recipe.BF16, graft_mtp=drafter)
        np.testing.assert_array_equal(logits(tmp_path / name / "both"), expected)


def test_a_packed_mtp_layer_stays_as_it_is_under_any_recipe(
    config: dict[str, Any], tensors: forms.Tensors, tmp_path: Path
) -> None:
    stacked = forms.stacked(config, tensors)
    trunk = {name: tensor for name, tensor in stacked.items() if not name.startswith("mtp.")}
    layer = {name.removeprefix("mtp."): stacked[name] for name in stacked.keys() - trunk.keys()}
    arrays, block = forms.quantized(layer, {"group_size": 64, "bits": 4})
    model = forms.write(tmp_path / "model", in_vision_wrapper(config), forms.wrapped(trunk, by_mlx=True))
    alone = {"model_type": "qwen3_5_mtp", "text_config": config, "quantization": block}
    drafter = forms.write(tmp_path / "drafter", alone, arrays)
    convert(model, tmp_path / "both", Recipe.Q8, graft_mtp=drafter)
    both = open_checkpoint(tmp_path / "both")
    assert both.quantization["mtp.fc"].bits == 4 and both.quantization["model.embed_tokens"].bits == 8
    assert np.isfinite(logits(tmp_path / "both")).all()


def test_a_trained_mtp_layer_lies_beside_the_one_it_replaces(
    config: dict[str, Any], tensors: forms.Tensors, expected: np.ndarray, tmp_path: Path
) -> None:
    wrong = {name: 0 * tensor if name == "mtp.fc.weight" else tensor for name, tensor in tensors.items()}
    source = forms.write(tmp_path / "m", in_vision_wrapper(config), by_mlx(config, wrong))
    checkpoint = open_checkpoint(source)
    layer = stored_head(checkpoint) | {"mtp.fc.weight": mx.array(tensors["mtp.fc.weight"])}
    write_linked(checkpoint, layer, checkpoint.config.rope_theta, None, tmp_path / "trained")
    np.testing.assert_array_equal(logits(tmp_path / "trained"), expected)


PACKINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "4 bits, routers 8": (
        {"group_size": 64, "bits": 4},
        {"mlp.gate": {"group_size": 64, "bits": 8}, "shared_expert_gate": {"group_size": 64, "bits": 8}},
    ),
    "projections of their own": (
        {"group_size": 32, "bits": 4},
        {
            "in_proj_b": False,
            "in_proj_a": {"group_size": 32, "bits": 8},
            "in_proj_z": {"group_size": 64, "bits": 6},
        },
    ),
}


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_quantized_conversion_agrees_with_mlx_lm(
    packing: str, config: dict[str, Any], tensors: forms.Tensors, tmp_path: Path
) -> None:
    trunk = {name: tensor for name, tensor in tensors.items() if not name.startswith("mtp.")}
    arrays, block = forms.quantized(by_mlx(config, trunk), *PACKINGS[packing])
    directory = forms.write(tmp_path / "m", {**in_vision_wrapper(config), "quantization": block}, arrays)
    reference, _ = load_model(directory)
    wanted = np.array(reference(TOKENS))
    got = logits(directory, mtp=False)
    assert np.abs(got - wanted).max() <= 1e-4 * np.abs(wanted).max()
    np.testing.assert_array_equal(got.argmax(-1), wanted.argmax(-1))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"attn_output_gate": False}, "attn_output_gate"),
        ({"output_gate_type": "sigmoid"}, "output_gate_type"),
        ({"model_type": "qwen4_exp_text"}, "qwen4_exp"),
        ({"intermediate_size": 0, "moe_intermediate_size": 0}, "intermediate_size"),
        ({"rope_parameters": {"rope_type": "longrope", "rope_theta": 1e7}}, "longrope"),
    ],
)
def test_what_the_mathematics_does_not_cover_is_refused_by_name(
    change: dict[str, Any], said: str, config: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=said):
        ModelConfig.from_dict(in_vision_wrapper({**config, **change}))
    with pytest.raises(ConfigError, match="text_config"):
        ModelConfig.from_dict({**in_vision_wrapper(config), "text_config": []})


def test_an_unknown_tensor_is_named_as_it_is_stored(
    config: dict[str, Any], tensors: forms.Tensors, tmp_path: Path
) -> None:
    stored = forms.wrapped(tensors) | {"model.language_model.layers.0.extra.weight": np.ones(4, np.float32)}
    with pytest.raises(CheckpointError, match=r"model\.language_model\.layers\.0\.extra"):
        open_checkpoint(forms.write(tmp_path / "m", in_vision_wrapper(config), stored))
