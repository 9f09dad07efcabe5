"""The DFlash drafter: its network as the paper's reference computes it, and its drafts in generations."""

import argparse
import json
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 (its usual name)

from mlx_model.__main__ import main
from mlx_model.commands.shared.memory_check import settle_memory
from mlx_model.config.model_config import Quantization
from mlx_model.decode.drafts.dflash import DFlashDrafter
from mlx_model.engine.loading import load_dflash
from mlx_model.engine.state_keeper import StoredStates
from mlx_model.errors import EngineError
from mlx_model.memory.plan import Wishes
from mlx_model.model import Qwen3Next
from mlx_model.state.disk.tier import DiskTier
from mlx_model.state.draft_context import WatchedLayers
from mlx_model.state.prefix_store import PrefixStore
from tests.support.engine.drafting import Depths, Oracle, asked, drafting_generator, reply
from tests.support.weights.checkpoints import write_checkpoint
from tests.support.weights.drafters import DRAFTER, write_drafter
from tests.support.weights.models import load_tiny

PROMPT = tuple(int(token) for token in np.random.default_rng(4).integers(0, 250, 50))
WINDOWED = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 9}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("target"), seed=21)


@pytest.fixture(scope="module")
def model(target: Path, tmp_path_factory: pytest.TempPathFactory) -> Qwen3Next:
    model = load_tiny(target)
    model.dflash = load_dflash(write_drafter(tmp_path_factory.mktemp("drafter") / "published"), model)
    return model


def normed(x: Tensor, weight: Tensor) -> Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * weight


