"""What this machine's memory can hold, and which published checkpoints there are to fetch.

The engine reckons exactly, from the checkpoint itself, before it loads (`tidegate model fit`). Here is the same
in round figures, which a page can show at once; a test holds one against the other.
"""

import ctypes
import os
import sys
from dataclasses import dataclass
from typing import Literal

GIGABYTE = 10**9
_GIB = 1 << 30
_MIB = 1 << 20

CHECKED = "2026-11-30"
"""When ids, licences and MTP layers were looked up on public pages. Sizes are calculated, and agree with the
pages that state one."""


@dataclass(frozen=True, slots=True)
class Experts:
    """The routed experts of a checkpoint: `count` in each layer, `active` for a token, `nbytes` of them all."""

    count: int
    active: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes beside the weights, for context, states and activations: with all weights in memory and 32,768
    tokens of context, and with some experts on disk and 65,536."""

    whole: int
    streaming: int = 0


# From the engine's own plan.
_CODER_NEXT = Room(2_000_000_000, 3_900_000_000)
_35B_A3B = Room(1_700_000_000, 3_460_000_000)
_27B = Room(4_800_000_000)
_9B_AND_4B = Room(2_200_000_000)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A published checkpoint. `size` of what is fetched, in bytes; `unread`: the part of it that is not loaded,
    a vision encoder; `mtp`: the repository of its MTP layer, which conversions leave out, "" where there is
    none."""

    title: str
    repository: str
    size: int
    room: Room
    experts: Experts | None = None
    unread: int = 0
    mtp: str = ""
    license: str = "Apache-2.0"

    @property
    def memory(self) -> int:
        """What it takes of memory with 32,768 tokens of context, in bytes."""
        return self.size - self.unread + self.room.whole

    def judged(self, memory: int | None = None, kind: Literal["mac", "linux"] | None = None) -> "Verdict":
        """Whether it fits, as of `judge`."""
        return judge(self.size - self.unread, memory, self.experts, self.room, kind=kind)


def _coder_next(bits: int, size: int, routed: int) -> Recipe:
    repository = f"mlx-community/Qwen3-Coder-Next-{bits}bit"
    return Recipe(f"Coder-Next {bits}-bit", repository, size, _CODER_NEXT, Experts(512, 10, routed))


# 79.67 B parameters at 4.5, 6.5 and 8.5 bits: the scale and bias of each group of 64 cost half a bit a weight.
_CODER_NEXT_4 = _coder_next(4, 44_800_000_000, 43_500_000_000)
_CODER_NEXT_6 = _coder_next(6, 64_700_000_000, 62_800_000_000)
_CODER_NEXT_8 = _coder_next(8, 84_700_000_000, 82_100_000_000)
_SPARSE_4 = Recipe(
    "Qwen3.6-35B-A3B 4-bit",
    "mlx-community/Qwen3.6-35B-A3B-4bit",
    20_400_000_000,
    _35B_A3B,
    Experts(256, 8, 18_100_000_000),
    unread=900_000_000,
    mtp="mlx-community/Qwen3.6-35B-A3B-MTP-4bit",
)
_DENSE_27B = Recipe(
    "Qwen3.8-27B 4-bit",
    "mlx-community/Qwen3.8-27B-4bit",
    16_100_000_000,
    _27B,
    unread=900_000_000,
    mtp="mlx-community/Qwen3.8-27B-MTP-4bit",
)
_DENSE_9B_8 = Recipe(
    "Qwen3.5-9B 8-bit",
    "mlx-community/Qwen3.5-9B-MLX-8bit",
    10_430_000_000,
    _9B_AND_4B,
    unread=920_000_000,
    mtp="mlx-community/Qwen3.5-9B-MTP-4bit",
)
_DENSE_9B_4 = Recipe(
    "Qwen3.5-9B 4-bit",
    "mlx-community/Qwen3.5-9B-MLX-4bit",
    5_960_000_000,
    _9B_AND_4B,
    unread=920_000_000,
    mtp="mlx-community/Qwen3.5-9B-MTP-4bit",
)
_DENSE_4B = Recipe(
    "Qwen3.5-4B 4-bit",
    "mlx-community/Qwen3.5-4B-MLX-4bit",
    3_060_000_000,
    _9B_AND_4B,
    unread=680_000_000,
    mtp="mlx-community/Qwen3.5-4B-MTP-4bit",
)

RECIPES = (
    _CODER_NEXT_4,
    _CODER_NEXT_6,
    _CODER_NEXT_8,
    _SPARSE_4,
    _DENSE_27B,
    _DENSE_9B_8,
    _DENSE_9B_4,
    _DENSE_4B,
)
_PREFERRED = (
    _CODER_NEXT_8,
    _CODER_NEXT_6,
    _CODER_NEXT_4,
    _SPARSE_4,
    _DENSE_27B,
    _DENSE_9B_8,
    _DENSE_9B_4,
    _DENSE_4B,
)
"""The first of these that fits a machine suits it: the larger model, and of one model more bits. That of 35 B
goes before the dense one of 27 B because a token passes through 3 B of it."""

ORIGINAL = Recipe("16-bit", "Qwen/Qwen3-Coder-Next", 159_300_000_000, _CODER_NEXT)
"""What those of Coder-Next were made from, and what a conversion starts with."""

MIXED_SIZE = 46_000_000_000
"""The weights with `q4-dense8` (experts 4 bits, the rest 8), in bytes; calculated, as none is published."""


def suited(memory: int | None = None, kind: Literal["mac", "linux"] | None = None) -> Recipe | None:
    """The published checkpoint that suits a machine with `memory` bytes (this one by default); None where even
    the smallest is too large."""
    fitting = (recipe for recipe in _PREFERRED if recipe.judged(memory, kind).fits)
    running = (recipe for recipe in reversed(_PREFERRED) if recipe.judged(memory, kind).runs)
    return next(fitting, None) or next(running, None)


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
        """In a few words, for a list, or after "it runs"."""
        if self.fits:
            return "fits"
        return f"with {self.held} of {self.experts} experts in memory, slower" if self.runs else "too large"


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
    room: Room = _CODER_NEXT,
    *,
    kind: Literal["mac", "linux"] | None = None,
) -> Verdict:
    """Whether `weights` bytes fit a machine with `memory` bytes (this one by default), or with only some of
    their `experts` in memory (None: they cannot be read from disk)."""
    here = memory is None and kind is None
    memory = machine_memory() if memory is None else memory
    raised = wired_limit() if here else 0
    usable = usable_memory(memory, kind or ("mac" if sys.platform == "darwin" else "linux"), raised)
    needed = weights + room.whole
    fits = needed <= usable
    held = 0
    if not fits and experts is not None:
        left = usable - room.streaming - (weights - experts.nbytes)
        found = left * experts.count // experts.nbytes
        # A little too large for all of them still means that one has to go.
        held = min(found, experts.count - 1) if found >= experts.active else 0
    reason = (
        f"{gigabytes(weights)} of weights and {gigabytes(room.whole)} to work with "
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
