"""Elementwise functions by powers, against MLX's own."""

import mlx.core as mx
import numpy as np
import pytest

from mlx_model.layers.elementwise import sigmoid_by_powers, swiglu, swiglu_by_powers


@pytest.mark.parametrize("size", [100, 5000])
def test_a_sigmoid_by_powers_is_mlx_s_own_and_so_is_its_gradient(size: int) -> None:
    drawn = 20 * mx.random.normal((size - 8,), key=mx.random.key(0))
    x = mx.concatenate([drawn, mx.array([-mx.inf, -1e4, -104.0, -88.0, 0.0, 88.0, 1e4, mx.inf])])
    for ours, theirs in (
        (sigmoid_by_powers(x), mx.sigmoid(x)),
        (mx.grad(lambda x: sigmoid_by_powers(x).sum())(x), mx.grad(lambda x: mx.sigmoid(x).sum())(x)),
    ):
        np.testing.assert_allclose(np.array(ours), np.array(theirs), rtol=3e-6, atol=2e-7)
    up = mx.random.normal(drawn.shape, key=mx.random.key(1))
    np.testing.assert_allclose(swiglu_by_powers(drawn, up), swiglu(drawn, up), rtol=3e-6, atol=1e-6)
