"""Settings of MLX for this device: command-buffer limits, the dtype, memory limits."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mlx_model.memory.activation_bytes import Arithmetic
from mlx_model.memory.blas import blas_in_words, fast_blas
from mlx_model.memory.buffer_limits import NAMES, buffer_limits, tuning_file
from mlx_model.memory.machine import chip

if TYPE_CHECKING:
    from mlx_model.config.model_config import ModelConfig


def set_buffer_limits() -> None:
    """Sets MLX's command-buffer limits in the environment where the user has not; a variable that the user left
    empty keeps MLX's own limit. Call it before mlx is imported."""
    named = chip()
    for name, value in buffer_limits(named, tuning_file() if named else None).items():
        os.environ.setdefault(name, value)
    for name in NAMES:
        if os.environ.get(name) == "":
            # MLX would read a limit of 0.
            del os.environ[name]


def prepare_mlx() -> None:
    """Configures MLX for this device; once per process."""
    import mlx.core as mx  # noqa: PLC0415 (set_buffer_limits must be able to come first)

    if on_cpu():
        # It would need a compiler at run time (see memory/graphs.py, which a model to decode with takes).
        mx.disable_compile()


class Limits(Protocol):
    """Bytes in use from which on MLX waits for memory to be freed, of freed buffers that it may cache, and that
    macOS may not page out."""

    @property
    def memory_limit(self) -> int: ...

    @property
    def cache_limit(self) -> int: ...

    @property
    def wired_limit(self) -> int: ...


def set_memory_limits(plan: Limits) -> None:
    """Sets MLX's limits to the plan's: memory in use, buffers cached for reuse, and, on Metal, wired memory."""
    import mlx.core as mx  # noqa: PLC0415

    mx.set_memory_limit(plan.memory_limit)
    mx.set_cache_limit(plan.cache_limit)
    if mx.metal.is_available():
        mx.set_wired_limit(plan.wired_limit)


def arithmetic(dtype: str, config: "ModelConfig") -> Arithmetic:
    """The Arithmetic of a model's activations in this dtype on this device."""
    import mlx.core as mx  # noqa: PLC0415

    from mlx_model.state.fused_attention import fused_attention_works  # noqa: PLC0415

    float_bytes = 4 if dtype == "float32" else 2
    if on_cpu():
        by_blas = blas_in_use() is not None
        return Arithmetic(float_bytes, stepwise=not by_blas, by_blas=by_blas)
    fused = fused_attention_works(
        config.head_dim, config.num_attention_heads, config.num_key_value_heads, getattr(mx, dtype)
    )
    return Arithmetic(float_bytes, fused_attention=fused, whole_layers=True)


def on_cpu() -> bool:
    """Whether MLX computes on the CPU here."""
    import mlx.core as mx  # noqa: PLC0415

    return bool(mx.default_device() == mx.Device(mx.cpu))


def default_dtype(checkpoint: str) -> str:
    """The dtype to compute in: the checkpoint's own on a GPU; float32 on a CPU, where 16-bit floats are
    slower."""
    return "float32" if on_cpu() else checkpoint


def blas_in_use() -> Path | None:
    """The fast BLAS that MLX multiplies with here; None on a GPU, and where it uses the one it brings."""
    return fast_blas() if on_cpu() else None


def blas_report() -> str | None:
    """Which BLAS multiplies here, or how to get a fast one; None where MLX has other means: on a GPU or a
    Mac."""
    return blas_in_words() if sys.platform == "linux" and on_cpu() else None


def gains_by_widening(dtype: str) -> bool:
    """Whether plain weights are multiplied faster than packed ones: in float32 with a fast BLAS, which cannot
    multiply packed matrices. Measured with OpenBLAS 0.3.21 on two busy cores, 8 bits, 256 by 1,024: 8 times as
    fast for one row, 58 times for 256."""
    return dtype == "float32" and blas_in_use() is not None
