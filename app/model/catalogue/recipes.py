"""What this machine's memory can hold, and which published checkpoints there are to fetch.

The engine reckons exactly, from the checkpoint itself, before it loads (`tidegate model fit`). Here is the same
in round figures for Qwen3-Coder-Next, which a page can show at once; a test holds one against the other.
"""

import ctypes
import os
import sys
from dataclasses import dataclass
from typing import Literal

GIGABYTE = 10**9
_GIB = 1 << 30
_MIB = 1 << 20

# Beside the weights: context, states and activations, with all experts in memory (32 k tokens at least) and
# with some (64 k tokens).
_WORKING_BYTES = 2_000_000_000
_STREAMING_BYTES = 3_900_000_000
_EXPERT_SHARE = 0.9704
"""Of the parameters, those of routed experts: 48 layers of 512, each three matrices of 2048 x 512."""


@dataclass(frozen=True, slots=True)
class Experts:
    """The routed experts of a checkpoint: `count` in each layer, `active` for a token, `nbytes` of them all."""

    count: int
    active: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """A published checkpoint of Qwen3-Coder-Next. `size` is its weights, in bytes."""

    title: str
    repository: str
    size: int

    @property
    def experts(self) -> Experts:
        """What of it need not all be in memory."""
        return Experts(512, 10, int(self.size * _EXPERT_SHARE))


# 79.67 B parameters at 4.5, 6.5 and 8.5 bits: the scale and bias of each group of 64 cost half a bit a weight.
RECIPES = (
    Recipe("4-bit", "mlx-community/Qwen3-Coder-Next-4bit", 44_800_000_000),
    Recipe("6-bit", "mlx-community/Qwen3-Coder-Next-6bit", 64_700_000_000),
    Recipe("8-bit", "mlx-community/Qwen3-Coder-Next-8bit", 84_700_000_000),
)

ORIGINAL = Recipe("16-bit", "Qwen/Qwen3-Coder-Next", 159_300_000_000)
"""What the others were made from, and what a conversion starts with."""

MIXED_SIZE = 46_000_000_000
"""The weights with `q4-dense8` (experts 4 bits, the rest 8), in bytes; calculated, as none is published."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether weights fit into memory, and the reason in one sentence. Sizes in bytes. `held`: where they do
    not, how many of `experts` in each layer do, the others being read from disk; 0 where it does not run."""

    fits: bool
    needed: int
    usable: int
    reason: str
    held: int = 0
    experts: int = 0

    @property
    def runs(self) -> bool:
        """Whether the engine would load it."""
        return self.fits or self.held > 0

    @property
    def words(self) -> str:
        """In a few words, for a list."""
        if self.fits:
            return "fits"
        return (
            f"runs with {self.held} of {self.experts} experts in memory, slower" if self.runs else "too large"
        )


def machine_memory() -> int:
    """This machine's memory, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def wired_limit() -> int:
    """The limit that the user set for the GPU's memory (sysctl iogpu.wired_limit_mb), in bytes; 0 if unset."""
    if sys.platform == "darwin":  # not seen on a Mac yet
        value, size = ctypes.c_int64(), ctypes.c_size_t(8)
        name = b"iogpu.wired_limit_mb"
        if not ctypes.CDLL(None).sysctlbyname(name, ctypes.byref(value), ctypes.byref(size), None, 0):
            return value.value * 1024 * 1024
    return 0


def usable_memory(memory: int, kind: Literal["mac", "linux"], raised: int = 0) -> int:
    """What a model may take of it: of what macOS lets the GPU use (by default two thirds of up to 32 GiB, three
    quarters of more; else what it was `raised` to by hand), or of all on Linux, a sixteenth is left to others,
    and 1 GiB at least."""
    share = memory if kind == "linux" else memory * 2 // 3 if memory <= 32 * _GIB else memory * 3 // 4
    share = raised if kind == "mac" and raised else share
    return share - max(_GIB, share // 16)


def wired_limit_for(needed: int, memory: int) -> int | None:
    """The `iogpu.wired_limit_mb`, in MiB, with which a model that needs so many bytes would fit a Mac with
    `memory`; None where that would leave macOS less than an eighth of it."""
    raised = -(-max(needed * 16 // 15 + 1, needed + _GIB) // _MIB) * _MIB
    return raised // _MIB if raised <= memory - memory // 8 else None


def judge(
    weights: int,
    memory: int | None = None,
    experts: Experts | None = None,
    *,
    kind: Literal["mac", "linux"] | None = None,
) -> Verdict:
    """Whether `weights` bytes fit a machine with `memory` bytes (this one by default), or with only some of
    their `experts` in memory (None: they cannot be read from disk)."""
    here = memory is None and kind is None
    memory = machine_memory() if memory is None else memory
    raised = wired_limit() if here else 0
    usable = usable_memory(memory, kind or ("mac" if sys.platform == "darwin" else "linux"), raised)
    needed = weights + _WORKING_BYTES
    fits = needed <= usable
    held = 0
    if not fits and experts is not None:
        room = usable - _STREAMING_BYTES - (weights - experts.nbytes)
        found = room * experts.count // experts.nbytes
        # A little too large for all of them still means that one has to go.
        held = min(found, experts.count - 1) if found >= experts.active else 0
    reason = (
        f"{gigabytes(weights)} of weights and {gigabytes(_WORKING_BYTES)} to work with "
        f"{'fit' if fits else 'do not fit'} into the {gigabytes(usable)} that a model may use "
        f"of this machine's {gigabytes(memory)}"
    )
    is_mac = (kind or sys.platform) in ("mac", "darwin")
    if not fits and is_mac and (limit := wired_limit_for(needed, memory)) is not None:
        reason += f"; they would fit with sudo sysctl iogpu.wired_limit_mb={limit}, until the next restart"
    return Verdict(fits, needed, usable, reason, held, experts.count if experts is not None else 0)


def gigabytes(size: int) -> str:
    """A size in bytes for a person: "44.8 GB"."""
    return f"{size / GIGABYTE:.1f} GB"
