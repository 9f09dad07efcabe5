"""Attention that is forced to be fused where its scores would be large, and what that leaves room for."""

from typing import Any

import mlx.core as mx
import pytest

from mlx_model.config.published import published_config
from mlx_model.memory.activation_bytes import Arithmetic
from mlx_model.memory.footprint import recipe_packing
from mlx_model.memory.machine import GIB, mac
from mlx_model.memory.plan import Model, plan_memory
from mlx_model.state import fused_attention
from mlx_model.state.fused_attention import agrees, forces_fused
from mlx_model.state.sizes import SCORES_LIMIT
from mlx_model.weights.recipes import Recipe

MACS = (24, 32, 48, 64, 96, 128, 192, 512)


def unfused(
    queries: mx.array, keys: mx.array, values: mx.array, *, force_fused: bool, **others: Any
) -> mx.array:
    assert force_fused
    return mx.fast.scaled_dot_product_attention(queries, keys, values, **others)


def without_mask(queries: mx.array, keys: mx.array, values: mx.array, *, scale: float, **_: Any) -> mx.array:
    return mx.fast.scaled_dot_product_attention(queries, keys, values, scale=scale)


def unscaled(queries: mx.array, keys: mx.array, values: mx.array, *, mask: str, **_: Any) -> mx.array:
    return mx.fast.scaled_dot_product_attention(queries, keys, values, scale=1.0, mask=mask)


def missing(*_: mx.array, **__: Any) -> mx.array:
    raise ValueError("no fused kernel for these inputs")


def test_a_fused_kernel_is_used_only_where_it_gives_what_unfused_attention_gives() -> None:
    for dtype in (mx.float32, mx.bfloat16):
        assert agrees(unfused, 32, 4, 2, dtype)
        for wrong in (without_mask, unscaled, missing):
            assert not agrees(wrong, 32, 4, 2, dtype), wrong


def test_it_is_forced_for_large_scores_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = mx.zeros((1, 4, 1, 32))
    assert not forces_fused(SCORES_LIMIT + 1, queries, 2), "a CPU has no such kernel"
    monkeypatch.setattr(fused_attention, "fused_attention_works", lambda *_: True)
    assert forces_fused(SCORES_LIMIT + 1, queries, 2)
    assert not forces_fused(SCORES_LIMIT, queries, 2)


def test_forecasts_for_eight_macs_with_and_without_it() -> None:
    config, packing = published_config(), recipe_packing(Recipe.Q4)
    found = {}
    for gigabytes in MACS:
        for fused in (False, True):
            arithmetic = Arithmetic(fused_attention=fused, whole_layers=fused)
            plan = plan_memory(Model(config, packing, arithmetic), mac(gigabytes * GIB))
            slots = "all" if plan.expert_slots is None else plan.expert_slots
            print(
                f"{gigabytes} GB, {'fused' if fused else 'unfused'}: context {plan.context:,}, "
                f"chunks of {plan.chunk}, {slots} experts a layer, {plan.activations / 1e9:.2f} GB at once"
            )
            found[gigabytes, fused] = plan
    assert found[64, False].chunk < found[64, True].chunk == 2048
    assert found[64, True].context == 81_920 > found[64, False].context
    # One layer, not the scores of a quarter of a million tokens.
    assert found[96, True].activations < 1e9
    assert found[96, False].activations > 16e9
