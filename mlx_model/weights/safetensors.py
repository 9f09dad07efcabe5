"""safetensors files read with suspicion: the header is checked in full before a byte of data is believed.

Format: 8 bytes little-endian header length, a JSON header, then the data. The published limits are kept (a
header of at most 100 MB; offsets that lie inside the file, do not overlap and agree with type and shape).
Data is read, not mapped, into memory of exactly the size asked for: peak memory is what the caller chooses,
and a file cut short while it is read is an error, not a crash.
"""

import itertools
import json
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_model.errors import CheckpointError

HEADER_BYTES_LIMIT = 100_000_000
_DIMENSIONS_LIMIT = 8
_ELEMENTS_LIMIT = 1 << 48
# Large reads are cut so that several are in flight: one thread cannot keep an NVMe drive busy.
_READ_CHUNK = 32 << 20
_READERS = 4

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
    """Where one tensor lies: file, safetensors type, shape, absolute byte offset, length in bytes."""

    name: str
    file: Path
    type: str
    shape: tuple[int, ...]
    offset: int
    nbytes: int


def read_header(path: Path) -> dict[str, TensorEntry]:
    """All tensors of a file. Raises CheckpointError naming the file, and the tensor where one is at fault."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            prefix = file.read(8)
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
    header.pop("__metadata__", None)
    start, data_bytes = 8 + length, size - 8 - length
    entries = {name: _entry(path, name, value, start, data_bytes) for name, value in header.items()}
    _refuse_overlap(path, list(entries.values()))
    return entries


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
        if not entry.shape:
            return self._read([entry], (), 0, entry.nbytes)
        stop = entry.shape[0] if stop is None else stop
        row_bytes = entry.nbytes // max(entry.shape[0], 1)
        shape = (stop - start, *entry.shape[1:])
        return self._read([entry], shape, start * row_bytes, (stop - start) * row_bytes)

    def read_stack(self, entries: Sequence[TensorEntry]) -> mx.array:
        """Tensors of one type and shape, stacked along a new first axis. Raises CheckpointError."""
        return self._read(entries, (len(entries), *entries[0].shape), 0, entries[0].nbytes)

    def _read(self, entries: Sequence[TensorEntry], shape: tuple[int, ...], skip: int, nbytes: int) -> mx.array:
        """`nbytes` of each entry, from its byte `skip` on, one after the other in one array of this shape."""
        dtype, carrier = TYPES[entries[0].type]
        # Read straight into the array's own memory: a view of an evaluated array can be written through.
        array = mx.zeros(shape, mx.uint16 if carrier is np.uint16 else dtype)
        mx.eval(array)
        buffer = np.array(array, copy=False).reshape(-1).view(np.uint8).data
        pieces = [
            (entry, buffer[n * nbytes + begin : n * nbytes + min(begin + _READ_CHUNK, nbytes)], skip + begin)
            for n, entry in enumerate(entries)
            for begin in range(0, nbytes, _READ_CHUNK)
        ]
        if len(pieces) == 1:
            _fill(*pieces[0])
        else:
            list(self._pool.map(lambda piece: _fill(*piece), pieces))
        if self._on_read is not None:
            self._on_read(nbytes * len(entries))
        return array.view(dtype) if array.dtype != dtype else array


def _fill(entry: TensorEntry, buffer: memoryview, skip: int) -> None:
    """Fills the buffer with an entry's bytes from `skip` on. Raises CheckpointError."""
    filled = 0
    try:
        with entry.file.open("rb", buffering=0) as file:
            file.seek(entry.offset + skip)
            while filled < len(buffer):
                count = file.readinto(buffer[filled:])
                if not count:
                    raise CheckpointError(f"{entry.file} was cut short while tensor {entry.name} was read.")
                filled += count
    except OSError as error:
        raise CheckpointError(f"{entry.file} cannot be read: {error.strerror or error}.") from None
