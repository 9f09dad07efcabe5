"""What the engine does for Qwen3-Next it does for Qwen3.5's published checkpoints: drafting with their own MTP
layer, states in memory and on disk, experts in part, plans and reports."""

import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_model.__main__ import main
from mlx_model.config.model_config import ModelConfig
from mlx_model.engine.loading import LoadedModel, load
from mlx_model.state.disk.tier import DiskLimits, DiskTier
from mlx_model.state.prefix_store import PrefixStore
from mlx_model.weights.layout import model_items
from tests.support.engine.drafting import asked, assert_cold, reply
from tests.support.weights import forms
from tests.support.weights.checkpoints import DENSE_3_5, SPARSE_3_5, random_tensors, tiny_config

PROMPT = [(7 * place * place + 3 * place) % 90 for place in range(60)]
FAMILY: dict[str, dict[str, Any]] = {"sparse": SPARSE_3_5, "dense": {**DENSE_3_5, "tie_word_embeddings": True}}


@pytest.fixture(scope="module", params=FAMILY)
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    two = {"num_hidden_layers": 2, "full_attention_interval": 2, "vocab_size": 96}
    config = tiny_config(**two, **FAMILY[request.param])
    return forms.published(
        tmp_path_factory.mktemp("published") / "model", config, random_tensors(config, 3, mtp=True)
    )


def stored_in(root: Path) -> PrefixStore:
    return PrefixStore(1 << 28, DiskTier(root, "model", {}, DiskLimits(reserve=0)))


def last_logits(loaded: LoadedModel, tokens: list[int]) -> np.ndarray:
    return np.array(loaded.model.last_logits(mx.array([tokens]), loaded.model.state()))


def test_every_drafter_gives_the_reply_and_the_state_of_plain_decoding(directory: Path) -> None:
    loaded = load(directory, dtype="float32", store=PrefixStore(1 << 28))
    assert loaded.runner == "tidegate" and loaded.lacks == ()
    assert loaded.drafter("auto") == "lookup + mtp"
    plain, _ = reply(load(directory, dtype="float32").generator(draft="none"), asked(PROMPT, 80))
    for mode in ("lookup", "mtp", "auto"):
        tokens, finished = reply(loaded.generator(draft=mode), asked(PROMPT, 80))
        assert tokens == plain
        assert mode != "mtp" or finished.drafted_tokens > 0
        # The reply's last token has not been read.
        state = loaded.states.begin([*PROMPT, *plain])
        assert_cold(loaded.model, [*PROMPT, *plain[:-1]], state)


def test_a_conversation_goes_on_from_memory_and_from_disk(directory: Path, tmp_path: Path) -> None:
    store = stored_in(tmp_path)
    first = load(directory, dtype="float32", store=store)
    said, _ = reply(first.generator(draft="mtp"), asked(PROMPT, 30))
    longer = [*PROMPT, *said, 1, 2, 3]
    expected, cold = reply(load(directory, dtype="float32").generator(), asked(longer, 20))
    warm, finished = reply(first.generator(), asked(longer, 20))
    assert (warm, cold.cached_tokens) == (expected, 0)
    assert finished.cached_tokens == len(PROMPT) + len(said) - 1
    store.close()
    store = stored_in(tmp_path)
    again = load(directory, dtype="float32", store=store)
    warm, finished = reply(again.generator(), asked(longer, 20))
    assert warm == expected and finished.cached_tokens > len(PROMPT)
    store.close()


def test_a_model_with_experts_in_part_is_the_same(directory: Path) -> None:
    if not ModelConfig.from_directory(directory).num_experts:
        pytest.skip("it has no experts")
    whole, part = load(directory, dtype="float32"), load(directory, dtype="float32", expert_slots=4)
    assert part.residency is not None and part.residency.slots == 4
    np.testing.assert_array_equal(last_logits(part, PROMPT), last_logits(whole, PROMPT))
    tokens, _ = reply(part.generator(draft="mtp"), asked(PROMPT, 30))
    assert tokens == reply(whole.generator(draft="none"), asked(PROMPT, 30))[0]
    part.residency.close()


def test_info_and_fit_count_the_text_model(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", "--model", str(directory), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["drafter"] == "MTP, the model's own"
    counted = report["parameters"]["total"] + report["parts"]["mtp"]["parameters"]
    stored = mx.load(str(directory / "model.safetensors"))
    assert counted == sum(tensor.size for name, tensor in stored.items() if ".visual." not in name)
    config = ModelConfig.from_directory(directory)
    assert counted == sum(item.parameters for item in model_items(config, mtp=True))
    for source in (("--model", directory), ("--config", directory / "config.json")):
        assert main(["fit", source[0], str(source[1]), "--memory", "16GB", "--json"]) == 0
        plan = json.loads(capsys.readouterr().out)
        assert plan["fits"] and plan["context"] == config.context_length
