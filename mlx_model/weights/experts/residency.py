"""Experts in and out of memory: a bank of slots for each layer, filled from the checkpoint's files as needed.

What a token needs and does not find is read, several experts at once, before the layer runs. A chunk of a
prompt that needs more experts than there are slots is computed in batches: first with what is there, then each
missing expert once, in order, through the slots worth least, the next batch being read while one is computed.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_model.weights.checkpoint import Checkpoint
from mlx_model.weights.experts.files import DiskReader, ExpertFiles, ExpertTensor, FileReader, expert_tensors
from mlx_model.weights.experts.slots import Experts, ExpertSlots, Frequencies

_READERS = 16
# Of the slots, one in so many lets a prompt's experts pass through.
_PASSING_SHARE = 4
# A bank of so many times the experts that one token needs takes guesses.
_GUESS_SHARE = 3
# Results that may be waiting to be computed from slots that have not changed.
_PENDING = 16


@dataclass(slots=True)
class ExpertCounts:
    """How many experts layers needed (each once a step or chunk), how many of them were not in memory when they
    were asked for, and the bytes read, those of guesses with them."""

    needed: int = 0
    read: int = 0
    nbytes: int = 0

    def __sub__(self, other: "ExpertCounts") -> "ExpertCounts":
        return ExpertCounts(self.needed - other.needed, self.read - other.read, self.nbytes - other.nbytes)

    @property
    def hit_rate(self) -> float:
        """Of the experts needed, the share that was in memory."""
        return 1 - self.read / self.needed if self.needed else 1.0


class Bank:
    """An ExpertBank over a layer's files. Used from the engine's thread; the pool's threads only read."""

    def __init__(
        self,
        *,
        files: ExpertFiles,
        slots: ExpertSlots,
        compute: mx.Dtype,
        pool: ThreadPoolExecutor,
        counts: ExpertCounts,
    ) -> None:
        self._files = files
        self._slots = slots
        self._pool = pool
        self._counts = counts
        self._reading: dict[Future[None], tuple[int, int]] = {}
        self._pending: list[mx.array] = []
        self._forget: Callable[[], None] = lambda: None
        self._tensors = {
            tensor.name: _new_slots(slots.expert_in.size, tensor, tensor.dtype(compute))
            for tensor in files.tensors
        }
        self._memory = {name: _memory(array) for name, array in self._tensors.items()}

    @property
    def slots(self) -> int:
        """See ExpertBank."""
        return int(self._slots.expert_in.size)

    @property
    def nbytes(self) -> int:
        """Bytes of all slots."""
        return sum(tensor.nbytes for tensor in self._tensors.values())

    @property
    def frequencies(self) -> Frequencies:
        """How often each expert was used, decayed."""
        return self._slots.frequencies

    @property
    def tensors(self) -> Mapping[str, mx.array]:
        """See ExpertBank."""
        return self._tensors

    def used_by(self, result: mx.array) -> None:
        """See ExpertBank."""
        self._pending.append(result)
        if len(self._pending) >= _PENDING:
            self._finish_pending()

    def expect(self, experts: Experts) -> None:
        """See ExpertBank. A guess must not cost what is sure, so small banks leave it."""
        missing = experts[self._slots.slot_of[experts] < 0]
        if missing.size and not self._reading and self.slots >= _GUESS_SHARE * experts.size:
            self._finish_pending()
            self._read(missing, experts)

    def hold(
        self, chosen: NDArray[Any], tokens: int, meanwhile: Callable[[], None] | None = None
    ) -> Iterator[tuple[Experts, Experts]]:
        """See ExpertBank."""
        # What a reply left behind that ended early is no concern of this one.
        self._settle(forgive=True)
        needed, counts = np.unique(chosen, return_counts=True)
        self._slots.note(needed, counts, tokens)
        missing = needed[self._slots.slot_of[needed] < 0]
        self._counts.needed += needed.size
        self._counts.read += missing.size
        if missing.size:
            self._finish_pending()
        if needed.size <= self.slots:
            self._read(missing, needed)
            if meanwhile is not None:
                meanwhile()
            self._settle()
            yield needed, self._slots.slot_of
            return
        present = needed[self._slots.slot_of[needed] >= 0]
        if meanwhile is not None:
            meanwhile()
        size = max(1, self.slots // _PASSING_SHARE)
        passing = [missing[start : start + size] for start in range(0, missing.size, size)]
        batches = [present, *passing] if present.size else passing
        if not present.size:
            self._read(batches[0], batches[0])
            self._settle()
        for batch, following in pairwise([*batches, None]):
            assert batch is not None
            ahead = following is not None and self._read(following, np.concatenate([batch, following]))
            yield batch, self._slots.slot_of
            if following is not None and not ahead:
                self._read(following, following)
            self._settle()

    @property
    def favourite_bytes(self) -> int:
        """Bytes on disk of the experts that were used most."""
        return len(self._slots.favourites()) * self._files.nbytes

    def warm(self) -> None:
        """Reads the experts that were used most, before they are asked for. Raises ExpertUnreadable."""
        favourites = np.array(self._slots.favourites(), dtype=np.intp)
        missing = favourites[self._slots.slot_of[favourites] < 0]
        self._read(missing, favourites)
        self._settle()

    def before_change(self, forget: Callable[[], None]) -> None:
        """See ExpertBank. Only the last to ask is told."""
        self._forget = forget

    def resize(self, slots: int) -> None:
        """Gives memory back, or takes more: the most used experts stay. Little more than a tensor is held
        twice; where there is no room even for that, what was in it is read again when it is needed."""
        if slots == self.slots:
            return
        self._settle(forgive=True)
        self._finish_pending()
        kept = self._slots.hottest(slots)
        rows = mx.array(kept.astype(np.uint32))
        experts = self._slots.expert_in[kept]
        self._slots = ExpertSlots(self._slots.slot_of.size, slots, self._slots.frequencies)
        for slot, expert in enumerate(experts):
            self._slots.fill(slot, int(expert))
        self._forget()
        for tensor in self._files.tensors:
            del self._memory[tensor.name]
            array = self._tensors.pop(tensor.name)[rows]
            dtype = array.dtype
            if rows.size < slots:
                array = mx.concatenate([array, mx.zeros((slots - rows.size, *tensor.shape), dtype)])
            try:
                mx.eval(array)
            except (RuntimeError, MemoryError):
                del array
                mx.clear_cache()
                self._slots.empty(np.arange(slots))
                array = _new_slots(slots, tensor, dtype)
            self._tensors[tensor.name], self._memory[tensor.name] = array, _memory(array)
            # MLX would keep what was let go until all tensors of all layers are there twice.
            mx.clear_cache()

    def abandon(self) -> None:
        """A reply has failed: what it left pending is not waited for."""
        self._settle(forgive=True)
        self._pending.clear()

    def _read(self, experts: Experts, keep: Experts) -> bool:
        """Begins to read experts into the coldest slots that hold none of `keep`; False when there are too
        few."""
        slots = self._slots.coldest(experts.size, keep)
        if slots.size < experts.size:
            return False
        self._slots.empty(slots)
        for slot, expert in zip(slots.tolist(), experts.tolist(), strict=True):
            into = {name: memory[slot] for name, memory in self._memory.items()}
            future = self._pool.submit(self._files.read, expert, into)
            self._reading[future] = (slot, expert)
        self._counts.nbytes += int(experts.size) * self._files.nbytes
        return True

    def _settle(self, *, forgive: bool = False) -> None:
        """Waits for what is being read. A slot that failed stays empty; raises ExpertUnreadable then, unless
        that is forgiven."""
        reading, self._reading = self._reading, {}
        wait(reading)
        failed: BaseException | None = None
        for future, (slot, expert) in reading.items():
            error = future.exception()
            if error is None:
                self._slots.fill(slot, expert)
            failed = failed or error
        if failed is not None and not forgive:
            raise failed

    def _finish_pending(self) -> None:
        """What was computed lazily from the slots must have been, before they change."""
        mx.eval(self._pending)
        self._pending.clear()


class Residency:
    """The banks of a model's layers. A context manager's worth of threads and files: close it at the end."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        slots: int,
        compute: mx.Dtype,
        *,
        frequencies: Mapping[str, Frequencies] | None = None,
        reader: FileReader | None = None,
    ) -> None:
        """`slots` experts of each layer are in memory. `frequencies`: how often each expert was used before, by
        the bank's path; those of another number of experts count for nothing."""
        self.counts = ExpertCounts()
        self.least_slots = checkpoint.config.num_experts_per_tok
        """What one token needs of a layer at once."""
        self._reader = reader or DiskReader()
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="experts")
        self.banks: dict[str, Bank] = {}
        experts = checkpoint.config.num_experts
        for path, tensors in expert_tensors(checkpoint).items():
            known = (frequencies or {}).get(path)
            held = ExpertSlots(experts, slots, known if known is not None and known.size == experts else None)
            files = ExpertFiles(tensors, self._reader)
            self.banks[path] = Bank(
                files=files,
                slots=held,
                compute=compute,
                pool=self._pool,
                counts=self.counts,
            )

    @property
    def slots(self) -> int:
        """Experts of each layer that there is room for; the fewest, where layers differ."""
        return min(bank.slots for bank in self.banks.values())

    @property
    def nbytes(self) -> int:
        """Bytes of all slots."""
        return sum(bank.nbytes for bank in self.banks.values())

    def counted(self) -> ExpertCounts:
        """What was counted so far."""
        return ExpertCounts(self.counts.needed, self.counts.read, self.counts.nbytes)

    @property
    def favourite_bytes(self) -> int:
        """Bytes on disk of what `warm` reads."""
        return sum(bank.favourite_bytes for bank in self.banks.values())

    def warm(self, report: Callable[[int], None] = lambda _: None) -> None:
        """Fills the slots with the experts that were used most before; `report` is told the bytes read. Raises
        ExpertUnreadable."""
        done = 0
        for bank in self.banks.values():
            bank.warm()
            done += bank.favourite_bytes
            report(done)

    def resize(self, slots: int) -> None:
        """Gives memory back, or takes more, one layer after the other, so that little is in memory twice."""
        for bank in self.banks.values():
            bank.resize(slots)

    def abandon(self) -> None:
        """A reply has failed, and nothing of it is wanted any more."""
        # What the device has begun still reads from the slots.
        mx.synchronize()
        for bank in self.banks.values():
            bank.abandon()

    def frequencies(self) -> dict[str, Frequencies]:
        """How often each expert was used, by the bank's path."""
        return {path: bank.frequencies for path, bank in self.banks.items()}

    def close(self) -> None:
        """Lets go of threads and files."""
        self._pool.shutdown()
        self._reader.close()


def _new_slots(slots: int, tensor: ExpertTensor, dtype: mx.Dtype) -> mx.array:
    """Memory for one tensor of so many experts."""
    array = mx.zeros((slots, *tensor.shape), dtype)
    mx.eval(array)
    return array


def _memory(array: mx.array) -> NDArray[Any]:
    """The array's own memory, to be written to; bfloat16, which numpy lacks, as its bits."""
    if array.dtype != mx.bfloat16:
        return np.array(array, copy=False)
    bits = array.view(mx.uint16)
    mx.eval(bits)
    return np.array(bits, copy=False)