def rotated(x: Tensor, positions: Tensor, theta: float) -> Tensor:
    """x [heads, n, d], pairs d and d + half."""
    half = x.shape[-1] // 2
    angles = positions[:, None] * theta ** (-torch.arange(half) / half)
    cos, sin = angles.cos(), angles.sin()
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def reference(directory: Path, features: Tensor, block: Tensor, first: int) -> Tensor:
    """The paper's drafter from its published weights, without any cache: features [context, layers · hidden] of
    tokens that begin at position `first`, then a block [n, hidden] of embeddings → hidden states [n,
    hidden]."""
    config: dict[str, Any] = json.loads((directory / "config.json").read_text())
    weights = load_file(directory / "model.safetensors")
    context = normed(features @ weights["fc.weight"].T, weights["hidden_norm.weight"])
    total, count, dim = len(context) + len(block), len(block), config["head_dim"]
    positions = first + torch.arange(total, dtype=torch.float32)
    x = block
    for index, kind in enumerate(config["layer_types"]):

        def w(name: str, index: int = index) -> Tensor:
            return weights[f"layers.{index}.{name}.weight"]

        def heads(y: Tensor) -> Tensor:
            return y.view(len(y), -1, dim).transpose(0, 1)

        normal = normed(x, w("input_layernorm"))
        both = torch.cat([context, normal])
        q = normed(heads(normal @ w("self_attn.q_proj").T), w("self_attn.q_norm"))
        k = normed(heads(both @ w("self_attn.k_proj").T), w("self_attn.k_norm"))
        v = heads(both @ w("self_attn.v_proj").T)
        q = rotated(q, positions[-count:], config["rope_theta"])
        k = rotated(k, positions, config["rope_theta"])
        k, v = (y.repeat_interleave(len(q) // len(k), dim=0) for y in (k, v))
        query, key = torch.arange(len(context), total)[:, None], torch.arange(total)
        seen = torch.ones(count, total, dtype=torch.bool)
        if kind == "sliding_attention":
            seen = (key <= query) & (query - key < config["sliding_window"])
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=seen)
        x = x + attended.transpose(0, 1).reshape(count, -1) @ w("self_attn.o_proj").T
        normal = normed(x, w("post_attention_layernorm"))
        x = x + (F.silu(normal @ w("mlp.gate_proj").T) * (normal @ w("mlp.up_proj").T)) @ w("mlp.down_proj").T
    return normed(x, weights["norm.weight"])


@pytest.mark.parametrize("form", [{}, WINDOWED, {"num_key_value_heads": 1, "head_dim": 32, "rope_theta": 5e5}])
def test_a_block_is_that_of_the_reference(target: Path, tmp_path: Path, form: dict[str, Any]) -> None:
    directory = write_drafter(tmp_path / "drafter", 7, **form)
    model = load_tiny(target)
    network = load_dflash(directory, model)
    draw = np.random.default_rng(8)
    features = draw.standard_normal((1, 40, 128), np.float32)
    block = draw.standard_normal((1, 6, 64), np.float32)
    for first in (0, 13):
        buffers = network.buffers()
        for start, stop in ((0, 17), (17, 18), (18, 40)):
            vectors = network.vectors(mx.array(features[:, start:stop]))
            network.extend(buffers, vectors, first + start)
            hidden = network(mx.array(block), buffers, first + stop)
            expected = reference(
                directory, torch.from_numpy(features[0, :stop]), torch.from_numpy(block[0]), first
            )
            np.testing.assert_allclose(np.array(hidden)[0], expected.numpy(), atol=1e-4, rtol=1e-4)


class Compared(DFlashDrafter):
    """Holds every proposal against a network that is shown the whole text at once."""

    def __init__(self, model: Qwen3Next) -> None:
        super().__init__(model)
        self._target, self.compared, self.text = model, 0, list[int]()

    def begin(self, tokens, state) -> None:
        self.text = list(tokens)
        super().begin(tokens, state)

    def learn(self, tokens) -> None:
        self.text += tokens

    def propose(self, token, depth, sampler):
        drafts = super().propose(token, depth, sampler)
        *before, newest = self.text
        assert newest == token
        cold = self._target.state()
        whole = DFlashDrafter(self._target)
        whole.begin([], cold)
        whole.follow(mx.array(before), self._target.hidden(mx.array([before]), cold))
        assert drafts.tolist() == whole.propose(token, depth, sampler).tolist()
        self.compared += 1
        return drafts


def test_drafts_rest_on_the_whole_text_and_change_no_token(model: Qwen3Next) -> None:
    plain, _ = reply(drafting_generator(model), asked(PROMPT, 60))
    drafter = Compared(model)
    oracle = Oracle([*PROMPT, *plain], 256, 3)
    states = StoredStates(model, PrefixStore(1 << 28))
    generator = drafting_generator(model, drafter, oracle, policy=Depths(5), states=states, chunk=16)
    tokens, _ = reply(generator, asked(PROMPT, 25))
    # It goes on from the last generation's state, and the drafter with it.
    more, finished = reply(generator, asked((*PROMPT, *plain[:26]), 34))
    assert [*tokens, plain[25], *more] == plain
    assert finished.cached_tokens >= len(PROMPT) + 24
    assert drafter.compared > 10


def test_a_restored_state_brings_its_drafter_along(model: Qwen3Next, tmp_path: Path) -> None:
    plain, _ = reply(drafting_generator(model), asked(PROMPT, 40))
    store = PrefixStore(1 << 28, DiskTier(tmp_path, "model", {}))
    first = drafting_generator(
        model, DFlashDrafter(model), policy=Depths(3), states=StoredStates(model, store), chunk=16
    )
    reply(first, asked(PROMPT, 20))
    store.close()
    again = StoredStates(model, PrefixStore(1 << 28, DiskTier(tmp_path, "model", {})))
    drafter = Compared(model)
    tokens, finished = reply(
        drafting_generator(model, drafter, policy=Depths(5), states=again), asked((*PROMPT, *plain[:20]), 20)
    )
    assert tokens == plain[20:]
    assert finished.cached_tokens >= len(PROMPT)
    assert drafter.compared > 5


def test_sampled_replies_are_those_without_drafts(model: Qwen3Next) -> None:
    sampling = {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "repetition_penalty": 1.2, "seed": 3}
    plain, _ = reply(drafting_generator(model), asked(PROMPT, 60, **sampling))
    drafted, finished = reply(
        drafting_generator(model, DFlashDrafter(model), policy=Depths(5)), asked(PROMPT, 60, **sampling)
    )
    assert drafted == plain
    assert finished.drafted_tokens > 30


def test_a_packed_drafter_drafts_nearly_what_the_plain_one_does(target: Path, tmp_path: Path) -> None:
    directory = write_drafter(tmp_path / "drafter", 7)
    model = load_tiny(target)
    features, block = mx.random.normal((1, 20, 128)), mx.random.normal((1, 6, 64))
    results = []
    for packing in (None, Quantization(bits=8, group_size=64)):
        network = load_dflash(directory, model, packing)
        assert (network.fc.matrices[0].packing is None) == (packing is None)
        buffers = network.buffers()
        network.extend(buffers, network.vectors(features), 0)
        results.append(np.array(network(block, buffers, 20)))
    np.testing.assert_allclose(results[1], results[0], atol=0.1)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"architectures": ["DFlash2DraftModel"]}, "its architecture is DFlash2DraftModel"),
        ({"hidden_size": 128}, "made for another model: hidden_size 128"),
        ({"num_target_layers": 48}, "num_target_layers 48"),
        ({"dflash_config": {"mask_token_id": 255, "target_layer_ids": [0, 9]}}, "its target_layer_ids"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, "rope_type yarn"),
        ({"layer_types": ["sliding_attention"] * 2}, "need sliding_window"),
        ({"dflash_config": {**DRAFTER["dflash_config"], "attention_sink_bias": True}}, "attention_sink_bias"),
    ],
)
def test_what_is_no_drafter_for_this_model_is_refused_in_words(
    model: Qwen3Next, tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    with pytest.raises(EngineError, match=said):
        load_dflash(write_drafter(tmp_path / "drafter", **changed), model)


def test_the_commands_take_a_drafter_and_count_its_memory(
    target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = write_drafter(tmp_path / "drafter")

    def generated(*options: str) -> dict[str, Any]:
        command = ["generate", "--model", str(target), "--tokens", "1,2,3,4,5", "--max-tokens", "20"]
        assert main([*command, "--temperature", "0", "--json", *options]) == 0
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        return result

    plain = generated("--draft", "none")
    drafted = generated("--draft", "dflash", "--drafter", str(directory))
    assert drafted["tokens"] == plain["tokens"]
    assert drafted["timings"]["draft_n"] > 0
    assert main(["generate", "--model", str(target), "--tokens", "1", "--draft", "dflash"]) != 0
    assert "--drafter" in capsys.readouterr().err

    arguments = argparse.Namespace(model=target, dtype=None, adapter=None, kv_bits=None, force=False)
    without = settle_memory(arguments, Wishes(1000))
    arguments.drafter = directory
    with_it = settle_memory(arguments, Wishes(1000))
    assert without is not None and with_it is not None
    weights = sum(tensor.nbytes for tensor in load_file(directory / "model.safetensors").values())
    assert with_it.weight_bytes - without.weight_bytes == weights
    # Keys and values of two layers with two heads, and the vectors they are made of.
    assert with_it.kv - without.kv == 1000 * 4 * (2 * 2 * 2 * 16 + 64)


def test_rows_that_decode_together_show_the_drafter_what_each_shows_alone(model: Qwen3Next) -> None:
    prompts, newest = ([1, 2, 3, 4], [5, 6]), [7, 8]
    alone, together = [], []
    for prompt, token in zip(prompts, newest, strict=True):
        for states in (alone, together):
            state = model.state()
            state.watched = WatchedLayers((0, 2))
            model.hidden(mx.array([prompt]), state)
            states.append(state)
        model.hidden(mx.array([[token]]), alone[-1])
    model.side_by_side(together)(mx.array(newest))
    for one, row in zip(alone, together, strict=True):
        assert one.watched is not None and row.watched is not None
        np.testing.assert_allclose(one.watched.take(1), row.watched.take(1), rtol=1e-5, atol=1e-6)
