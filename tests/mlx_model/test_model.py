"""The model's mathematics against transformers in float32, and against itself in every chunking."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_model import model
from mlx_model.config.model_config import ModelConfig
from mlx_model.layers.rotary import Rotary
from mlx_model.model import Qwen3Next
from tests.support.engine.oracle import Reference, turned_by_transformers
from tests.support.weights.checkpoints import (
    DENSE_3_5,
    ROTARY,
    SPARSE_3_5,
    random_tensors,
    tiny_config,
    write_checkpoint,
)
from tests.support.weights.models import load_tiny

# Largest difference of a logit allowed, as a share of the largest logit.
BOUND = 1e-5

YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}

SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "one key head for four value heads": {"linear_num_key_heads": 1, "linear_num_value_heads": 4},
    "a key head each": {"linear_num_key_heads": 4, "linear_num_value_heads": 4},
    "value heads wider than key heads": {"linear_key_head_dim": 16, "linear_value_head_dim": 64},
    "one kv head": {"num_attention_heads": 8, "num_key_value_heads": 1, "head_dim": 16},
    "half of each head rotates": {"partial_rotary_factor": 0.5, "rope_theta": 10000.0},
    "short convolution": {"linear_conv_kernel_dim": 2},
    "all experts chosen": {"num_experts": 4, "num_experts_per_tok": 4},
    "weights not normalized": {"norm_topk_prob": False},
    "tied": {"tie_word_embeddings": True},
    "attention bias": {"attention_bias": True},
    "dense layers by name": {"mlp_only_layers": [0, 3]},
    "dense layers by step": {"decoder_sparse_step": 2},
    "attention first": {"layer_types": ["full_attention", "linear_attention"] * 2},
    "yarn": {"rope_scaling": YARN, "max_position_embeddings": 256},
    "yarn in rope_parameters": {
        "rope_scaling": None,
        "rope_parameters": {
            **YARN,
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.5,
            "beta_fast": 16.0,
            "beta_slow": 2.0,
            "attention_factor": 1.25,
        },
        "max_position_embeddings": 256,
    },
    "DeltaNet alone": {"num_hidden_layers": 1, "layer_types": ["linear_attention"]},
    "Qwen3.5, sparse": SPARSE_3_5,
    "Qwen3.5, dense, three value heads for a key head": {**DENSE_3_5, "linear_num_value_heads": 6},
    "Qwen3.5, dense, tied": {**DENSE_3_5, "tie_word_embeddings": True, "attention_bias": True},
    "Qwen3.5, yarn": {**DENSE_3_5, "rope_parameters": {**ROTARY, **YARN}, "max_position_embeddings": 256},
}


def assert_close(ours: np.ndarray, theirs: np.ndarray, bound: float = BOUND) -> None:
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= bound * np.abs(theirs).max()
    np.testing.assert_array_equal(ours.argmax(-1), theirs.argmax(-1))


def logits(model: Qwen3Next, tokens: Sequence[int], chunks: Sequence[int]) -> np.ndarray:
    """[n, vocabulary], computed chunk by chunk."""
    state, done, parts = model.state(), 0, []
    for size in chunks:
        parts.append(np.array(model.logits(mx.array([tokens[done : done + size]]), state)[0]))
        done += size
    assert done == len(tokens) == state.length
    return np.concatenate(parts)


def random_tokens(count: int, seed: int = 0) -> list[int]:
    return [int(token) for token in np.random.default_rng(seed).integers(0, 256, count)]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_logits_are_those_of_transformers(shape: dict[str, Any], tmp_path: Path) -> None:
    directory = write_checkpoint(tmp_path, seed=1, **shape)
    tokens = random_tokens(150)
    theirs = Reference(directory).logits(tokens)
    model = load_tiny(directory)
    assert_close(logits(model, tokens, [150]), theirs)
    assert_close(logits(model, tokens, [1, 2, 3, 1, 1, 70, 64, 8]), theirs)


@pytest.mark.parametrize("count", range(1, 8))
def test_sequences_about_as_long_as_the_convolution(count: int, pair: Callable[[], Any]) -> None:
    model, reference = pair()
    tokens = random_tokens(count, seed=count)
    theirs = reference.logits(tokens)
    assert_close(logits(model, tokens, [count]), theirs)
    assert_close(logits(model, tokens, [1] * count), theirs)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], tuple[Qwen3Next, Reference]]:
    """One small model, as we and as transformers run it."""

    @cache
    def load() -> tuple[Qwen3Next, Reference]:
        directory = write_checkpoint(tmp_path_factory.mktemp("model"), seed=2)
        return load_tiny(directory), Reference(directory)

    return load


@given(cuts=st.sets(st.integers(1, 299), max_size=20), seed=st.integers(0, 3))
@settings(max_examples=6, deadline=None)
def test_any_chunking_equals_one_pass(
    pair: Callable[[], tuple[Qwen3Next, Reference]], cuts: set[int], seed: int
) -> None:
    model, _ = pair()
    tokens = random_tokens(300, seed)
    bounds = [0, *sorted(cuts), 300]
    chunks = [b - a for a, b in pairwise(bounds)]
    assert_close(logits(model, tokens, chunks), logits(model, tokens, [300]))


@pytest.mark.slow
@pytest.mark.parametrize("size", range(1, 301))
def test_every_chunk_length_equals_transformers(
    pair: Callable[[], tuple[Qwen3Next, Reference]], size: int
) -> None:
    model, reference = pair()
    tokens = random_tokens(300)
    chunks = [size] * (300 // size) + ([300 % size] if 300 % size else [])
    assert_close(logits(model, tokens, chunks), reference.logits(tokens))


shapes = st.fixed_dictionaries(
    {
        "family": st.sampled_from([SPARSE_3_5, DENSE_3_5]),
        "seed": st.integers(0, 99),
        "layer_types": st.lists(
            st.sampled_from(["linear_attention", "full_attention"]), min_size=1, max_size=5
        ),
        "hidden_size": st.sampled_from([32, 64, 96]),
        "heads": st.sampled_from([(1, 1), (2, 1), (4, 2), (6, 3), (3, 1)]),
        "head_dim": st.sampled_from([16, 32, 64]),
        "linear_heads": st.sampled_from([(1, 1), (2, 2), (1, 3), (2, 4), (2, 6)]),
        "linear_key_head_dim": st.sampled_from([32, 64]),
        "linear_value_head_dim": st.sampled_from([16, 32, 64]),
        "linear_conv_kernel_dim": st.integers(2, 6),
        "num_experts_per_tok": st.integers(1, 8),
        "attention_bias": st.booleans(),
        "tie_word_embeddings": st.booleans(),
        "rms_norm_eps": st.sampled_from([1e-6, 1e-5]),
    }
)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@given(shape=shapes, tokens=st.integers(1, 200))
@settings(max_examples=150, deadline=None)
def test_qwen3_5_of_any_shape_is_that_of_transformers(
    tmp_path_factory: pytest.TempPathFactory, shape: dict[str, Any], tokens: int
) -> None:
    shape = dict(shape)
    family, heads, linear_heads = (shape.pop(name) for name in ("family", "heads", "linear_heads"))
    counts = {
        "num_hidden_layers": len(shape["layer_types"]),
        "num_attention_heads": heads[0],
        "num_key_value_heads": heads[1],
        "linear_num_key_heads": linear_heads[0],
        "linear_num_value_heads": linear_heads[1],
    }
    directory = write_checkpoint(tmp_path_factory.mktemp("model"), **family, **counts, **shape)
    ids = random_tokens(tokens, shape["seed"])
    model = load_tiny(directory)
    ours = logits(model, ids, [tokens])
    theirs = Reference(directory).logits(ids)
    if family is DENSE_3_5:
        assert_close(ours, theirs, 2e-5)
    else:
        # Where a router is undecided, another order of summation chooses another expert.
        apart = np.abs(ours - theirs).max(-1) > 2e-5 * np.abs(theirs).max()
        assert apart.mean() <= 0.05


def test_a_pass_that_is_started_early_gives_what_one_gives_that_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = load_tiny(write_checkpoint(tmp_path))
    tokens = mx.array([[1, 2, 3, 4]])
    expected = np.array(tiny.logits(tokens, tiny.state()))
    monkeypatch.setattr(model, "_STARTED_EVERY", 2)
    started = []
    start = mx.async_eval
    monkeypatch.setattr(mx, "async_eval", lambda *arrays: (started.append(arrays), start(*arrays)))
    layers = len(tiny.layers)
    for starts in (layers // 2, layers, 2 * layers):
        np.testing.assert_array_equal(np.array(tiny.logits(tokens, tiny.state())), expected)
        assert len(started) == starts
        started.clear()
        # A long pass on a GPU is computed by layers, a very long one by halves of them.
        monkeypatch.setattr(model, "_ON_GPU", True)
        monkeypatch.setattr(model, "HALVED_BLOCK", 4 if starts == layers else 5)
        monkeypatch.setattr(model, "_LONG_PASS", 4)


@pytest.mark.parametrize("yarn", [None, {**YARN, "original_max_position_embeddings": 262144}])
def test_heads_turn_as_transformers_turns_them_at_any_position(yarn: dict[str, Any] | None) -> None:
    shape = {"head_dim": 256, "max_position_embeddings": 262144, "rope_scaling": yarn}
    config = ModelConfig.from_dict(tiny_config(**shape))
    rotary = Rotary(config, config.rope_theta)
    heads = np.random.default_rng(0).standard_normal((1, 2, 3, 256)).astype(np.float32)
    ones = mx.ones((2, 1, 256))
    for position in (0, 5_000, 262_141, 1_040_000):
        theirs = turned_by_transformers(tiny_config(**shape), heads, position)
        ours = rotary(mx.array(heads), ones, ones, rotary.tables(position, 3))
        np.testing.assert_allclose(np.array(ours), theirs, atol=2e-6)


@pytest.mark.parametrize(
    ("theta", "shape"),
    [(5e6, {}), (1e7, {"tidegate": {"mtp": {"rope_theta": 1e7}}}), (1e7, SPARSE_3_5), (1e7, DENSE_3_5)],
    ids=["own theta", "grafted theta", "Qwen3.5, sparse", "Qwen3.5, dense"],
)
def test_mtp_logits_are_those_of_transformers_own_layer(
    theta: float, shape: dict[str, Any], tmp_path: Path
) -> None:
    directory = write_checkpoint(tmp_path, seed=4, mtp=True, **shape)
    tokens = random_tokens(90)
    tensors = random_tensors(tiny_config(**shape), 4, mtp=True)
    theirs = Reference(directory).mtp_logits(tokens, tensors, theta)

    model = load_tiny(directory)
    assert model.mtp is not None
    ids = mx.array([tokens])
    hidden = model.hidden(ids, model.state())[:, :-1]
    embedded = model.embed(ids)[:, 1:]
    kv, parts = model.mtp_kv(), []
    for start, stop in ((0, 1), (1, 50), (50, 89)):
        states = model.mtp(embedded[:, start:stop], hidden[:, start:stop], kv)
        parts.append(np.array(model.head(states)[0]))
    assert_close(np.concatenate(parts), theirs)
