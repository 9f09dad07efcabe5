"""safetensors files read with suspicion: the header is checked in full before a byte of data is believed.

Format: 8 bytes little-endian header length, a JSON header, then the data. The published limits are kept (a
header of at most 100 MB; offsets that lie inside the file, do not overlap and agree with type and shape).
Data is read, not mapped, into memory of exactly the size asked for: peak memory is what the caller chooses,
and a file cut short while it is read is an error, not a crash.
"""

import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_model.config.lfs_pointer import pointer_error
from mlx_model.errors import CheckpointError
from mlx_model.weights.scattered import Run, fill, join_runs, read_descriptor, read_once

HEADER_BYTES_LIMIT = 100_000_000
"""Bytes, as the safetensors library has it."""
_DIMENSIONS_LIMIT = 8
"""Dimensions of an array: more than any checkpoint has."""
_ELEMENTS_LIMIT = 1 << 48
"""Numbers in an array: 256 Ti, beyond any disk, so that sizes never overflow."""
# Large reads are cut so that several are in flight: one thread cannot keep an NVMe drive busy.
_READ_CHUNK = 32 << 20
_READERS = 4
"""Threads that read at once."""

# The types a checkpoint can hold, by their safetensors name. numpy has no bfloat16: it travels as uint16.
TYPES: dict[str, tuple[mx.Dtype, type[np.generic]]] = {
    "BF16": (mx.bfloat16, np.uint16),
    "F16": (mx.float16, np.float16),
    "F32": (mx.float32, np.float32),
    "U32": (mx.uint32, np.uint32),
    "U8": (mx.uint8, np.uint8),
}
FLOAT_TYPES = frozenset({"BF16", "F16", "F32"})


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Where one tensor lies: file, safetensors type, shape, absolute byte offset, length in bytes. `stride`:
    bytes from one slice of the leading axis to the next, where they do not follow each other, else 0."""

    name: str
    file: Path
    type: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int
    stride: int = 0

    @property
    def slice_bytes(self) -> int:
        """Bytes of one slice along the leading axis."""
        return self.nbytes // max(self.shape[0], 1)

    def slice_offset(self, index: int) -> int:
        """Where that slice begins."""
        return self.offset + index * (self.stride or self.slice_bytes)


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself: its tensors by name, and text by key."""

    entries: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]


