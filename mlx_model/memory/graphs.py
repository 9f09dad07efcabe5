"""mx.compile on a CPU: graphs are kept and copied, their operations not fused.

Fused operations are C++ on a CPU, which MLX (0.32) has a compiler turn into libraries at run time, in one
folder for all processes and without a lock: one may load what another has half written. In the mode `no_fuse`
of its C++ interface (mlx/compile.h) MLX keeps graphs and has nothing compiled. Python has no binding for it, so
it is set in MLX's own library.

All the same MLX compiles nothing where it finds no g++, which it starts once, with `--version`, when a function
is compiled first. It starts it by system(3), which has SIGINT ignored in the whole process meanwhile.
"""

import ctypes
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import mlx
import mlx.core as mx

_SETTER = "_ZN3mlx4core16set_compile_modeENS0_11CompileModeE"
"""mlx::core::set_compile_mode(CompileMode), as C++ compilers on Linux and macOS name it."""
_MODES = re.compile(r"enum class CompileMode\s*\{([^}]*)\}")


def compile_without_fusing(places: Iterable[str] | None = None) -> str | None:
    """Has mx.compile keep graphs and fuse nothing, in this process; or turns it off and says why. `places`: the
    folders of MLX, by default those of the package. The first call has MLX look for g++."""
    mx.disable_compile()
    if os.environ.get("MLX_DISABLE_COMPILE") is not None:
        return "MLX_DISABLE_COMPILE is set"
    folders = [Path(place) for place in places or mlx.__path__]
    library = _first(folders, "lib/libmlx.so", "lib/libmlx.dylib")
    header = _first(folders, "include/mlx/compile.h")
    modes = None if header is None else _MODES.search(header.read_text(encoding="utf-8"))
    names = [] if modes is None else [name.strip() for name in modes[1].split(",")]
    if library is None or "no_fuse" not in names:
        return "this MLX has no mode for graphs without fused operations"
    setter = getattr(ctypes.CDLL(str(library)), _SETTER, None)
    if setter is None:
        return "this MLX does not let the mode be set"
    setter.argtypes, setter.restype = [ctypes.c_int], None
    setter(names.index("no_fuse"))
    return None if compiles() else "MLX does so only where g++ is installed"


def compiles() -> bool:
    """Whether mx.compile does anything now. It does nothing where it is off, and on a CPU without g++."""
    built: list[int] = []

    def function(x: mx.array) -> mx.array:
        built.append(1)
        return x + 1

    compiled = mx.compile(function)
    calls = 3  # the first function of a process is built twice
    for _ in range(calls):
        compiled(mx.array(0))
    return len(built) < calls


def _first(folders: Iterable[Path], *names: str) -> Path | None:
    paths = (folder / name for folder in folders for name in names)
    return next((path for path in paths if path.exists()), None)


def main() -> int:
    """Prints whether graphs are kept on a CPU; status 1 where they are not."""
    fault = compile_without_fusing()
    print("kept" if fault is None else f"built anew for every token, which is slower: {fault}")
    return 0 if fault is None else 1


if __name__ == "__main__":
    sys.exit(main())
