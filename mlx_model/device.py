"""What the engine settles about the machine before it computes: kernels' limits, the dtype, wired memory."""

import os
import sys

# MLX charges every gather_qmm with the whole bank of experts, so its own limits cut a decoding step into many
# tiny command buffers. Others measured 5 to 28 % of decoding speed between those limits and these.
_BUFFER_LIMITS = {"MLX_MAX_OPS_PER_BUFFER": "1000", "MLX_MAX_MB_PER_BUFFER": "1000"}

# Of the memory that Metal recommends to use: weights that stay wired, with a margin for everything else.
_WIRED_SHARE = 0.95


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
    elif mx.metal.is_available():
        recommended = int(mx.device_info()["max_recommended_working_set_size"])
        mx.set_wired_limit(int(_WIRED_SHARE * recommended))


def on_cpu() -> bool:
    """Whether MLX computes on the CPU here."""
    import mlx.core as mx  # noqa: PLC0415

    return bool(mx.default_device() == mx.Device(mx.cpu))


def default_dtype(checkpoint: str) -> str:
    """The dtype to compute in: the checkpoint's own on a GPU; float32 on a CPU, where the others are slower."""
    return "float32" if on_cpu() else checkpoint
