"""What --model may name, what is found without it, and what fits into memory."""

import json
import os
import re
from pathlib import Path

import pytest

from app.model.catalogue.catalogue import (
    OWN_ARCHITECTURES,
    LocalModel,
    NothingFound,
    ServedModel,
    choose_model,
    directory_for,
    experts_of,
    models_on_disk,
)
from app.model.catalogue.recipes import RECIPES, Experts, judge, suited, usable_memory
from app.model.errors import NoModel
from app.paths import models_directory
from mlx_model.config.family import ARCHITECTURES


def make_model(directory: Path, model_type: str = "qwen3_next", missing: bool = False) -> Path:
    directory.mkdir(parents=True)
    (directory / "config.json").write_text(json.dumps({"model_type": model_type}))
    shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    index = {"weight_map": {"a": shards[0], "b": shards[1]}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))
    for shard in shards[: 1 if missing else 2]:
        (directory / shard).write_bytes(b"0" * 100)
    return directory


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path / "hf" / "hub"


def cached(hub_cache: Path, name: str, **options) -> Path:
    folder = hub_cache / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("abc\n")
    return make_model(folder / "snapshots" / "abc", **options)


def test_a_directory_a_name_a_download_and_a_server(tmp_path: Path, hub_cache: Path):
    directory = make_model(tmp_path / "here")
    own = make_model(models_directory() / "mine")
    snapshot = cached(hub_cache, "somebody/tiny")
    assert choose_model(str(directory)) == LocalModel("here", directory)
    assert choose_model("mine") == LocalModel("mine", own)
    assert choose_model("somebody/tiny") == LocalModel("somebody/tiny", snapshot)
    assert choose_model("http://127.0.0.1:8080") == ServedModel("http://127.0.0.1:8080/v1")
    assert choose_model("HTTPS://h/x/v1/#a/b:c") == ServedModel("https://h/x/v1", "a/b:c")


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("nothing-here", "there is no model nothing-here"),
        ("owner/absent", "tidegate model fetch owner/absent"),
        ("localhost:8080", "write: http://localhost:8080/v1$"),
        ("../..", "config.json"),
        ("http://", "not the address of a server"),
        ("http://h:port/v1", "not the address of a server"),
        ("{tmp}/empty", "config.json"),
        ("{tmp}/half", "1 of 2 weight files are missing"),
        ("{tmp}/file", "is a file"),
    ],
)
def test_what_is_no_model_is_one_sentence(tmp_path: Path, named: str, says: str):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    make_model(tmp_path / "half", missing=True)
    with pytest.raises(NoModel, match=says) as raised:
        choose_model(named.format(tmp=tmp_path))
    assert "\n" not in str(raised.value)


def test_without_a_name_complete_models_are_found_and_our_own_go_first(hub_cache: Path):
    nothing = choose_model("")
    assert isinstance(nothing, NothingFound) and str(models_directory()) in " ".join(nothing.looked_for)
    cached(hub_cache, "other/kind", model_type="llama")
    cached(hub_cache, "somebody/half", missing=True)
    assert choose_model("") == nothing
    snapshot = cached(hub_cache, "somebody/tiny")
    assert choose_model("") == LocalModel("somebody/tiny", snapshot)
    make_model(models_directory() / "x.partial")
    older, newer = make_model(models_directory() / "older"), make_model(directory_for("a/newer"))
    os.utime(older, (1, 1))
    assert choose_model("") == LocalModel("a/newer", newer)
    assert [model.name for model in models_on_disk()] == ["a/newer", "older", "somebody/tiny"]


def test_recipes_fit_the_machines_they_should():
    said = {
        memory: [recipe.judged(memory << 30, "mac").words for recipe in RECIPES[:3]]
        for memory in (8, 64, 96, 128)
    }
    assert said[8] == ["too large"] * 3
    assert said[64][0] == said[96][1] == said[128][2] == "fits"
    assert re.fullmatch(r"with 2\d\d of 512 experts in memory, slower", said[64][2])
    assert "44.8 GB" in judge(RECIPES[0].size, 36 << 30, kind="mac").reason


def test_every_machine_is_offered_what_suits_it():
    titles = {
        memory: best.title if (best := suited(memory << 30, "mac")) else None
        for memory in (4, 8, 16, 24, 36, 48, 64, 96, 128)
    }
    assert titles == {
        4: None,
        8: "Qwen3.5-4B 4-bit",
        16: "Qwen3.5-9B 4-bit",
        24: "Qwen3.5-9B 8-bit",
        36: "Qwen3.6-35B-A3B 4-bit",
        48: "Qwen3.6-35B-A3B 4-bit",
        64: "Coder-Next 4-bit",
        96: "Coder-Next 6-bit",
        128: "Coder-Next 8-bit",
    }


def test_what_is_taken_for_the_engines_own_is_its_own(hub_cache: Path):
    assert set(OWN_ARCHITECTURES) == ARCHITECTURES
    make_model(directory_for("a/sibling"), model_type="qwen3_5")
    coder = cached(hub_cache, "b/coder")
    packed = cached(hub_cache, "c/fp8", model_type="qwen3_5_moe")
    (packed / "config.json").write_text(
        json.dumps({"model_type": "qwen3_5_moe", "quantization_config": {"quant_method": "fp8"}})
    )
    assert [model.name for model in models_on_disk()] == ["a/sibling", "b/coder"]
    assert choose_model("") == LocalModel("b/coder", coder)


def test_whose_experts_may_stay_on_disk() -> None:
    """Those of our own architecture, as config.json has them; anything else has none."""
    model = make_model(models_directory() / "tiny")
    sizes: dict[str, object] = {
        "model_type": "qwen3_next",
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "num_hidden_layers": 4,
        "hidden_size": 64,
        "moe_intermediate_size": 32,
        "quantization": {"bits": 4, "group_size": 64},
    }
    (model / "model.safetensors").write_bytes(bytes(200_000))
    (model / "config.json").write_text(json.dumps(sizes))
    assert experts_of(model) == Experts(8, 2, 8 * 4 * 3 * 64 * 32 * 9 // 16)
    quantization = sizes.pop("quantization")
    wrapper = {"model_type": "qwen3_5_moe", "text_config": sizes, "quantization": quantization}
    (model / "config.json").write_text(json.dumps(wrapper))
    assert experts_of(model) == Experts(8, 2, 8 * 4 * 3 * 64 * 32 * 9 // 16)
    sizes["quantization"] = quantization
    for wrong in ({"model_type": "llama"}, {"num_experts": 0}, {"hidden_size": "wide"}, {"quantization": [1]}):
        (model / "config.json").write_text(json.dumps(sizes | wrong))
        assert experts_of(model) is None


@pytest.mark.parametrize("weights", [10 << 30, 20 << 30, 45 << 30, 200 << 30])
@pytest.mark.parametrize("memory", [16 << 30, 24 << 30, 64 << 30, 256 << 30])
def test_the_limit_that_is_advised_is_enough(weights: int, memory: int) -> None:
    verdict = judge(weights, memory, kind="mac")
    advised = re.search(r"sudo sysctl iogpu.wired_limit_mb=(\d+),", verdict.reason)
    if advised is None:
        assert verdict.fits or usable_memory(memory, "mac", memory - memory // 8) < verdict.needed + (1 << 20)
        return
    raised = int(advised[1]) << 20
    assert not verdict.fits and raised <= memory - memory // 8
    assert usable_memory(memory, "mac", raised) >= verdict.needed
    assert usable_memory(memory, "mac", raised - (2 << 20)) < verdict.needed
