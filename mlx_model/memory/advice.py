"""One sentence on a memory plan: that it fits, or what would make it fit."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from mlx_model.memory.footprint import recipe_packing
from mlx_model.memory.machine import GIB, Machine, mac
from mlx_model.memory.plan import AdapterSize, MemoryPlan, Model, Wishes, plan_memory
from mlx_model.weights.recipes import Recipe

_CONTEXTS = (131_072, 65_536, 32_768, 16_384, 8_192, 4_096)
"""Shorter contexts that are tried, in tokens."""
_SIZES = (16, 24, 32, 36, 48, 64, 96, 128, 192, 256, 512)
"""Memory sizes in GiB that Macs with Apple silicon are sold with."""

_MIB = 1 << 20
"""Bytes."""

_Good = Callable[[MemoryPlan], bool]


def verdict(model: Model, machine: Machine, wishes: Wishes, plan: MemoryPlan) -> str:
    """One sentence with figures: whether the plan fits, and what would make it fit, or fit better."""
    if plan.fits and plan.expert_slots is None:
        return (
            f"It fits: {gigabytes(plan.peak)} of the {gigabytes(plan.budget)} that a model may use here, "
            f"with {plan.context:,} tokens of context."
        )
    if plan.fits:
        better = listed(_remedies(model, machine, wishes, plan, lambda p: p.fits and p.expert_slots is None))
        return (
            f"It fits with {plan.expert_slots} of {model.config.num_experts} experts of each layer in memory "
            f"and the others read from disk, which is slower; all of them would be in memory {better}."
        )
    ways = listed(_remedies(model, machine, wishes, plan, lambda p: p.fits))
    return (
        f"It does not fit: it needs {gigabytes(plan.peak)} and a model may use {gigabytes(plan.budget)} here; "
        f"it would fit {ways}."
    )


def gigabytes(size: int) -> str:
    """A size for a person: "44.8 GB"."""
    return f"{size / 1e9:.1f} GB"


def _remedies(model: Model, machine: Machine, wishes: Wishes, plan: MemoryPlan, good: _Good) -> Iterator[str]:
    """Single changes that make the plan good, the smallest first."""
    for context in _CONTEXTS:
        if context < plan.context and good(plan_memory(model, machine, replace(wishes, context=context))):
            yield f"with a context of {context:,} tokens"
            break
    if model.kv_bits is None and good(plan_memory(replace(model, kv_bits=8), machine, wishes)):
        yield "with keys and values at 8 bits"
    if good(plan_memory(replace(model, adapter=AdapterSize(0, mtp=False)), machine, wishes)):
        yield "without adapters"
    if wishes.expert_slots is not None:
        free = plan_memory(model, machine, replace(wishes, expert_slots=None))
        if good(free):
            count = "all" if free.expert_slots is None else str(free.expert_slots)
            yield f"with {count} experts of each layer in memory"
    four = replace(model, packing=recipe_packing(Recipe.Q4))
    if plan_memory(four, machine, wishes).weight_bytes < plan.weight_bytes and good(
        plan_memory(four, machine, wishes)
    ):
        yield "at 4 bits (recipe q4)"
    raised = _wired_limit_mb(machine, lambda larger: good(plan_memory(model, larger, wishes)))
    if raised is not None:
        yield f"with sudo sysctl iogpu.wired_limit_mb={raised}, until the next restart"
    for size in _SIZES:
        larger = mac(size * GIB) if machine.kind == "mac" else Machine(size * GIB, size * GIB, machine.kind)
        if larger.usable > machine.usable and good(plan_memory(model, larger, wishes)):
            yield f"{'on a Mac' if machine.kind == 'mac' else 'on a machine'} with {size} GB"
            break


def _wired_limit_mb(machine: Machine, does: Callable[[Machine], bool]) -> int | None:
    """The least limit of the GPU's memory, in MiB, with which this Mac `does`; None where that would leave
    macOS less than an eighth of the memory."""
    if machine.kind != "mac":
        return None

    def raised(limit: int) -> bool:
        return does(replace(machine, usable=limit * _MIB))

    least, most = machine.usable // _MIB + 1, (machine.memory - machine.memory // 8) // _MIB
    if least > most or not raised(most):
        return None
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if raised(middle) else (middle + 1, most)
    return least


def listed(clauses: Iterable[str]) -> str:
    """Changes that would make it fit, as words."""
    *first, last = list(clauses) or ["on a far larger machine"]
    return f"{', '.join(first)} or {last}" if first else last
