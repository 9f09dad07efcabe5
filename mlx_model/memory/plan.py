"""The memory plan: what a model will hold in memory, computed before any of it is loaded.

Unified memory is shared by weights, states, other programs and the display, so a plan leaves a margin. A model
that does not fit is refused, with advice on what would fit. All sizes are bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from mlx_model.config.model_config import ModelConfig
from mlx_model.memory.activation_bytes import Arithmetic, block_bytes
from mlx_model.memory.footprint import Footprint, PackingOf, footprint, slot_bytes, unpacked
from mlx_model.memory.machine import GIB, Machine, Pressure
from mlx_model.state.disk.tier import DiskLimits
from mlx_model.state.sequence import ROLLBACK_POINTS
from mlx_model.weights.layout import Component

CHUNKS = (2048, 1024, 512, 256, 128, 64)
"""Prompt tokens computed at once, best first."""

_GOOD_CHUNK = 512
"""The largest chunk that is given up for a longer context or more experts in memory."""
_CONTEXT_STEP = 1024
"""Contexts are multiples of this many tokens."""
_USEFUL_CONTEXT = 65_536
_SHORT_CONTEXT = 32_768
"""Where the user asks for no context: the tokens that a plan tries to fit with all experts in memory, and those
it shortens the context to before experts leave memory, or where a dense model does not fit."""
_LEAST_SNAPSHOTS = 2
_LEAST_SNAPSHOT_TOKENS = 8_192
"""Snapshots that memory holds at least (the end of the system prompt and the conversation's last state), and
the tokens of KV reserved for them; longer ones are on disk only."""
_STATES = 2 + ROLLBACK_POINTS
"""Recurrent states of a conversation: the current one, the one before a block of drafts, and rollback
points."""
_SNAPSHOT_SHARE = 16
"""Snapshots take at most one sixteenth of the machine's memory."""
_MARGIN_SHARE = 16
"""One sixteenth of the usable memory is left to others: the display, an editor, a test run."""
WIRED_SHARE = 0.95
"""Of the GPU's working set: wiring nearly all of it has panicked Macs."""
_LEAST_CACHE = 1 << 28
"""Bytes of freed buffers that MLX may always cache."""


@dataclass(frozen=True, slots=True)
class DrafterSize:
    """A DFlash drafter: bytes of its weights, of what it keeps of a token, and of the hidden states that it is
    given of a token of a chunk."""

    weights: int
    a_token: int
    a_pending_token: int


@dataclass(frozen=True, slots=True)
class AdapterSize:
    """An adapter: bytes of its matrices, and whether it brings an MTP layer beside the model's own."""

    matrices: int
    mtp: bool


@dataclass(frozen=True, slots=True)
class Model:
    """The model to run. `kv_bits` None keeps keys and values exact; `mtp`: with the MTP layer; `all_logits`: as
    for block_bytes; `widened`: packed weights are unpacked when they are loaded, into floats of the
    arithmetic; `drafter` and `adapter`: those that are loaded too."""

    config: ModelConfig
    packing: PackingOf
    arithmetic: Arithmetic = field(default_factory=Arithmetic)
    kv_bits: int | None = None
    mtp: bool = False
    all_logits: bool = False
    widened: bool = False
    drafter: DrafterSize = DrafterSize(0, 0, 0)
    adapter: AdapterSize = AdapterSize(0, mtp=False)


@dataclass(frozen=True, slots=True)
class Wishes:
    """The user's choices, None where the plan decides: tokens of context, expert slots of each layer, tokens of
    a chunk, and bytes of snapshots in memory."""

    context: int | None = None
    expert_slots: int | None = None
    chunk: int | None = None
    snapshots: int | None = None


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes by use, with the context and chunk (tokens) that they allow. `expert_slots` None: all experts are
    resident; `weights` counts resident ones only; `adapter`: with its MTP layer. `kv`: of a full context, the
    model's MTP layer included; `state`: the recurrent states of a conversation; `snapshots`: the budget of
    snapshots in memory."""

    model: Model
    machine: Machine
    weights: dict[Component, int]
    adapter: int
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
        """Weights in memory, those of drafter and adapter included."""
        return sum(self.weights.values()) + self.model.drafter.weights + self.adapter

    @property
    def peak(self) -> int:
        """The most that the engine holds at once, snapshots included."""
        return self.weight_bytes + self.kv + self.state + self.stored + self.activations

    @property
    def stored(self) -> int:
        """Snapshots, and those that wait to be written to disk: as much again, within DiskLimits.pending."""
        return self.snapshots + min(self.snapshots, DiskLimits().pending)

    def request_bytes(self, tokens: int) -> int:
        """Bytes beside the weights while a prompt of `tokens` tokens is computed."""
        block = block_bytes(
            self.model.config,
            min(self.chunk, tokens),
            tokens,
            self.model.arithmetic,
            kv_bits=self.model.kv_bits,
        )
        block += min(self.chunk, tokens) * self.model.drafter.a_pending_token
        return block + tokens * self.kv // max(self.context, 1) + self.state

    def holds(self, lengths: Sequence[int]) -> bool:
        """Whether conversations of these lengths in tokens can be under way at once: in what is planned for one
        with a full context, and what is free beside the peak."""
        taken = sum(length * self.kv // max(self.context, 1) + self.state for length in lengths)
        return taken <= self.kv + self.state + max(0, self.budget - self.peak)

    @property
    def budget(self) -> int:
        """The most that the engine may hold: the usable memory without the margin."""
        return self.machine.usable - self.margin

    @property
    def fits(self) -> bool:
        """Whether the peak is within the budget."""
        return self.peak <= self.budget

    @property
    def wired_limit(self) -> int:
        """Bytes that macOS may not page out: the peak, at most WIRED_SHARE of the usable memory."""
        return min(self.peak, int(WIRED_SHARE * self.machine.usable))

    @property
    def memory_limit(self) -> int:
        """Bytes in use from which on MLX waits for running work to free memory."""
        return max(self.budget, self.peak)

    @property
    def cache_limit(self) -> int:
        """Bytes of freed buffers that MLX may cache: enough to reuse those of one chunk for the next."""
        return max(self.activations, _LEAST_CACHE)


def plan_memory(model: Model, machine: Machine, wishes: Wishes | None = None) -> MemoryPlan:
    """The best plan that fits, or the smallest one that does not.

    All experts are resident if that leaves room for the context asked for (or a useful one); else as many as
    fit. The remaining memory is spent on larger chunks, then on a longer context where none was asked for, then
    on snapshots.
    """
    return _Planner(model, machine, wishes or Wishes()).best()


def widen_if_it_fits(plan: MemoryPlan, wishes: Wishes | None = None) -> MemoryPlan:
    """The plan with weights widened, where that costs neither context nor chunk nor experts in memory; else the
    plan as it is."""
    wide = plan_memory(replace(plan.model, widened=True), plan.machine, wishes)
    same = (wide.context, wide.chunk, wide.expert_slots) == (plan.context, plan.chunk, None)
    return wide if wide.fits and same else plan


class _Planner:
    def __init__(self, model: Model, machine: Machine, wishes: Wishes) -> None:
        self.model, self.machine, self.wishes = model, machine, wishes
        config, float_bytes = model.config, model.arithmetic.float_bytes
        packing = unpacked if model.widened else model.packing
        self.size: Footprint = footprint(config, packing, mtp=model.mtp, float_bytes=float_bytes)
        # One expert of every layer, without and with the MTP layer's.
        self.main_slot = slot_bytes(config, packing, float_bytes=float_bytes)
        self.slot = slot_bytes(config, packing, mtp=model.mtp, float_bytes=float_bytes)
        longest = config.context_length
        self.context = min(wishes.context or longest, longest)
        self.margin = margin(machine)

    def best(self) -> MemoryPlan:
        least = self.context if self.wishes.context else min(self.context, _USEFUL_CONTEXT)
        slots = self._slots(least)
        if not self.wishes.context and (slots is not None or not self._holds_all(least)):
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
        if not experts or self._holds_all(context):
            return None
        for chunk in self._chunks(_GOOD_CHUNK):
            empty = self._plan(context, chunk, 0)
            slots = (empty.budget - empty.peak) // self.slot
            if slots >= self.model.config.num_experts_per_tok:
                return slots if slots < experts else None
        return self.model.config.num_experts_per_tok

    def _holds_all(self, context: int) -> bool:
        """Whether the context fits with all experts in memory."""
        return any(self._plan(context, chunk, None).fits for chunk in self._chunks(_GOOD_CHUNK))

    def _chunk(self, context: int, slots: int | None) -> int:
        chunks = list(self._chunks())
        return next((chunk for chunk in chunks if self._plan(context, chunk, slots).fits), chunks[-1])

    def _chunks(self, most: int = CHUNKS[0]) -> Iterator[int]:
        if self.wishes.chunk is not None:
            yield self.wishes.chunk
        else:
            # On a CPU, larger chunks take memory and gain no speed, or lose some.
            most = min(most, _GOOD_CHUNK) if self.model.arithmetic.on_cpu else most
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
        adapter = model.adapter.matrices
        if model.adapter.mtp:
            adapter += size.components[Component.MTP].nbytes
        a_token = kv_bytes(model, size)
        least = _LEAST_SNAPSHOTS * size.snapshot_bytes + min(context, _LEAST_SNAPSHOT_TOKENS) * a_token
        return MemoryPlan(
            model=model,
            machine=self.machine,
            weights=weights,
            adapter=adapter,
            context=context,
            chunk=chunk,
            expert_slots=slots,
            kv=context * (a_token + mtp_kv_bytes(model) + model.drafter.a_token),
            state=_STATES * size.snapshot_bytes,
            snapshots=least if self.wishes.snapshots is None else self.wishes.snapshots,
            activations=block_bytes(
                model.config,
                min(chunk, context),
                context,
                model.arithmetic,
                kv_bits=model.kv_bits,
                all_logits=model.all_logits,
            )
            + min(chunk, context) * model.drafter.a_pending_token,
            margin=self.margin,
        )


def kv_bytes(model: Model, size: Footprint) -> int:
    """Bytes of one token's keys and values in all attention layers."""
    if model.kv_bits is None:
        return size.kv_bytes_per_token
    # 8 bits each, and a scale and a bias per group of 64 (32 where 64 does not divide head_dim).
    group = 64 if model.config.head_dim % 64 == 0 else 32
    elements = size.kv_bytes_per_token // model.arithmetic.float_bytes
    return elements + elements // group * 2 * model.arithmetic.float_bytes


def mtp_kv_bytes(model: Model) -> int:
    """Bytes of one token's keys and values in the MTP layer, which keeps them exact; 0 without one."""
    config = model.config
    return 2 * config.num_key_value_heads * config.head_dim * model.arithmetic.float_bytes * model.mtp


def margin(machine: Machine) -> int:
    """Bytes left to other programs: at least 1 GiB; twice or three times as much under memory pressure."""
    normal = max(GIB, machine.usable // _MARGIN_SHARE)
    return normal * {Pressure.NORMAL: 1, Pressure.WARNING: 2, Pressure.CRITICAL: 3}[machine.pressure]
