"""The plan: what a model will hold in this machine's memory, settled before a byte of it is loaded.

Unified memory is one pool for weights, states, the editor and the display, so a plan leaves a margin, and what
does not fit is refused with what would. All sizes are bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from mlx_model.config.model_config import ModelConfig
from mlx_model.memory.activation_bytes import Arithmetic, block_bytes
from mlx_model.memory.footprint import Footprint, PackingOf, footprint, slot_bytes
from mlx_model.memory.machine import GIB, Machine, Pressure
from mlx_model.state.disk.tier import DiskLimits
from mlx_model.state.sequence import ROLLBACK_POINTS
from mlx_model.weights.layout import Component

CHUNKS = (2048, 1024, 512, 256, 128, 64)
"""Prompt tokens computed at once, best first."""

# Chunks that are tried before a smaller context or fewer experts are.
_GOOD_CHUNK = 512
_CONTEXT_STEP = 1024
# Without a context asked for: what it is shortened to before experts leave memory, and what it is then.
_SHORT_CONTEXT = 32_768
_USEFUL_CONTEXT = 65_536
# Of past states, memory holds at least the end of the system prompt and where the conversation was last, as far
# as so many tokens of keys and values go; longer ones are on disk alone.
_LEAST_SNAPSHOTS = 2
_LEAST_SNAPSHOT_TOKENS = 8_192
_STATES = 2 + ROLLBACK_POINTS
"""Recurrent states of a conversation: the current one, the one before a block of drafts, and rollback
points."""
_SNAPSHOT_SHARE = 16
# What others in the same pool may want while a request runs: the display, the editor, a test run.
_MARGIN_SHARE = 16
_WIRED_SHARE = 0.95
_LEAST_CACHE = 1 << 28


@dataclass(frozen=True, slots=True)
class Model:
    """What is to be run. `kv_bits` None keeps keys and values exact; `mtp`: with the MTP layer."""

    config: ModelConfig
    packing: PackingOf
    arithmetic: Arithmetic = field(default_factory=Arithmetic)
    kv_bits: int | None = None
    mtp: bool = False
    all_logits: bool = False


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user fixed; None leaves it to the plan."""

    context: int | None = None
    expert_slots: int | None = None
    chunk: int | None = None
    snapshots: int | None = None


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """What goes where. `expert_slots` None: all experts are resident. `weights` counts only what is. `kv` is
    that of a full context, the MTP layer's with it; `state` what is recurrent in a conversation; `snapshots`
    what past states may take."""

    model: Model
    machine: Machine
    weights: dict[Component, int]
    context: int
    chunk: int
    expert_slots: int | None
    kv: int
    state: int
    snapshots: int
    activations: int
    margin: int

    @property
    def weight_bytes(self) -> int:
        """Weights in memory."""
        return sum(self.weights.values())

    @property
    def peak(self) -> int:
        """The most the engine holds at once; snapshots included."""
        return self.weight_bytes + self.kv + self.state + self.stored + self.activations

    @property
    def stored(self) -> int:
        """Snapshots, and as much again that may wait to be written to disk, within a limit."""
        return self.snapshots + min(self.snapshots, DiskLimits().pending)

    def request_bytes(self, tokens: int) -> int:
        """What a prompt of so many tokens takes beside the weights while it is computed."""
        block = block_bytes(
            self.model.config,
            min(self.chunk, tokens),
            tokens,
            self.model.arithmetic,
            kv_bits=self.model.kv_bits,
        )
        return block + tokens * self.kv // max(self.context, 1) + self.state

    @property
    def budget(self) -> int:
        """What the engine may hold: what is usable without the margin for everyone else."""
        return self.machine.usable - self.margin

    @property
    def fits(self) -> bool:
        """Whether everything has its place."""
        return self.peak <= self.budget

    @property
    def wired_limit(self) -> int:
        """What macOS may not page out: all that the engine holds, and never nearly all the GPU may use."""
        return min(self.peak, int(_WIRED_SHARE * self.machine.usable))

    @property
    def memory_limit(self) -> int:
        """Where MLX begins to wait for memory to come free."""
        return max(self.budget, self.peak)

    @property
    def cache_limit(self) -> int:
        """What MLX may keep of freed buffers: enough for the next chunk, or token, to find its own again."""
        return max(self.activations, _LEAST_CACHE)


def plan_memory(model: Model, machine: Machine, wishes: Wishes | None = None) -> MemoryPlan:
    """The best plan that fits, or the smallest one that does not.

    All experts stay resident if that leaves room for the context asked for (or a useful one); else as many as
    fit. What is left makes chunks larger, then the context longer where none was asked for, then snapshots.
    """
    return _Planner(model, machine, wishes or Wishes()).best()


