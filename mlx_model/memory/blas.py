"""A fast BLAS for MLX on a Linux CPU, opened before mlx is imported.

MLX's Linux wheel brings the reference BLAS along, and multiplies float32 matrices with it. The dynamic linker
prefers the functions of a library that was opened with RTLD_GLOBAL before mlx to those that mlx brings
(dlopen(3)), so opening a faster CBLAS first is enough. Run as a program, this module names the one that the
engine would take, for `tidegate doctor`.

With the reference BLAS, a row's sums do not depend on how many rows are multiplied with it: drafted and plain
replies are equal, and so are restored and cold states. A fast one chooses its kernel by the shapes, so both
hold up to rounding only.
"""

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

from mlx_model.errors import EngineError

VARIABLE = "TIDEGATE_BLAS"
"""In the environment: the name or path of the library to take, or REFERENCE."""
REFERENCE = "reference"
"""The value of VARIABLE that keeps MLX's own BLAS."""

_LIBRARIES = (
    "libopenblasp.so.0",  # Fedora's OpenBLAS with threads; its libopenblas.so.0 has none
    "libopenblas.so.0",
    "libmkl_rt.so.2",
    "libmkl_rt.so.3",
    "libblis.so.4",
)
"""Tried in this order, by the names under which the linker finds them."""


class BlasUnusable(EngineError):
    """The library that TIDEGATE_BLAS names cannot be opened, or is no CBLAS."""


_SPINNING = ("OPENBLAS_THREAD_TIMEOUT", "4")
"""Has OpenBLAS's idle threads sleep at once (after 2^4 clock cycles; its default is 2^26) instead of spinning:
between the small products of a decode step they would keep every core busy. With the practice model on two
cores a reply took as long, and a fifth of the system time."""


@cache
def fast_blas() -> Path | None:
    """The BLAS that MLX uses in place of the one it brings; None where it uses its own.

    The first call opens it, so it must come before mlx is imported: later, nothing is opened and the answer is
    None. A CBLAS that is in the process already (LD_PRELOAD) is left as it is. Raises BlasUnusable.
    """
    wanted = os.environ.get(VARIABLE, "")
    if sys.platform != "linux" or "mlx.core" in sys.modules or wanted == REFERENCE:
        return None
    os.environ.setdefault(*_SPINNING)
    if wanted:
        try:
            ctypes.CDLL(wanted, mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            raise BlasUnusable(f"{VARIABLE} names {wanted}, which cannot be opened: {error}.") from None
        found = _first_in_the_process()
        if found is None:
            raise BlasUnusable(f"{VARIABLE} names {wanted}, which has no cblas_sgemm.")
        return found
    for name in _LIBRARIES:
        if found := _first_in_the_process():
            return found
        try:
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue
    return _first_in_the_process()


def blas_in_words() -> str:
    """Which BLAS multiplies, or how to get a fast one. Raises BlasUnusable."""
    fast = fast_blas()
    if fast is not None:
        return f"{fast}"
    if os.environ.get(VARIABLE) == REFERENCE:
        return f"MLX's own, which is slow: {VARIABLE}={REFERENCE} asks for it"
    return "MLX's own, which is slow: install OpenBLAS (Debian, Ubuntu: apt install libopenblas0)"


class _SymbolInfo(ctypes.Structure):
    """Dl_info of dladdr(3)."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


def _first_in_the_process() -> Path | None:
    """The library whose cblas_sgemm is found first by libraries that are opened from now on."""
    process = ctypes.CDLL(None)
    try:
        function = process.cblas_sgemm
    except AttributeError:
        return None
    info = _SymbolInfo()
    process.dladdr(ctypes.cast(function, ctypes.c_void_p), ctypes.byref(info))
    return Path(os.fsdecode(info.file or b"cblas"))


def main() -> int:
    """Prints blas_in_words; status 1 where MLX uses its own, 2 where TIDEGATE_BLAS is wrong."""
    try:
        print(blas_in_words())
    except BlasUnusable as error:
        print(error)
        return error.exit_status
    return 0 if fast_blas() is not None else 1


if __name__ == "__main__":
    sys.exit(main())
