"""What this machine's memory can hold, and which published checkpoints there are to fetch."""

import os
from dataclasses import dataclass

GIGABYTE = 10**9

USABLE_SHARE = 0.75
"""Of a machine's memory, what a model may take: macOS lets the GPU use about three quarters by default, and the
system, the editor and the browser need the rest."""

WORKING_BYTES = 3 * GIGABYTE
"""Beside the weights: 64 k tokens of context at 24 KiB are 1.6 GB, snapshots and activations the rest."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A published checkpoint of Qwen3-Coder-Next. `size` is its weights, in bytes."""

    title: str
    repository: str
    size: int


# 79.67 B parameters at 4.5, 6.5 and 8.5 bits: the scale and bias of each group of 64 cost half a bit a weight.
RECIPES = (
    Recipe("4-bit", "mlx-community/Qwen3-Coder-Next-4bit", 44_800_000_000),
    Recipe("6-bit", "mlx-community/Qwen3-Coder-Next-6bit", 64_700_000_000),
    Recipe("8-bit", "mlx-community/Qwen3-Coder-Next-8bit", 84_700_000_000),
)

ORIGINAL = Recipe("16-bit", "Qwen/Qwen3-Coder-Next", 159_300_000_000)
"""What the others were made from, and what a conversion starts with."""

MIXED_SIZE = 46_000_000_000
"""The weights with `q4-dense8` (experts 4 bits, the rest 8), which nobody publishes, in bytes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether weights fit into memory, and the reason in one sentence. Sizes in bytes."""

    fits: bool
    needed: int
    usable: int
    reason: str


def machine_memory() -> int:
    """This machine's memory, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def judge(weights: int, memory: int | None = None) -> Verdict:
    """Whether `weights` bytes fit a machine with `memory` bytes (this one by default)."""
    memory = machine_memory() if memory is None else memory
    usable = int(memory * USABLE_SHARE)
    needed = weights + WORKING_BYTES
    fits = needed <= usable
    reason = (
        f"{gigabytes(weights)} of weights and {gigabytes(WORKING_BYTES)} to work with "
        f"{'fit' if fits else 'do not fit'} into the {gigabytes(usable)} that a model may use "
        f"of this machine's {gigabytes(memory)}"
    )
    return Verdict(fits, needed, usable, reason)


def gigabytes(size: int) -> str:
    """A size in bytes for a person: "44.8 GB"."""
    return f"{size / GIGABYTE:.1f} GB"
