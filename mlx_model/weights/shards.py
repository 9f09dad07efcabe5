"""safetensors files written piece by piece: shapes first, data as it comes, so that no file is ever in memory.

All offsets follow from the plan, so a writer that was interrupted can open its files again and go on.
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import mlx.core as mx
import numpy as np

from mlx_model.errors import CheckpointError
from mlx_model.weights.files import INDEX
from mlx_model.weights.safetensors import TYPES

SHARD_BYTES = 5_000_000_000


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
class _Place:
    file: str
    offset: int
    tensor: PlannedTensor


class ShardPlan:
    """Which tensor goes where. Groups (the tensors of one module) are kept together in one file."""

    def __init__(self, groups: Sequence[Sequence[PlannedTensor]], shard_bytes: int = SHARD_BYTES) -> None:
        shards: list[list[PlannedTensor]] = []
        room = 0
        for group in groups:
            size = sum(tensor.nbytes for tensor in group)
            if not shards or size > room:
                shards.append([])
                room = shard_bytes
            shards[-1].extend(group)
            room -= size
        self.headers: dict[str, bytes] = {}
        self.places: dict[str, _Place] = {}
        for number, tensors in enumerate(shards, 1):
            many = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
            self._place(many if len(shards) > 1 else "model.safetensors", tensors)

    def _place(self, file: str, tensors: list[PlannedTensor]) -> None:
        header: dict[str, object] = {"__metadata__": {"format": "mlx"}}
        position = 0
        for tensor in tensors:
            end = position + tensor.nbytes
            header[tensor.name] = {
                "dtype": tensor.type,
                "shape": tensor.shape,
                "data_offsets": [position, end],
            }
            position = end
        raw = json.dumps(header, separators=(",", ":")).encode()
        raw += b" " * (-len(raw) % 8)
        self.headers[file] = len(raw).to_bytes(8, "little") + raw
        start = len(self.headers[file])
        for tensor in tensors:
            self.places[tensor.name] = _Place(file, start, tensor)
            start += tensor.nbytes

    @property
    def nbytes(self) -> int:
        """Bytes of all files together."""
        data = sum(place.tensor.nbytes for place in self.places.values())
        return data + sum(map(len, self.headers.values()))

    def write_index(self, directory: Path) -> None:
        """The index that more than one file needs."""
        if len(self.headers) > 1:
            size = sum(place.tensor.nbytes for place in self.places.values())
            weight_map = {name: place.file for name, place in self.places.items()}
            index = {"metadata": {"total_size": size}, "weight_map": weight_map}
            (directory / INDEX).write_text(json.dumps(index, indent=1))


class ShardWriter:
    """Puts runs of tensors where the plan has them. A context manager; keeps one file open."""

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
        """Writes slices of a planned tensor, from `first` along its leading axis. Raises CheckpointError."""
        place = self._plan.places[name]
        carrier = TYPES[place.tensor.type][1]
        data = np.array(array.view(mx.uint16) if carrier is np.uint16 else array, copy=False)
        row_bytes = place.tensor.nbytes // max(place.tensor.shape[0], 1)
        offset = place.offset + first * row_bytes
        if offset + data.nbytes > place.offset + place.tensor.nbytes or data.dtype != carrier:
            raise AssertionError(f"{name}: {data.dtype}{data.shape} is not what was planned")
        try:
            self._switch(place.file)
            view = np.ascontiguousarray(data).reshape(-1).view(np.uint8).data
            while view:
                written = os.pwrite(self._descriptor, view, offset)
                view, offset = view[written:], offset + written
        except OSError as error:
            raise _unwritable(self._directory, error) from None

    def sync(self) -> None:
        """Returns when what was written is on the disk. Raises CheckpointError."""
        if self._descriptor >= 0:
            try:
                os.fsync(self._descriptor)
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
