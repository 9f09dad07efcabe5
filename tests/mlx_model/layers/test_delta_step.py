"""The fused DeltaNet step against the plain path, its body compiled as C++."""

import ctypes
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from mlx_model.config.model_config import ModelConfig
from mlx_model.engine.kernel_choice import (
    DeltaStepChoice,
    choose_delta_step,
    random_rule,
    use_delta_step,
)
from mlx_model.layers.kernels.delta_step import body
from mlx_model.state.recurrent import DeltaState
from tests.support.engine.metal_shim import COMPILER, ShimmedDeltaStep, compiled
from tests.support.weights.checkpoints import tiny_config, write_checkpoint
from tests.support.weights.models import load_tiny

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C++ compiler to compile the kernel's body with")

TAPS = (2, 3, 4)
WRONG = {
    "no_decay": ("? decay * matrix", "? matrix"),
    "old_value_kept": (" - at_k) * beta", ") * beta"),
    "no_beta": (" - at_k) * beta", " - at_k)"),
    "key_of_another_head": ("head / (Hv / Hk)", "head % Hk"),
    "queries_and_keys_exchanged": ("n < Dk ? key_head", "n >= Dk ? key_head"),
    "query_unscaled": ("q[n] *= q_scale;", ""),
    "l2_epsilon": ("simd_sum(k_squares) + 1e-06f", "simd_sum(k_squares)"),
    "norm_epsilon": ("/ Dv + eps[0]", "/ Dv"),
    "sum_for_mean": ("/ Dv + eps", "+ eps"),
    "no_gate": ("* z / (1.0f + metal::precise::exp(-z))", ""),
    "no_silu": ("x / (1.0f + metal::precise::exp(-x))", "x"),
    "newest_input_first": ("projected[channel]) * taps[3", "projected[channel]) * taps[0"),
    "a_before_b": ("Hv * Dv + Hv + head]) + dt", "Hv * Dv + head]) + dt"),
    "no_bias": (" + dt_bias[Hv + head]", ""),
    "softplus_of_large_only": (" + log1p(metal::precise::exp(-metal::abs(a)))", ""),
    "last_row_left_out": ("row < Dv; row += Simds", "row < Dv - 1; row += Simds"),
    "matrix_before_the_step": ("s[n] + delta * k[n];", "s[n];"),
    "output_before_the_step": ("at_q + delta * qk", "at_q"),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    bodies = {f"right{taps}": (taps, body(taps)) for taps in TAPS}
    for name, (part, instead) in WRONG.items():
        assert body(4).count(part) == 1, name
        bodies[name] = (4, body(4).replace(part, instead))
    return compiled(tmp_path_factory.mktemp("kernels"), bodies)


def config_of(**sizes: int) -> ModelConfig:
    return ModelConfig.from_dict(tiny_config(**{f"linear_{name}": size for name, size in sizes.items()}))


def random_config(draw: np.random.Generator) -> ModelConfig:
    key_heads = int(draw.integers(1, 4))
    return config_of(
        num_key_heads=key_heads,
        num_value_heads=key_heads * int(draw.integers(1, 4)),
        key_head_dim=int(draw.choice([8, 16, 24, 32, 40, 64, 96])),
        value_head_dim=int(draw.choice([8, 16, 24, 32, 40, 64, 96])),
        conv_kernel_dim=int(draw.choice(TAPS)),
    )


def test_a_thousand_shapes_give_what_the_plain_path_gives(library: ctypes.CDLL) -> None:
    draw = np.random.default_rng(0)
    for case in range(1000):
        config = random_config(draw)
        rule, _ = random_rule(config, mx.random.key(case))
        taps, simdgroups = config.linear_conv_kernel_dim, int(draw.integers(1, 5))
        step = ShimmedDeltaStep(library, f"right{taps}", config, simdgroups)

        def normal(*shape: int) -> mx.array:
            return mx.array(draw.standard_normal(shape, np.float32))

        heads, value_dim = config.linear_num_value_heads, config.linear_value_head_dim
        state = DeltaState(
            normal(1, taps - 1, config.conv_dim), normal(1, heads, value_dim, config.linear_key_head_dim)
        )
        projected = normal(1, 1, config.conv_dim + config.linear_value_dim + 2 * heads)
        output, matrix = step(projected, state.inputs, state.matrix, rule.weights)
        expected = rule(projected, state)
        for found, right in ((output, expected), (matrix, state.matrix)):
            np.testing.assert_allclose(
                np.array(found), np.array(right), rtol=1e-5, atol=1e-5, err_msg=f"{case} {config}"
            )


def test_the_check_at_load_takes_the_kernel_and_refuses_each_wrong_one(library: ctypes.CDLL) -> None:
    config = config_of(
        num_key_heads=2, num_value_heads=4, key_head_dim=32, value_head_dim=48, conv_kernel_dim=4
    )
    for dtype in (mx.float32, mx.bfloat16):
        choice = choose_delta_step(config, dtype, lambda config: ShimmedDeltaStep(library, "right4", config, 3))
        assert choice.step is not None, choice.words
    for name in WRONG:
        step = ShimmedDeltaStep(library, name, config, 3)
        choice = choose_delta_step(config, mx.float32, lambda _config, step=step: step)
        assert choice.step is None, name
        assert "refused" in choice.words


def test_a_model_decodes_by_the_kernel_what_it_decodes_without(library: ctypes.CDLL, tmp_path: Path) -> None:
    model = load_tiny(write_checkpoint(tmp_path / "hf"))
    choice = choose_delta_step(
        model.config, mx.float32, lambda config: ShimmedDeltaStep(library, "right4", config, 2)
    )
    plain, fused = model.state(), model.state()
    for tokens in ([1, 2, 3, 4, 5], [6], [7], [8, 9], [10], [11]):
        use_delta_step(model, DeltaStepChoice(None, ""))
        expected = model.logits(mx.array([tokens]), plain)
        use_delta_step(model, choice)
        found = model.logits(mx.array([tokens]), fused)
        np.testing.assert_allclose(np.array(found), np.array(expected), rtol=1e-4, atol=1e-4)
    # Rows of a batch, too, each by a kernel of its own.
    others = [model.state(), model.state()]
    for state, step in ((others[0], DeltaStepChoice(None, "")), (others[1], choice)):
        use_delta_step(model, step)
        model.logits(mx.array([[3, 1]]), state)
    rows = model.head(model.side_by_side([fused, others[1]])(mx.array([12, 13])))[0]
    use_delta_step(model, DeltaStepChoice(None, ""))
    for row, (token, state) in enumerate(((12, plain), (13, others[0]))):
        expected = model.last_logits(mx.array([[token]]), state)
        np.testing.assert_allclose(np.array(rows[row]), np.array(expected), rtol=1e-4, atol=1e-4)
    for name, array in plain.recurrent().items():
        np.testing.assert_allclose(fused.recurrent()[name], array, rtol=1e-4, atol=1e-4, err_msg=name)
