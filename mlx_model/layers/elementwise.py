"""Elementwise functions, each one kernel on a GPU; and some of them by powers, for a CPU with a fast BLAS.

MLX's CPU backend (0.32) takes 12 to 16 ns for an exponential and 4 to 5 for a power: a sigmoid of 12,288
numbers takes 0.45 of the time, one of 262,144 numbers 0.29 (one busy core). It is as exact as MLX's own. What a
token gets then depends on how many tokens go along, up to rounding: for few numbers MLX's own is taken.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

import mlx.core as mx

FunctionT = TypeVar("FunctionT", bound=Callable[..., mx.array])


class _Fusing:
    """Whether `fused` functions are compiled: on a CPU that would need a compiler (see memory/graphs.py)."""

    on = mx.default_device() != mx.Device(mx.cpu)


def fused(function: FunctionT) -> FunctionT:
    """A function of arrays whose operations are elementwise, compiled into one kernel."""
    compiled = mx.compile(function, shapeless=True)
    if _Fusing.on:
        return cast(FunctionT, compiled)

    @wraps(function)
    def either(*arrays: Any) -> mx.array:
        return (compiled if _Fusing.on else function)(*arrays)

    return cast(FunctionT, either)


@contextmanager
def fusing() -> Iterator[None]:
    """Compiles `fused` functions meanwhile, also on a CPU."""
    before, _Fusing.on = _Fusing.on, True
    try:
        yield
    finally:
        _Fusing.on = before


@fused
def swiglu(gate: mx.array, up: mx.array) -> mx.array:
    """silu(gate) · up."""
    return gate * mx.sigmoid(gate) * up


@fused
def scaled_by_sigmoid(x: mx.array, gate: mx.array) -> mx.array:
    """x · sigmoid(gate)."""
    return x * mx.sigmoid(gate)


_FEW = 1024
"""Below so many numbers the operations of a sigmoid by powers cost more than they save."""
_LEAST = -80.0
"""Where a sigmoid is 1.8e-35. Beyond, its gradient would be infinity times zero."""


def sigmoid_by_powers(x: mx.array) -> mx.array:
    """1 / (1 + exp(-x)); x in float32."""
    if x.size < _FEW:
        return mx.sigmoid(x)
    return 1.0 / (1.0 + mx.power(math.exp(-1.0), mx.maximum(x, _LEAST)))


def swiglu_by_powers(gate: mx.array, up: mx.array) -> mx.array:
    """silu(gate) · up."""
    return gate * sigmoid_by_powers(gate) * up
