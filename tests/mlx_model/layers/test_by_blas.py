"""Plain matrices multiplied as a fast BLAS is fastest at, against the same products in the usual way."""

import mlx.core as mx
import numpy as np
import pytest

from mlx_model.layers import projections
from mlx_model.layers.experts import RoutedExperts
from mlx_model.layers.parameters import Parameters
from mlx_model.layers.projections import Linear

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
