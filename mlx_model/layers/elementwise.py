"""Elementwise functions, each one kernel on a GPU."""

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