class _Planner:
    def __init__(self, model: Model, machine: Machine, wishes: Wishes) -> None:
        self.model, self.machine, self.wishes = model, machine, wishes
        config, float_bytes = model.config, model.arithmetic.float_bytes
        self.size: Footprint = footprint(config, model.packing, mtp=model.mtp, float_bytes=float_bytes)
        # One expert of every layer, without and with the MTP layer's.
        self.main_slot = slot_bytes(config, model.packing, float_bytes=float_bytes)
        self.slot = slot_bytes(config, model.packing, mtp=model.mtp, float_bytes=float_bytes)
        longest = config.context_length
        self.context = min(wishes.context or longest, longest)
        self.margin = margin(machine)

    def best(self) -> MemoryPlan:
        least = self.context if self.wishes.context else min(self.context, _USEFUL_CONTEXT)
        slots = self._slots(least)
        if slots is not None and not self.wishes.context:
            shorter = min(self.context, _SHORT_CONTEXT)
            if self._slots(shorter) is None:
                least, slots = shorter, None
        chunk = self._chunk(least, slots)
        context = self.context if self.context == least else self._longest(slots, chunk, least)
        plan = self._plan(context, chunk, slots)
        if self.wishes.snapshots is not None:
            return plan
        room = max(plan.budget - plan.peak + plan.stored, 0)
        most = max(plan.snapshots, self.machine.memory // _SNAPSHOT_SHARE)
        snapshots = max(room // 2, room - DiskLimits().pending, plan.snapshots)
        return replace(plan, snapshots=min(snapshots, most))

    def _slots(self, context: int) -> int | None:
        experts = self.model.config.num_experts
        if self.wishes.expert_slots is not None:
            return self.wishes.expert_slots if self.wishes.expert_slots < experts else None
        if not experts or any(self._plan(context, chunk, None).fits for chunk in self._chunks(_GOOD_CHUNK)):
            return None
        for chunk in self._chunks(_GOOD_CHUNK):
            empty = self._plan(context, chunk, 0)
            slots = (empty.budget - empty.peak) // self.slot
            if slots >= self.model.config.num_experts_per_tok:
                return slots if slots < experts else None
        return self.model.config.num_experts_per_tok

    def _chunk(self, context: int, slots: int | None) -> int:
        chunks = list(self._chunks())
        return next((chunk for chunk in chunks if self._plan(context, chunk, slots).fits), chunks[-1])

    def _chunks(self, most: int = CHUNKS[0]) -> Iterator[int]:
        if self.wishes.chunk is not None:
            yield self.wishes.chunk
        else:
            # On a CPU no chunk is large enough to be worth its memory.
            most = min(most, _GOOD_CHUNK) if self.model.arithmetic.stepwise else most
            yield from (chunk for chunk in CHUNKS if chunk <= most)

    def _longest(self, slots: int | None, chunk: int, least: int) -> int:
        """The longest context in whole steps that fits."""
        low, high = least, self.context
        if self._plan(high, chunk, slots).fits:
            return high
        while high - low > _CONTEXT_STEP:
            middle = (low + high) // 2 // _CONTEXT_STEP * _CONTEXT_STEP
            low, high = (middle, high) if self._plan(middle, chunk, slots).fits else (low, middle)
        return low

    def _plan(self, context: int, chunk: int, slots: int | None) -> MemoryPlan:
        model, size = self.model, self.size
        weights = {part: value.nbytes for part, value in size.components.items()}
        if slots is not None:
            absent = model.config.num_experts - slots
            weights[Component.EXPERTS] -= absent * self.main_slot
            if Component.MTP in weights:
                weights[Component.MTP] -= absent * (self.slot - self.main_slot)
        a_token = kv_bytes(model, size)
        least = _LEAST_SNAPSHOTS * size.snapshot_bytes + min(context, _LEAST_SNAPSHOT_TOKENS) * a_token
        return MemoryPlan(
            model=model,
            machine=self.machine,
            weights=weights,
            context=context,
            chunk=chunk,
            expert_slots=slots,
            kv=context * (a_token + mtp_kv_bytes(model)),
            state=_STATES * size.snapshot_bytes,
            snapshots=least if self.wishes.snapshots is None else self.wishes.snapshots,
            activations=block_bytes(
                model.config,
                min(chunk, context),
                context,
                model.arithmetic,
                kv_bits=model.kv_bits,
                all_logits=model.all_logits,
            ),
            margin=self.margin,
        )


def kv_bytes(model: Model, size: Footprint) -> int:
    """Keys and values of one token, over all attention layers."""
    if model.kv_bits is None:
        return size.kv_bytes_per_token
    # 8 bits each, and a scale and a bias a group of 64 (32 where 64 does not divide a head).
    group = 64 if model.config.head_dim % 64 == 0 else 32
    elements = size.kv_bytes_per_token // model.arithmetic.float_bytes
    return elements + elements // group * 2 * model.arithmetic.float_bytes


def mtp_kv_bytes(model: Model) -> int:
    """Keys and values of one token in the MTP layer, which keeps them exact; 0 without one."""
    config = model.config
    return 2 * config.num_key_value_heads * config.head_dim * model.arithmetic.float_bytes * model.mtp


def margin(machine: Machine) -> int:
    """What is left to everyone else: at least 1 GiB, and more where the system is short already."""
    normal = max(GIB, machine.usable // _MARGIN_SHARE)
    return normal * {Pressure.NORMAL: 1, Pressure.WARNING: 2, Pressure.CRITICAL: 3}[machine.pressure]
