"""Whether our Metal kernel runs: when a model is loaded, it is compared with the plain path on random inputs,
and used only where both are equal to tolerance.

Run as a program, this module says which path a DeltaNet layer of Qwen3-Coder-Next's shape takes here.
"""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import mlx.core as mx

from mlx_model.config.model_config import ModelConfig
from mlx_model.layers.decoder import DeltaNetLayer
from mlx_model.layers.delta_net import DeltaRule
from mlx_model.layers.delta_products import delta_update_by_products
from mlx_model.layers.kernels.delta_step import DeltaStep, FusedDeltaStep
from mlx_model.layers.parameters import Parameters
from mlx_model.memory.device import blas_in_use, on_cpu
from mlx_model.model import Qwen3Next
from mlx_model.state.recurrent import DeltaState, Update

_log = logging.getLogger(__name__)

_TOLERANCE = {mx.float32: 1e-5, mx.float16: 2e-3, mx.bfloat16: 1.6e-2}
"""How far an output may lie from the plain path's, relative to the larger of it and one: two units in the last
place of 16-bit outputs. The matrix is in float32 in any case, and held to that tolerance."""
_SCALES = (1.0, 1.0, 8.0, 1.0, *[1e-4] * 8)
"""Sizes of the convolution's inputs of successive tokens: common ones, a large one, and for longer than the
window small ones, at which the epsilons of the norms have a say."""

MakeStep = Callable[[ModelConfig], DeltaStep]


@dataclass(frozen=True, slots=True)
class DeltaStepChoice:
    """The step of DeltaNet layers, None for the plain path; and which it is and why, for display."""

    step: DeltaStep | None
    words: str


def choose_delta_step(config: ModelConfig, dtype: mx.Dtype, make: MakeStep | None = None) -> DeltaStepChoice:
    """The kernel that `make` makes for a model's shapes, if it does what the plain path does with activations
    in `dtype`. By default our Metal kernel, where MLX computes with Metal."""
    if not any(config.is_linear(layer) for layer in range(config.num_hidden_layers)):
        return DeltaStepChoice(None, "no DeltaNet layers")
    if make is None:
        if on_cpu() or not mx.metal.is_available():
            blocks = "" if blas_in_use() is None else "; the delta rule by matrix products"
            return DeltaStepChoice(None, f"plain operations (our fused kernel needs Metal){blocks}")
        make = FusedDeltaStep
    try:
        step = make(config)
        fault = _difference(config, dtype, step)
    except (RuntimeError, ValueError) as error:
        # What MLX raises for a kernel that Metal does not compile, or does not launch.
        fault = f"it does not run ({' '.join(str(error).split())[:200]})"
    if fault is None:
        return DeltaStepChoice(step, "our fused kernel, equal to the plain operations when compared here")
    words = f"plain operations, because our fused kernel was refused: {fault}"
    _log.warning("DeltaNet: %s", words)
    return DeltaStepChoice(None, words)


def _difference(config: ModelConfig, dtype: mx.Dtype, step: DeltaStep) -> str | None:
    """How a step differs from the plain path over a few tokens; None where it does not."""
    rule, key = random_rule(config, mx.random.key(0))
    plain, fused = (_state(config, dtype, key) for _ in range(2))
    for number, scale in enumerate(_SCALES):
        key, part = mx.random.split(key)
        gates = config.linear_value_dim + 2 * config.linear_num_value_heads
        sizes = mx.concatenate([mx.full((config.conv_dim,), scale), mx.ones((gates,))])
        projected = (sizes * mx.random.normal((1, 1, sizes.size), key=part)).astype(dtype)
        rule.step = None
        expected = rule(projected, plain)
        rule.step = step
        found = rule(projected, fused)
        for what, a, b, tolerance in (
            ("output", expected, found, _TOLERANCE[dtype]),
            ("matrix", plain.matrix, fused.matrix, _TOLERANCE[mx.float32]),
        ):
            if a.shape != b.shape or a.dtype != b.dtype:
                return f"its {what} has another shape or type"
            wide = a.astype(mx.float32)
            gap = mx.abs(wide - b.astype(mx.float32)) / mx.maximum(mx.abs(wide), 1.0)
            worst = cast(float, mx.max(gap).item())
            # Not `worst > tolerance`: a NaN is as wrong.
            if not worst <= tolerance:
                return f"its {what} differs by {worst:.2g} at token {number + 1}"
    return None


def delta_update() -> Update:
    """What runs the recurrence over blocks here: matrix products on a CPU with a fast BLAS, else MLX's own
    operation. With the reference BLAS a token does not depend on the block around it (see memory/blas.py),
    which chunks would give up for nothing: its matrix products are too slow for them to gain."""
    return mx.fast.gated_delta_update if blas_in_use() is None else delta_update_by_products


def use_delta_step(model: Qwen3Next, choice: DeltaStepChoice) -> None:
    """Has the model's DeltaNet layers decode by the chosen step, and compute long blocks by what is fastest
    here."""
    for layer in model.layers:
        if isinstance(layer, DeltaNetLayer):
            layer.linear_attn.rule.step = choice.step
            layer.linear_attn.rule.update = delta_update()
    model.forget_compiled()


def random_rule(config: ModelConfig, key: mx.array) -> tuple[DeltaRule, mx.array]:
    """A DeltaNet layer's rule with random weights, and a key for what else is drawn."""
    key, *keys = mx.random.split(key, 5)
    heads = config.linear_num_value_heads
    taps = config.linear_conv_kernel_dim
    tensors = {
        "conv1d.weight": mx.random.normal((config.conv_dim, taps, 1), scale=taps**-0.5, key=keys[0]),
        "A_log": mx.random.uniform(-4.0, 1.0, (heads,), key=keys[1]),
        "dt_bias": mx.random.normal((heads,), key=keys[2]),
        "norm.weight": 1 + 0.2 * mx.random.normal((config.linear_value_head_dim,), key=keys[3]),
    }
    return DeltaRule(config, Parameters(tensors)), key


def _state(config: ModelConfig, dtype: mx.Dtype, key: mx.array) -> DeltaState:
    first, second = mx.random.split(key)
    window = mx.random.normal((1, config.linear_conv_kernel_dim - 1, config.conv_dim), key=first).astype(dtype)
    heads, key_dim, value_dim = (
        config.linear_num_value_heads,
        config.linear_key_head_dim,
        config.linear_value_head_dim,
    )
    return DeltaState(window, mx.random.normal((1, heads, value_dim, key_dim), key=second))


_PUBLISHED_SHAPE = {
    "model_type": "qwen3_next",
    "vocab_size": 151936,
    "hidden_size": 2048,
    "intermediate_size": 5120,
    "num_hidden_layers": 1,
    "layer_types": ["linear_attention"],
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "head_dim": 256,
    "rope_theta": 5e6,
    "max_position_embeddings": 262144,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_conv_kernel_dim": 4,
    "num_experts": 0,
}
"""A DeltaNet layer of Qwen3-Coder-Next, from its config.json."""


def main() -> int:
    """Prints the choice; status 1 where the kernel was refused."""
    choice = choose_delta_step(ModelConfig.from_dict(_PUBLISHED_SHAPE), mx.bfloat16)
    print(choice.words)
    return 0 if choice.step is not None or on_cpu() else 1


if __name__ == "__main__":
    sys.exit(main())