def read_header(path: Path) -> Header:
    """All tensors of a file. Raises CheckpointError naming the file, and the tensor where one is at fault."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            prefix = file.read(8)
            pointer = pointer_error(path, prefix)
            if pointer is not None:
                raise CheckpointError(pointer)
            if len(prefix) < 8:
                raise CheckpointError(f"{path} is truncated: it ends inside the safetensors header.")
            length = int.from_bytes(prefix, "little")
            if length > HEADER_BYTES_LIMIT or length < 2:
                raise CheckpointError(
                    f"{path} is no safetensors file: its header would be {length} bytes long."
                )
            if length > size - 8:
                raise CheckpointError(f"{path} is truncated: it ends inside the safetensors header.")
            raw = file.read(length)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing.") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from None
    header = _parse(path, raw)
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CheckpointError(f"{path} has a damaged safetensors header: its metadata is not text by key.")
    start, data_bytes = 8 + length, size - 8 - length
    entries = {name: _entry(path, name, value, start, data_bytes) for name, value in header.items()}
    _refuse_overlap(path, list(entries.values()))
    return Header(entries, metadata)


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("a name occurs twice")
        return result

    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} has a damaged safetensors header: {error}.") from None
    if not isinstance(header, dict):
        raise CheckpointError(f"{path} has a damaged safetensors header: it is no JSON object.")
    return header


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _ELEMENTS_LIMIT


def _entry(path: Path, name: str, value: object, start: int, data_bytes: int) -> TensorEntry:
    def refuse(reason: str) -> CheckpointError:
        return CheckpointError(f"{path}: tensor {name[:120]}: {reason}.")

    if not isinstance(value, dict):
        raise refuse("its header entry is no object")
    kind, shape, offsets = value.get("dtype"), value.get("shape"), value.get("data_offsets")
    if not isinstance(kind, str) or kind not in TYPES:
        raise refuse(f"type {str(kind)[:40]!r} is not one this engine reads ({', '.join(TYPES)})")
    if not isinstance(shape, list) or len(shape) > _DIMENSIONS_LIMIT or not all(map(_is_count, shape)):
        raise refuse(f"shape {str(shape)[:60]} is not a list of sizes")
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(map(_is_count, offsets)):
        raise refuse(f"data_offsets {str(offsets)[:60]} are not two positions")
    begin, end = offsets
    if begin > end:
        raise refuse("its data ends before it begins")
    if end > data_bytes:
        raise refuse(f"its data ends {end - data_bytes} bytes past the end of the file: the file is truncated")
    nbytes = math.prod(shape) * TYPES[kind][0].size
    if nbytes != end - begin:
        raise refuse(f"{kind} of shape {shape} is {nbytes} bytes, the header gives it {end - begin}")
    return TensorEntry(name, path, kind, tuple(shape), start + begin, nbytes)


def _refuse_overlap(path: Path, entries: list[TensorEntry]) -> None:
    ordered = sorted((entry for entry in entries if entry.nbytes), key=lambda entry: entry.offset)
    for before, after in itertools.pairwise(ordered):
        if before.offset + before.nbytes > after.offset:
            raise CheckpointError(f"{path}: tensors {before.name} and {after.name} overlap.")


class TensorReader:
    """Reads tensors, or runs of their leading axis, into MLX arrays. A context manager: it keeps threads."""

    def __init__(self, on_read: Callable[[int], None] | None = None) -> None:
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="weights")
        self._on_read = on_read

    def __enter__(self) -> "TensorReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()

    def read(self, entry: TensorEntry, start: int = 0, stop: int | None = None) -> mx.array:
        """The tensor, or its slices [start, stop) along the first axis. Raises CheckpointError."""
        return self.read_beside([entry], start, stop)[0]

    def read_beside(
        self, entries: Sequence[TensorEntry], start: int = 0, stop: int | None = None
    ) -> list[mx.array]:
        """Tensors that may lie side by side, slice by slice: such slices are read at once. Or the slices
        [start, stop) along the first axis of each. Raises CheckpointError."""
        arrays, buffers = zip(*(_new(entry, _sliced(entry, start, stop)) for entry in entries), strict=True)
        whole = [
            Run(entry.file, entry.slice_offset(start) if entry.shape else entry.offset, (buffer,))
            for entry, buffer in zip(entries, buffers, strict=True)
            if not entry.stride
        ]
        strided = [pair for pair in zip(entries, buffers, strict=True) if pair[0].stride]
        # Slice by slice, so that what lies side by side comes one after the other.
        slices = (
            Run(entry.file, entry.slice_offset(start + index), (_cut(buffer, index, entry.slice_bytes),))
            for index in range(max((len(buffer) // entry.slice_bytes for entry, buffer in strided), default=0))
            for entry, buffer in strided
        )
        self._fill(entries[0].name, [*whole, *join_runs(slices)])
        return [_typed(array, entry) for array, entry in zip(arrays, entries, strict=True)]

    def read_stack(self, entries: Sequence[TensorEntry]) -> mx.array:
        """Tensors of one type and shape, stacked along a new first axis. Raises CheckpointError."""
        array, buffer = _new(entries[0], (len(entries), *entries[0].shape))
        self._fill(
            entries[0].name,
            [
                Run(entry.file, entry.offset, (_cut(buffer, index, entry.nbytes),))
                for index, entry in enumerate(entries)
            ],
        )
        return _typed(array, entries[0])

    def _fill(self, name: str, runs: Iterable[Run]) -> None:
        """Reads runs of bytes, several at once. `name` is the tensor's, for who is told of a failure."""
        pieces = [piece for run in runs for piece in _pieces(run)]
        if len(pieces) == 1:
            _read(name, pieces[0])
        else:
            list(self._pool.map(lambda piece: _read(name, piece), pieces))
        if self._on_read is not None:
            self._on_read(sum(piece.nbytes for piece in pieces))


def _sliced(entry: TensorEntry, start: int, stop: int | None) -> tuple[int, ...]:
    if not entry.shape:
        return ()
    return ((entry.shape[0] if stop is None else stop) - start, *entry.shape[1:])


def _new(entry: TensorEntry, shape: tuple[int, ...]) -> tuple[mx.array, memoryview]:
    """An array for data of an entry's type, and its own memory: a view of an evaluated array can be written
    through."""
    dtype, carrier = TYPES[entry.type]
    array = mx.zeros(shape, mx.uint16 if carrier is np.uint16 else dtype)
    mx.eval(array)
    return array, np.array(array, copy=False).reshape(-1).view(np.uint8).data


def _typed(array: mx.array, entry: TensorEntry) -> mx.array:
    dtype = TYPES[entry.type][0]
    return array.view(dtype) if array.dtype != dtype else array


def _cut(buffer: memoryview, index: int, nbytes: int) -> memoryview:
    return buffer[index * nbytes : (index + 1) * nbytes]


def _pieces(run: Run) -> Iterable[Run]:
    """A large run cut up."""
    if len(run.buffers) > 1 or run.nbytes <= _READ_CHUNK:
        return [run]
    (buffer,) = run.buffers
    return [
        Run(run.file, run.offset + begin, (buffer[begin : begin + _READ_CHUNK],))
        for begin in range(0, len(buffer), _READ_CHUNK)
    ]


def _read(name: str, run: Run) -> None:
    try:
        with run.file.open("rb", buffering=0) as file:
            read_once(file.fileno())
            fill(run, read_descriptor(file.fileno()))
    except EOFError:
        raise CheckpointError(f"{run.file} was cut short while tensor {name} was read.") from None
    except OSError as error:
        raise CheckpointError(f"{run.file} cannot be read: {error.strerror or error}.") from None
