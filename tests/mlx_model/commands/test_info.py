"""What `info` says, against hand arithmetic for the real model and against real files for a small one."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from mlx_model.__main__ import main
from mlx_model.config.model_config import ModelConfig
from mlx_model.memory.footprint import footprint, recipe_packing
from mlx_model.weights.conversion.convert import convert
from mlx_model.weights.files import list_tensors
from mlx_model.weights.recipes import Recipe
from tests.support.weights.checkpoints import write_checkpoint

# Qwen3-Coder-Next as published.
REFERENCE: dict[str, Any] = {
    "architectures": ["Qwen3NextForCausalLM"],
    "model_type": "qwen3_next",
    "hidden_size": 2048,
    "num_hidden_layers": 48,
    "full_attention_interval": 4,
    "intermediate_size": 5120,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "head_dim": 256,
    "partial_rotary_factor": 0.25,
    "rope_theta": 5000000,
    "rope_scaling": None,
    "max_position_embeddings": 262144,
    "attention_bias": False,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
    "num_experts": 512,
    "num_experts_per_tok": 10,
    "norm_topk_prob": True,
    "moe_intermediate_size": 512,
    "shared_expert_intermediate_size": 512,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "rms_norm_eps": 1e-06,
    "hidden_act": "silu",
    "vocab_size": 151936,
    "tie_word_embeddings": False,
    "eos_token_id": 151645,
    "torch_dtype": "bfloat16",
}


def report(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["info", *arguments, "--json"]) == 0
    parsed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return parsed


@pytest.mark.parametrize(("recipe", "gigabytes"), [("q4", 44.8), ("q8", 84.7)])
def test_the_published_model(
    recipe: str, gigabytes: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(REFERENCE))
    found = report(capsys, "--config", str(config), "--recipe", recipe, "--context", "0")
    assert found["parameters"]["total"] == pytest.approx(79.67e9, rel=0.01)
    assert found["total"]["disk_bytes"] == pytest.approx(gigabytes * 1e9, rel=0.01)
    assert found["total"]["memory_bytes"] == found["total"]["disk_bytes"]
    assert found["kv_bytes_per_token"] == 24 * 1024
    assert found["snapshot_bytes"] == pytest.approx(77e6, rel=0.01)
    assert sum(part["parameters"] for part in found["parts"].values()) == found["parameters"]["total"]
    if recipe == "q4":
        # 2.03 GB of weights and 0.15 GB of state a token.
        assert found["bytes_per_token"] == pytest.approx(2.03e9 + 0.15e9, rel=0.01)
        assert found["roof_tokens_per_second"] == pytest.approx(546e9 / 2.18e9, rel=0.01)
    longer = report(
        capsys, "--config", str(config), "--recipe", recipe, "--context", "100000", "--bandwidth", "400"
    )
    extra = 100_000 * 24 * 1024
    assert longer["bytes_per_token"] - found["bytes_per_token"] == extra
    assert longer["roof_tokens_per_second"] == pytest.approx(400e9 / (found["bytes_per_token"] + extra))
    assert longer["context_bytes"] == extra + found["snapshot_bytes"]


@pytest.mark.parametrize("recipe", Recipe)
@pytest.mark.parametrize(
    "shape", [{}, {"tie_word_embeddings": True, "attention_bias": True, "mlp_only_layers": [1]}]
)
def test_the_forecast_is_what_a_conversion_weighs(
    recipe: Recipe, shape: dict[str, Any], tmp_path: Path
) -> None:
    source = write_checkpoint(tmp_path / "m", mtp=True, dtype=mx.bfloat16, **shape)
    convert(source, tmp_path / "out", recipe)
    entries = list_tensors(tmp_path / "out").values()
    size = footprint(ModelConfig.from_directory(source), recipe_packing(recipe), mtp=True)
    assert size.mtp is not None
    assert size.total.nbytes + size.mtp.nbytes == sum(entry.nbytes for entry in entries)


def test_a_directory_says_what_it_holds_and_which_drafter_is_possible(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = write_checkpoint(tmp_path / "plain", dtype=mx.bfloat16)
    own = write_checkpoint(tmp_path / "own", mtp=True, dtype=mx.bfloat16)
    convert(plain, tmp_path / "grafted", Recipe.Q4, graft_mtp=own)
    assert "no MTP" in report(capsys, "--model", str(plain))["drafter"]
    assert "own" in report(capsys, "--model", str(own))["drafter"]
    grafted = report(capsys, "--model", str(tmp_path / "grafted"))
    assert "grafted from own" in grafted["drafter"]
    forecast = report(capsys, "--model", str(own), "--recipe", "q4")
    assert grafted["total"] == forecast["total"]
    entries = list_tensors(own).values()
    whole = report(capsys, "--model", str(own))
    assert sum(part["disk_bytes"] for part in whole["parts"].values()) == sum(e.nbytes for e in entries)
    assert main(["info", "--model", str(tmp_path / "grafted")]) == 0
    assert "shared expert" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["--context", "-1"], ["--bandwidth", "nan"], ["--recipe", "q5"], []])
def test_wrong_arguments_are_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["info", *(["--config", "config.json"] if wrong else []), *wrong])
    assert stop.value.code == 2
