"""The gated delta rule by matrix products, against MLX's own operation."""

import mlx.core as mx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mlx_model.layers.delta_products import chunked_delta_update, delta_update_by_products, stepped_delta_update


@given(
    tokens=st.integers(1, 70),
    key_heads=st.integers(1, 3),
    repeats=st.integers(1, 3),
    dims=st.tuples(st.sampled_from([8, 32, 40]), st.sampled_from([8, 24])),
    decays=st.sampled_from([(0.0, 0.0), (0.0, 1.0), (0.9, 1.0), (1.0, 1.0)]),
    seed=st.integers(0, 99),
)
@example(tokens=48, key_heads=2, repeats=2, dims=(32, 24), decays=(1e-30, 1e-20), seed=0)
def test_products_give_what_the_operation_gives(  # noqa: PLR0917 (drawn by name)
    tokens: int, key_heads: int, repeats: int, dims: tuple[int, int], decays: tuple[float, float], seed: int
) -> None:
    keys = mx.random.split(mx.random.key(seed), 6)
    heads, (key_dim, value_dim) = key_heads * repeats, dims
    q, k = (mx.random.normal((1, tokens, key_heads, key_dim), key=key) for key in keys[:2])
    q, k = (x / mx.linalg.norm(x, axis=-1, keepdims=True) for x in (q, k))
    v = mx.random.normal((1, tokens, heads, value_dim), key=keys[2])
    decay = mx.random.uniform(*decays, (1, tokens, heads), key=keys[3])
    beta = mx.random.uniform(0.0, 1.0, (1, tokens, heads), key=keys[4])
    matrix = mx.random.normal((1, heads, value_dim, key_dim), key=keys[5])
    expected = mx.fast.gated_delta_update(q, k, v, decay, beta, matrix)
    for update in (chunked_delta_update, stepped_delta_update, delta_update_by_products):
        for a, b in zip(update(q, k, v, decay, beta, matrix), expected, strict=True):
            assert a.shape == b.shape
            assert mx.abs(a - b).max().item() == pytest.approx(0, abs=1e-5 * max(1.0, mx.abs(b).max().item()))


def test_a_draft_gets_what_it_would_get_alone() -> None:
    keys = mx.random.split(mx.random.key(0), 6)
    q, k, v = (mx.random.normal((1, 17, 2, 32), key=key) for key in keys[:3])
    decay, beta = (mx.random.uniform(0.5, 1.0, (1, 17, 2), key=key) for key in keys[3:5])
    matrix = mx.random.normal((1, 2, 32, 32), key=keys[5])
    y, after = delta_update_by_products(q, k, v, decay, beta, matrix)
    for n in range(17):
        at = slice(n, n + 1)
        alone, matrix = delta_update_by_products(
            q[:, at], k[:, at], v[:, at], decay[:, at], beta[:, at], matrix
        )
        assert mx.array_equal(alone[:, 0], y[:, n])
    assert mx.array_equal(matrix, after)
