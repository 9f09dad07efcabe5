"""Elementwise functions, each fused into one kernel where mx.compile is on (see memory.device.prepare_mlx)."""

from functools import partial

import mlx.core as mx


@partial(mx.compile, shapeless=True)
def swiglu(gate: mx.array, up: mx.array) -> mx.array:
    """silu(gate) · up."""
    return gate * mx.sigmoid(gate) * up


@partial(mx.compile, shapeless=True)
def scaled_by_sigmoid(x: mx.array, gate: mx.array) -> mx.array:
    """x · sigmoid(gate)."""
    return x * mx.sigmoid(gate)
