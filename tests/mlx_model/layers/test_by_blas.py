"""Plain matrices multiplied as a fast BLAS is fastest at, against the same products in the usual way."""

from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from mlx_model.engine import loading
from mlx_model.layers import projections
from mlx_model.layers.attention import attended_by_powers
from mlx_model.layers.experts import RoutedExperts
from mlx_model.layers.norms import over_length
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import Linear, Matrix
from tests.support.weights.checkpoints import write_checkpoint
from tests.support.weights.models import load_tiny

TENSORS = {
    "gate_up_proj.weight": mx.random.normal((6, 2 * 24, 32), key=mx.random.key(0)),
    "down_proj.weight": mx.random.normal((6, 32, 24), key=mx.random.key(1)),
    "weight": mx.random.normal((40, 32), key=mx.random.key(2)),
}


@pytest.mark.parametrize("tokens", [1, 3, 20, 70])
def test_experts_and_projections_give_what_they_give_otherwise(
    tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projections, "_SMALL_PRODUCT", 400)
    monkeypatch.setattr(projections, "_BANK_COLUMNS", 16)
    monkeypatch.setattr(projections, "_GROUPED_ROWS", 1)
    x = mx.random.normal((1, tokens, 32), key=mx.random.key(3))
    # One expert is chosen by nobody.
    chosen = np.random.default_rng(0).permuted(np.tile(np.arange(5, dtype=np.uint32), (tokens, 1)), axis=1)
    experts, weights = mx.array(chosen[None, :, :2]), mx.random.uniform(shape=(1, tokens, 2))
    found = [
        (RoutedExperts(parameters, 6, 32, 24)(x, experts, weights), Linear(parameters, 40, 32)(x))
        for parameters in (Parameters(TENSORS), Parameters(TENSORS, by_blas=True))
    ]
    for plain, by_blas in zip(*found, strict=True):
        np.testing.assert_allclose(np.array(by_blas), np.array(plain), rtol=1e-5, atol=1e-4)


def test_experts_kept_in_blocks_are_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projections, "_BANK_COLUMNS", 16)
    bank = Parameters(TENSORS, by_blas=True).scope("gate_up_proj")
    wanted = mx.array([4, 0, 5])
    read = Matrix(bank, 2 * 24, 32, experts=6).rows(wanted)
    np.testing.assert_array_equal(np.array(read), np.array(TENSORS["gate_up_proj.weight"][wanted]))


@pytest.mark.parametrize("size", [8, 64])
def test_a_row_over_its_length_is_normalized_but_for_a_factor(size: int) -> None:
    x = 1e-3 * mx.random.normal((1, 5, 3, size), key=mx.random.key(4))
    expected = mx.fast.rms_norm(x, None, 1e-6)
    found = over_length(x, 1e-6) * size**0.5
    np.testing.assert_allclose(np.array(found), np.array(expected), rtol=1e-5)


def test_a_whole_model_gives_what_it_gives_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = write_checkpoint(tmp_path, mtp=True, seed=5)
    plain = load_tiny(directory)
    monkeypatch.setattr(loading, "blas_in_use", lambda: Path("a fast one"))
    by_blas = load_tiny(directory)
    tokens = mx.random.randint(0, 256, (1, 9), key=mx.random.key(6))
    found = []
    for model in (plain, by_blas):
        state = model.state()
        hidden = model.hidden(tokens, state)
        assert model.mtp is not None
        drafted = model.mtp(model.embed(tokens[:, 1:]), hidden[:, :-1], model.mtp_kv())
        found.append([np.array(model.head(x)) for x in (hidden, drafted, model.hidden(tokens[:, :1], state))])
    for ours, expected in zip(*found, strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("count", "length"), [(2, 2), (5, 40), (17, 300)])
def test_attention_by_powers_is_mlx_s_own(count: int, length: int) -> None:
    shapes = [(1, 6, count, 16), (1, 2, length, 16), (1, 2, length, 16)]
    queries, keys, values = (
        5 * mx.random.normal(shape, key=mx.random.key(n)) for n, shape in enumerate(shapes)
    )
    expected = mx.fast.scaled_dot_product_attention(queries, keys, values, scale=0.25, mask="causal")
    found = attended_by_powers(queries * 0.25, keys, values)
    np.testing.assert_allclose(np.array(found), np.array(expected), rtol=1e-4, atol=1e-5)
