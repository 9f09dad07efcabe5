"""What MLX compiles with on a CPU."""

import shutil

import pytest

from mlx_model.memory.device import on_cpu

needs_compiler = pytest.mark.skipif(
    on_cpu() and shutil.which("g++") is None, reason="MLX compiles nothing on a CPU without g++"
)
