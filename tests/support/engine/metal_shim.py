"""The bodies of our Metal kernels, compiled as C++ and run on the CPU (see metal_shim.hpp)."""

import ctypes
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import mlx.core as mx
import numpy as np

from mlx_model.config.model_config import ModelConfig
from mlx_model.layers.kernels.delta_step import LANES, DeltaStep, DeltaWeights, earlier_inputs

COMPILER = next((path for name in ("c++", "g++", "clang++") if (path := shutil.which(name))), None)

_SHIM = Path(__file__).with_name("metal_shim.hpp")
_WIDEST = 4096
"""Floats of the kernel's shared arrays: sizes are arguments here, and template integers in Metal."""


def compiled(folder: Path, bodies: Mapping[str, tuple[int, str]]) -> ctypes.CDLL:
    """Compiles bodies of the DeltaNet step, by name, each with the taps of its convolution: one function for
    activations in float32 and one for bfloat16, NAME_float and NAME_bfloat16_t."""
    assert COMPILER is not None
    source = folder / "kernels.cpp"
    functions = [_function(name, taps, body) for name, (taps, body) in bodies.items()]
    source.write_text("\n".join([f'#include "{_SHIM}"', *functions]))
    library = folder / "kernels.so"
    command = [
        COMPILER,
        "-std=c++17",
        "-O1",
        "-U_FORTIFY_SOURCE",
        "-shared",
        "-fPIC",
        "-o",
        str(library),
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return ctypes.CDLL(str(library))


class ShimmedDeltaStep(DeltaStep):
    """A compiled body as the step of one model's shapes, in threadgroups of `simdgroups` SIMD groups."""

    def __init__(self, library: ctypes.CDLL, name: str, config: ModelConfig, simdgroups: int) -> None:
        self._library, self._name, self._simdgroups = library, name, simdgroups
        self._config = config

    def __call__(
        self, projected: mx.array, inputs: Sequence[mx.array], matrix: mx.array, weights: DeltaWeights
    ) -> tuple[mx.array, mx.array]:
        config = self._config
        is_wide = projected.dtype == mx.float32
        given = [
            *(_to_numpy(array) for array in (projected, *inputs, matrix)),
            *(_to_numpy(array) for array in (weights.taps, weights.rate, weights.dt_bias)),
            *(_to_numpy(array) for array in (weights.norm, weights.eps)),
        ]
        out = np.zeros(config.linear_value_dim, np.float32 if is_wide else np.uint16)
        after = np.full(matrix.shape, np.nan, np.float32)
        function = getattr(self._library, f"{self._name}_{'float' if is_wide else 'bfloat16_t'}")
        sizes = (
            config.linear_num_key_heads,
            config.linear_num_value_heads,
            config.linear_key_head_dim,
            config.linear_value_head_dim,
            self._simdgroups,
        )
        function(*(ctypes.c_void_p(array.ctypes.data) for array in (*given, out, after)), *sizes)
        result = mx.array(out)
        return (result if is_wide else result.view(mx.bfloat16))[None, None], mx.array(after)


def _function(name: str, taps: int, body: str) -> str:
    inputs = ["projected", *earlier_inputs(taps)]
    floats = ["matrix", "taps", "rate", "dt_bias", "norm", "eps"]
    parameters = [*(f"const T* {each}" for each in inputs), *(f"const float* {each}" for each in floats)]
    parameters += ["T* out", "float* matrix_out", "int Hk", "int Hv", "int Dk", "int Dv", "int Simds"]
    text = f"""
template <typename T> void {name}({", ".join(parameters)}) {{
    constexpr int Mixed = {_WIDEST};
    shim::dispatch(Hv, {LANES} * Simds, [&] {{
{body}
    }});
}}
"""
    for kind in ("float", "bfloat16_t"):
        typed = [parameter.replace("T*", f"{kind}*") for parameter in parameters]
        names = ", ".join(parameter.split()[-1] for parameter in parameters)
        text += f'extern "C" void {name}_{kind}({", ".join(typed)}) {{ {name}<{kind}>({names}); }}\n'
    return text


def _to_numpy(array: mx.array) -> np.ndarray:
    if array.dtype == mx.bfloat16:
        array = array.view(mx.uint16)
    return np.ascontiguousarray(np.array(array))
