"""safetensors files written piece by piece: headers first, data as it comes, so that no file is ever in memory.

All offsets follow from the plan, so a writer that was interrupted opens its files again and resumes.
"""

import itertools
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import mlx.core as mx
import numpy as np

from mlx_model.durable import sync, write_at
from mlx_model.errors import CheckpointError
from mlx_model.weights.experts import rows as expert_rows
from mlx_model.weights.files import INDEX
from mlx_model.weights.safetensors import TYPES

SHARD_BYTES = 5_000_000_000
"""The most bytes of tensors in one file, as Hugging Face's tools cut checkpoints."""


@dataclass(frozen=True, slots=True)
class PlannedTensor:
    """A tensor to be written: its safetensors type and shape."""

    name: str
    type: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * TYPES[self.type][0].size


@dataclass(frozen=True, slots=True)
class PlannedExperts:
    """A bank's tensors, to be written expert by expert (see `experts.rows`)."""

    bank: str
    parts: tuple[PlannedTensor, ...]

    @property
    def rows(self) -> PlannedTensor:
        """The one tensor that they are written as."""
        experts = self.parts[0].shape[0]
        row = expert_rows.stride(part.nbytes // experts for part in self.parts)
        return PlannedTensor(expert_rows.rows_name(self.bank), "U8", (experts, row))

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes


@dataclass(frozen=True, slots=True)
class _Extent:
    """Where a tensor is written. `offset` of its first byte in the file; `stride`: bytes from one slice of its
    leading axis to the next."""

    file: str
    offset: int
    tensor: PlannedTensor
    stride: int


Planned = PlannedTensor | PlannedExperts


class ShardPlan:
    """The files, and the offset of every tensor in them. The tensors of a group (one module) share a file;
    experts come first in it, so that they begin on a page. `shard_bytes`: the most bytes of a file, unless one
    group is larger."""

    def __init__(self, groups: Sequence[Sequence[Planned]], shard_bytes: int = SHARD_BYTES) -> None:
        shards: list[list[Planned]] = []
        room = 0
        for group in groups:
            size = sum(tensor.nbytes for tensor in group)
            if not shards or size > room:
                shards.append([])
                room = shard_bytes
            shards[-1].extend(group)
            room -= size
        self.headers: dict[str, bytes] = {}
        self.sizes: dict[str, int] = {}
        self.extents: dict[str, _Extent] = {}
        self._files: dict[str, str] = {}
        for number, planned in enumerate(shards, 1):
            many = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
            self._place(many if len(shards) > 1 else "model.safetensors", planned)

    def _place(self, file: str, planned: list[Planned]) -> None:
        banks = [item for item in planned if isinstance(item, PlannedExperts)]
        plain = [item for item in planned if isinstance(item, PlannedTensor)]
        described = {bank.bank: [(part.name, part.type, part.shape) for part in bank.parts] for bank in banks}
        header: dict[str, object] = {"__metadata__": {"format": "mlx", **expert_rows.describe(described)}}
        tensors = [*(bank.rows for bank in banks), *plain]
        ends = list(itertools.accumulate((tensor.nbytes for tensor in tensors), initial=0))
        for tensor, (begin, end) in zip(tensors, itertools.pairwise(ends), strict=True):
            header[tensor.name] = {"dtype": tensor.type, "shape": tensor.shape, "data_offsets": [begin, end]}
        raw = json.dumps(header, separators=(",", ":")).encode()
        raw += b" " * (-(8 + len(raw)) % (expert_rows.PAGE if banks else 8))
        self.headers[file] = len(raw).to_bytes(8, "little") + raw
        self.sizes[file] = len(self.headers[file]) + ends[-1]
        self._files |= {tensor.name: file for tensor in tensors}
        start = len(self.headers[file])
        for bank in banks:
            offset, (experts, stride) = start, bank.rows.shape
            for part in bank.parts:
                self.extents[part.name] = _Extent(file, offset, part, stride)
                offset += part.nbytes // experts
            start += bank.nbytes
        for tensor in plain:
            stride = tensor.nbytes // max(tensor.shape[0], 1)
            self.extents[tensor.name] = _Extent(file, start, tensor, stride)
            start += tensor.nbytes

    @property
    def nbytes(self) -> int:
        """Bytes of all files together."""
        return sum(self.sizes.values())

    def write_index(self, directory: Path) -> None:
        """Writes the index, which only several files need. Raises OSError."""
        if len(self.headers) > 1:
            size = self.nbytes - sum(map(len, self.headers.values()))
            index = {"metadata": {"total_size": size}, "weight_map": self._files}
            (directory / INDEX).write_text(json.dumps(index, indent=1))


class ShardWriter:
    """Writes slices of tensors at their planned offsets. A context manager; keeps one file open."""

    def __init__(self, plan: ShardPlan, directory: Path) -> None:
        self._plan = plan
        self._directory = directory
        self._open_file: str | None = None
        self._descriptor = -1

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def write(self, name: str, first: int, array: mx.array) -> None:
        """Writes slices of a planned tensor, from index `first` of its leading axis on. Raises
        CheckpointError."""
        extent = self._plan.extents[name]
        carrier = TYPES[extent.tensor.type][1]
        data = np.array(array.view(mx.uint16) if carrier is np.uint16 else array, copy=False)
        slice_bytes = extent.tensor.nbytes // max(extent.tensor.shape[0], 1)
        if (
            first * slice_bytes + data.nbytes > extent.tensor.nbytes
            or data.dtype != carrier
            or (data.nbytes % max(slice_bytes, 1))
        ):
            raise AssertionError(f"{name}: {data.dtype}{data.shape} is not what was planned")
        view = np.ascontiguousarray(data).reshape(-1).view(np.uint8).data
        # Slices that are contiguous on disk are written at once.
        step = slice_bytes if extent.stride != slice_bytes else len(view)
        try:
            self._switch(extent.file)
            for number, begin in enumerate(range(0, len(view), step or 1)):
                offset = extent.offset + (first + number) * extent.stride
                write_at(self._descriptor, view[begin : begin + step], offset)
        except OSError as error:
            raise _unwritable(self._directory, error) from None

    def sync(self) -> None:
        """Returns when everything written to the open file is on the disk. Raises CheckpointError."""
        if self._descriptor >= 0:
            try:
                sync(self._descriptor)
            except OSError as error:
                raise _unwritable(self._directory, error) from None

    def _switch(self, file: str) -> None:
        if file == self._open_file:
            return
        self._close()
        self._descriptor = os.open(self._directory / file, os.O_RDWR | os.O_CREAT, 0o644)
        self._open_file = file
        header = self._plan.headers[file]
        if os.pread(self._descriptor, len(header), 0) != header:
            # The last row may end in padding up to the page, which is never written.
            os.ftruncate(self._descriptor, self._plan.sizes[file])
            os.pwrite(self._descriptor, header, 0)

    def _close(self) -> None:
        descriptor, self._open_file = self._descriptor, None
        try:
            self.sync()
        finally:
            self._descriptor = -1
            if descriptor >= 0:
                os.close(descriptor)


def _unwritable(directory: Path, error: OSError) -> CheckpointError:
    return CheckpointError(f"{directory} cannot be written: {error.strerror or error}.")
