"""mx.compile on a CPU keeps graphs and fuses nothing; where it cannot, it is off, and that is said."""

import _ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import mlx.core as mx
import pytest

from mlx_model.memory.device import on_cpu
from mlx_model.memory.graphs import compile_without_fusing
from tests.support.engine.compiler import needs_compiler
from tests.support.patience import LONGEST


@pytest.fixture(autouse=True)
def off_again() -> Iterator[None]:
    yield
    mx.disable_compile()


def counted() -> tuple[Callable[[mx.array], mx.array], list[int]]:
    """A compiled function, and a list that grows whenever Python builds its graph."""
    built: list[int] = []

    def function(x: mx.array) -> mx.array:
        built.append(1)
        return x * mx.sigmoid(x) + 1

    return mx.compile(function), built


@needs_compiler
def test_a_graph_is_built_once_and_its_operations_are_not_fused(tmp_path: Path) -> None:
    assert compile_without_fusing() is None
    function, built = counted()
    for _ in range(3):
        y = function(mx.ones(4))
    assert len(built) == 1
    drawn = tmp_path / "graph.dot"
    mx.export_to_dot(str(drawn), y)
    assert 'label ="Sigmoid"' in drawn.read_text()


@pytest.mark.parametrize("lacking", ["library", "mode", "setter"])
def test_an_mlx_without_the_mode_compiles_nothing(lacking: str, tmp_path: Path) -> None:
    modes = "disabled, enabled" if lacking == "mode" else "disabled, no_simplify, no_fuse, enabled"
    for name, text in (("include/mlx/compile.h", f"enum class CompileMode {{ {modes} }};"), ("lib/here", "")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    if lacking == "setter":
        # A library that has no such function.
        (tmp_path / "lib" / "libmlx.so").symlink_to(_ctypes.__file__)
    assert compile_without_fusing([str(tmp_path)]) is not None
    function, built = counted()
    for _ in range(3):
        function(mx.ones(4))
    assert len(built) == 3


def test_the_users_word_that_nothing_be_compiled_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLX_DISABLE_COMPILE", "1")
    assert compile_without_fusing() == "MLX_DISABLE_COMPILE is set"


@pytest.mark.skipif(not on_cpu(), reason="a GPU needs no g++")
def test_a_machine_without_a_compiler_is_told(tmp_path: Path) -> None:
    # MLX remembers whether it has found one: a process of its own.
    command = [sys.executable, "-m", "mlx_model.memory.graphs"]
    without = {**os.environ, "PATH": str(tmp_path)}
    found = subprocess.run(command, env=without, capture_output=True, text=True, timeout=LONGEST, check=False)
    assert found.returncode == 1
    assert "g++" in found.stdout
