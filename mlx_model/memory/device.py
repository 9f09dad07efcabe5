"""What the engine settles about the machine before it computes: kernels' limits, the dtype, memory."""

import os
import sys
from typing import TYPE_CHECKING

from mlx_model.memory.activation_bytes import Arithmetic

if TYPE_CHECKING:
    from mlx_model.memory.plan import MemoryPlan

# MLX charges every gather_qmm with the whole bank of experts, so its own limits cut a decoding step into many
# tiny command buffers. Others measured 5 to 28 % of decoding speed between those limits and these.
_BUFFER_LIMITS = {"MLX_MAX_OPS_PER_BUFFER": "1000", "MLX_MAX_MB_PER_BUFFER": "1000"}


def set_buffer_limits() -> None:
    """Sets MLX's command-buffer limits where the user has not; has to come before mlx is imported."""
    if sys.platform == "darwin":
        for name, value in _BUFFER_LIMITS.items():
            os.environ.setdefault(name, value)


def prepare_mlx() -> None:
    """Settles, once a process, how MLX works on this device."""
    import mlx.core as mx  # noqa: PLC0415 (set_buffer_limits must be able to come first)

    if on_cpu():
        # On a CPU, mx.compile needs a C++ compiler at run time, and gains little.
        mx.disable_compile()


def set_memory_limits(plan: "MemoryPlan") -> None:
    """Tells MLX what the plan gives it: what stays wired, what it may use, what it may keep for reuse."""
    import mlx.core as mx  # noqa: PLC0415

    mx.set_memory_limit(plan.memory_limit)
    mx.set_cache_limit(plan.cache_limit)
    if mx.metal.is_available():
        mx.set_wired_limit(plan.wired_limit)


def arithmetic(dtype: str) -> Arithmetic:
    """What activations of this dtype take on this device."""
    return Arithmetic(float_bytes=4 if dtype == "float32" else 2, stepwise=on_cpu())


def on_cpu() -> bool:
    """Whether MLX computes on the CPU here."""
    import mlx.core as mx  # noqa: PLC0415

    return bool(mx.default_device() == mx.Device(mx.cpu))


def default_dtype(checkpoint: str) -> str:
    """The dtype to compute in: the checkpoint's own on a GPU; float32 on a CPU, where the others are slower."""
    return "float32" if on_cpu() else checkpoint
