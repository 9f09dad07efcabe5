"""Reading one expert of one layer from a checkpoint of any form.

Experts lie along the leading axis of stacked tensors, or in tensors of their own, so each tensor of an expert
is one run of bytes in one file; in the fused layout all tensors of an expert are one run (see `experts.rows`).
Runs are read directly into the memory of the expert's slot.
"""

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_model.errors import EngineError
from mlx_model.weights.checkpoint import Checkpoint, StoredProjection
from mlx_model.weights.safetensors import TYPES, TensorEntry
from mlx_model.weights.scattered import Run, fill, join_runs

_ATTEMPTS = 3
_PAUSE_SECONDS = 0.05
"""Reads of an expert before it counts as unreadable, and the pause between two: network disks fail briefly."""


class ExpertUnreadable(EngineError):
    """An expert that a reply needs cannot be read from its file; names both. The engine serves on."""


class DiskReader:
    """Reads files at offsets, from several threads at once; keeps the files open."""

    def __init__(self) -> None:
        self._descriptors: dict[Path, int] = {}
        self._lock = threading.Lock()

    def read_into(self, file: Path, offset: int, buffers: Sequence[memoryview]) -> int:
        """Fills the buffers in order, perhaps only the first of them, and returns the bytes read. Raises
        OSError."""
        with self._lock:
            descriptor = self._descriptors.get(file)
            if descriptor is None:
                descriptor = self._descriptors[file] = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        return os.preadv(descriptor, buffers, offset)

    def close(self) -> None:
        """Closes the files."""
        with self._lock:
            while self._descriptors:
                os.close(self._descriptors.popitem()[1])


@dataclass(frozen=True, slots=True)
class _RowsOnDisk:
    """Consecutive rows of one tensor of every expert: in one stored tensor for all experts, or in one for each.
    `nbytes` of one expert's rows."""

    entries: tuple[TensorEntry, ...]
    nbytes: int

    def locate(self, expert: int) -> tuple[TensorEntry, int]:
        """The entry with the expert's rows, and their offset in its file."""
        if len(self.entries) > 1:
            return self.entries[expert], self.entries[expert].offset
        return self.entries[0], self.entries[0].slice_offset(expert)


@dataclass(frozen=True, slots=True)
class ExpertTensor:
    """One tensor of every expert of a layer, by its canonical name. `shape` [rows, columns] of one expert;
    `type`: the safetensors type on disk."""

    name: str
    type: str
    shape: tuple[int, ...]
    sources: tuple[_RowsOnDisk, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of one expert's part on disk."""
        return sum(source.nbytes for source in self.sources)

    def dtype(self, compute: mx.Dtype) -> mx.Dtype:
        """Its dtype in memory: `compute` for floats, the stored one for packed weights."""
        stored = TYPES[self.type][0]
        return compute if mx.issubdtype(stored, mx.floating) else stored


def expert_tensors(checkpoint: Checkpoint) -> dict[str, list[ExpertTensor]]:
    """The tensors of each layer's experts, by the canonical path of the bank."""
    found: dict[str, list[ExpertTensor]] = {}
    for item in checkpoint.stored:
        if isinstance(item, StoredProjection) and item.projection.experts:
            bank = item.projection.path.rpartition(".")[0]
            found.setdefault(bank, []).extend(_tensors(item))
    return found


def _tensors(item: StoredProjection) -> Iterator[ExpertTensor]:
    experts = item.projection.experts
    for path, matrices in item.modules():
        for kind in matrices[0].kinds:
            sources, rows = [], 0
            for matrix in matrices:
                entries = matrix.kinds[kind]
                each = len(entries) > 1 or (experts == 1 and len(entries[0].shape) == 2)
                shape = entries[0].shape if each else entries[0].shape[1:]
                nbytes = entries[0].nbytes if each else entries[0].nbytes // experts
                sources.append(_RowsOnDisk(entries, nbytes))
                rows += shape[0]
            yield ExpertTensor(
                f"{path}.{kind}", matrices[0].kinds[kind][0].type, (rows, shape[1]), tuple(sources)
            )


class ExpertFiles:
    """The experts of one layer on disk."""

    def __init__(self, tensors: Sequence[ExpertTensor], reader: DiskReader) -> None:
        self.tensors = tuple(tensors)
        self._reader = reader
        self._bank = self.tensors[0].name.rpartition(".experts.")[0]

    @property
    def nbytes(self) -> int:
        """Bytes of one expert on disk."""
        return sum(tensor.nbytes for tensor in self.tensors)

    def read(self, expert: int, into: Mapping[str, NDArray[Any]]) -> None:
        """Reads one expert into arrays by tensor name, each of the tensor's shape and of the dtype in memory
        (bfloat16 as its bits). Raises ExpertUnreadable when _ATTEMPTS reads fail."""
        runs: list[Run] = []
        converted: list[tuple[NDArray[Any], NDArray[Any], str]] = []
        for tensor in self.tensors:
            target = into[tensor.name]
            carrier = TYPES[tensor.type][1]
            raw = target
            if target.dtype != carrier:
                raw = np.empty(tensor.shape, dtype=carrier)
                converted.append((target, raw, tensor.type))
            buffer = raw.reshape(-1).view(np.uint8).data
            for source in tensor.sources:
                entry, offset = source.locate(expert)
                runs.append(Run(entry.file, offset, (buffer[: source.nbytes],)))
                buffer = buffer[source.nbytes :]
        for run in join_runs(runs):
            self._fill(run, expert)
        for target, raw, kind in converted:
            target[...] = _converted(raw, kind, target.dtype)

    def _fill(self, run: Run, expert: int) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                fill(run, lambda offset, buffers: self._reader.read_into(run.file, offset, buffers))
                return
            except (OSError, EOFError) as error:
                if attempt == _ATTEMPTS:
                    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
                    raise ExpertUnreadable(
                        f"The reply cannot go on: the weights of expert {expert} ({self._bank}) cannot be read "
                        f"from {run.file}: {reason}."
                    ) from None
                time.sleep(_PAUSE_SECONDS)


def _converted(raw: NDArray[Any], kind: str, wanted: np.dtype[Any]) -> NDArray[Any]:
    """Floats of safetensors type `kind` as `wanted`, rounded as MLX rounds: to the nearest, halves to even."""
    if kind == "BF16":
        # The upper half of a float32.
        raw = (raw.astype(np.uint32) << 16).view(np.float32)
    if wanted != np.uint16:
        return raw.astype(wanted)
    bits = raw.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
