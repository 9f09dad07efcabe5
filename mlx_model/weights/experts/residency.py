"""Expert residency: each layer has a bank of slots, filled with experts from the checkpoint's files as needed.

Experts that a token needs and that are not in memory are read, several at once, before the layer runs. A chunk
of a prompt that needs more experts than there are slots is computed in batches: first the experts in memory,
then each missing one once, in order, through the slots of the least used experts. The next batch is read while
one is computed.
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
from mlx_model.weights.experts.files import DiskReader, ExpertFiles, ExpertTensor, expert_tensors
from mlx_model.weights.experts.slots import Experts, ExpertSlots, Frequencies

_READERS = 16
"""Threads that read experts: enough to keep an NVMe drive's queue filled with reads of 1 to 2 MB."""
_STREAMING_SHARE = 4
"""Prefill streams missing experts through a quarter of the slots."""
_PREFETCH_SHARE = 3
"""Prefetch only from 3 times as many slots as experts guessed: below that, a wrong guess evicts an expert in
use."""
_PENDING = 16
"""Lazy results that may wait for evaluation, as long as the slots they read do not change."""


@dataclass(slots=True)
class ExpertCounts:
    """Experts that layers needed (each once a pass or chunk), those of them that had to be read, and the bytes
    read, prefetches included."""

    needed: int = 0
    read: int = 0
    nbytes: int = 0

    def __add__(self, other: "ExpertCounts") -> "ExpertCounts":
        return ExpertCounts(self.needed + other.needed, self.read + other.read, self.nbytes + other.nbytes)

    def __sub__(self, other: "ExpertCounts") -> "ExpertCounts":
        return ExpertCounts(self.needed - other.needed, self.read - other.read, self.nbytes - other.nbytes)

    @property
    def hit_rate(self) -> float:
        """The share of the experts needed that was in memory, 0 to 1."""
        return 1 - self.read / self.needed if self.needed else 1.0


class Bank:
    """Implements layers.expert_bank.ExpertBank over a layer's files. Used from the engine's thread; the pool's
    threads only read files."""

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
        return int(self._slots.expert_in.size)

    @property
    def nbytes(self) -> int:
        """Bytes of all slots."""
        return sum(tensor.nbytes for tensor in self._tensors.values())

    @property
    def frequencies(self) -> Frequencies:
        """[experts]: how often tokens were routed to each, decayed (see ExpertSlots)."""
        return self._slots.frequencies

    @property
    def tensors(self) -> Mapping[str, mx.array]:
        return self._tensors

    def used_by(self, result: mx.array) -> None:
        self._pending.append(result)
        if len(self._pending) >= _PENDING:
            self._finish_pending()

    def prefetch(self, experts: Experts) -> None:
        missing = experts[self._slots.slot_of[experts] < 0]
        if missing.size and not self._reading and self.slots >= _PREFETCH_SHARE * experts.size:
            self._finish_pending()
            self._read(missing, experts)

    def load(
        self, chosen: NDArray[Any], tokens: int, meanwhile: Callable[[], None] | None = None
    ) -> Iterator[tuple[Experts, Experts]]:
        # Failed reads of an earlier reply, which ended before it waited for them, do not matter to this one.
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
        size = max(1, self.slots // _STREAMING_SHARE)
        streamed = [missing[start : start + size] for start in range(0, missing.size, size)]
        batches = [present, *streamed] if present.size else streamed
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
        """Bytes on disk of the experts that `warm` reads."""
        return len(self._slots.favourites()) * self._files.nbytes

    def warm(self) -> None:
        """Fills the slots with the most used experts. Raises ExpertUnreadable."""
        favourites = np.array(self._slots.favourites(), dtype=np.intp)
        missing = favourites[self._slots.slot_of[favourites] < 0]
        self._read(missing, favourites)
        self._settle()

    def before_change(self, forget: Callable[[], None]) -> None:
        """Replaces the callback given before."""
        self._forget = forget

    def resize(self, slots: int) -> None:
        """Shrinks or grows the bank; the most used experts stay. One tensor at a time is in memory twice; where
        there is no room for that, the tensor's slots are emptied and their experts read again when needed."""
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
            # Otherwise MLX would cache the old buffers until all tensors of all layers are in memory twice.
            mx.clear_cache()

    def abandon(self) -> None:
        """Drops the pending reads and results of a reply that has failed."""
        self._settle(forgive=True)
        self._pending.clear()

    def _read(self, experts: Experts, keep: Experts) -> bool:
        """Starts reading experts into the slots of the least used experts outside `keep`; False, without
        reading, when there are too few such slots."""
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
        """Waits for all reads. A slot whose read failed stays empty; raises ExpertUnreadable then, unless
        `forgive`."""
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
        """Evaluates the lazy results that read the slots, before the slots change."""
        mx.eval(self._pending)
        self._pending.clear()


class Residency:
    """The banks of all layers of a model. It owns threads and open files: call `close` at the end."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        slots: int,
        compute: mx.Dtype,
        *,
        frequencies: Mapping[str, Frequencies] | None = None,
        reader: DiskReader | None = None,
    ) -> None:
        """`slots`: experts of each layer in memory; `compute`: dtype of activations. `frequencies` [experts] by
        the bank's path, of earlier runs; arrays of another size are ignored."""
        self.counts = ExpertCounts()
        self.least_slots = checkpoint.config.num_experts_per_tok
        """Experts of a layer that one token needs at once."""
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
        """Slots of each layer; the fewest, where layers differ."""
        return min(bank.slots for bank in self.banks.values())

    @property
    def nbytes(self) -> int:
        """Bytes of all slots."""
        return sum(bank.nbytes for bank in self.banks.values())

    def counted(self) -> ExpertCounts:
        """A copy of the counts so far."""
        return ExpertCounts(self.counts.needed, self.counts.read, self.counts.nbytes)

    @property
    def favourite_bytes(self) -> int:
        """Bytes on disk of the experts that `warm` reads."""
        return sum(bank.favourite_bytes for bank in self.banks.values())

    def warm(self, report: Callable[[int], None] = lambda _: None) -> None:
        """Fills all slots with the most used experts; `report` is called with the bytes read. Raises
        ExpertUnreadable."""
        done = 0
        for bank in self.banks.values():
            bank.warm()
            done += bank.favourite_bytes
            report(done)

    def resize(self, slots: int) -> None:
        """Shrinks or grows all banks, one after the other, so that only one tensor is in memory twice."""
        for bank in self.banks.values():
            bank.resize(slots)

    def abandon(self) -> None:
        """Drops everything that a failed reply left pending."""
        # Kernels that are running still read from the slots.
        mx.synchronize()
        for bank in self.banks.values():
            bank.abandon()

    def frequencies(self) -> dict[str, Frequencies]:
        """[experts] by the bank's path: how often each was used, decayed."""
        return {path: bank.frequencies for path, bank in self.banks.items()}

    def close(self) -> None:
        """Ends the threads and closes the files."""
        self._pool.shutdown()
        self._reader.close()


def _new_slots(slots: int, tensor: ExpertTensor, dtype: mx.Dtype) -> mx.array:
    """Evaluated zeros [slots, rows, columns] for one tensor."""
    array = mx.zeros((slots, *tensor.shape), dtype)
    mx.eval(array)
    return array


def _memory(array: mx.array) -> NDArray[Any]:
    """A writable numpy view of the array's memory; bfloat16, which numpy lacks, as its bits."""
    if array.dtype != mx.bfloat16:
        return np.array(array, copy=False)
    bits = array.view(mx.uint16)
    mx.eval(bits)
    return np.array(bits, copy=False)
