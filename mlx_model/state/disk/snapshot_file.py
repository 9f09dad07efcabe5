"""The format of one file of the durable tier: named arrays, described by a header, checksummed by block.

    magic 8 bytes · header length (little-endian uint32) · header (JSON) · XXH3-128 of everything so far
    the arrays one after another, each contiguous
    XXH3-128 of every block of BLOCK_BYTES of the arrays' bytes

The checksums come last, so that a file is written in one pass; its length follows from the header, so that a
truncated one is known before it is read.
"""

import json
import os
import struct
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_128_digest

from mlx_model.state.prefix_state import Arrays, array_bytes

MAGIC = b"TIDESNP\x01"
"""The last byte is the version of the format; a file of another version is foreign."""

BLOCK_BYTES = 1 << 20
"""Bytes under one checksum, read and verified at once."""
_CHECKSUM_BYTES = 16
"""Of XXH3-128."""
_DTYPES = frozenset({"uint8", "int8", "uint16", "uint32", "int32", "int64", "float16", "float32", "float64"})


class SnapshotFileDamaged(Exception):
    """The file is not what was written: truncated, altered, of another format, or about something else."""


def file_bytes(facts: Mapping[str, Any], arrays: Arrays) -> int:
    """The size of the file that `write_snapshot_file` makes of these, in bytes."""
    payload = array_bytes(arrays)
    return len(_preamble(facts, arrays)) + payload + _CHECKSUM_BYTES * _block_count(payload)


def write_snapshot_file(path: Path, facts: Mapping[str, Any], arrays: Arrays) -> None:
    """Write the file; `facts` are JSON values that identify it. The caller syncs it. Raises OSError."""
    checksums = bytearray()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        _write_all(file, _preamble(facts, arrays))
        for block in _blocks(arrays):
            checksums += xxh3_128_digest(block)
            _write_all(file, block)
        _write_all(file, bytes(checksums))


def read_snapshot_file(path: Path, facts: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The arrays of a file whose facts are exactly these, every byte verified.

    Raises SnapshotFileDamaged when it is anything else, OSError when it cannot be read."""
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        header = _read_header(file, size)
        if header["facts"] != dict(facts):
            raise SnapshotFileDamaged("it belongs to another model or prefix")
        shapes = _shapes(header)
        payload = sum(dtype.itemsize * prod(shape) for dtype, shape in shapes.values())
        if size != file.tell() + payload + _CHECKSUM_BYTES * _block_count(payload):
            raise SnapshotFileDamaged("its length is not what its header says")
        data = np.empty(payload, dtype=np.uint8)
        _read_into(file, data.data)
        checksums = bytearray(_CHECKSUM_BYTES * _block_count(payload))
        _read_into(file, memoryview(checksums))
    for index, start in enumerate(range(0, payload, BLOCK_BYTES)):
        expected = checksums[_CHECKSUM_BYTES * index : _CHECKSUM_BYTES * (index + 1)]
        if xxh3_128_digest(data.data[start : start + BLOCK_BYTES]) != bytes(expected):
            raise SnapshotFileDamaged(f"block {index} does not match its checksum")
    arrays: dict[str, NDArray[Any]] = {}
    offset = 0
    for name, (dtype, shape) in shapes.items():
        end = offset + dtype.itemsize * prod(shape)
        arrays[name] = data[offset:end].view(dtype).reshape(shape)
        offset = end
    return arrays


def _preamble(facts: Mapping[str, Any], arrays: Arrays) -> bytes:
    described = [
        {"name": name, "dtype": value.dtype.name, "shape": value.shape} for name, value in arrays.items()
    ]
    header = json.dumps({"facts": dict(facts), "arrays": described}, separators=(",", ":")).encode()
    start = MAGIC + struct.pack("<I", len(header)) + header
    return start + xxh3_128_digest(start)


def _block_count(payload: int) -> int:
    return -(-payload // BLOCK_BYTES)


def _blocks(arrays: Arrays) -> Iterator[bytes]:
    """The arrays' bytes as one stream, cut into blocks."""
    pending = bytearray()
    for value in arrays.values():
        view = np.ascontiguousarray(value).reshape(-1).view(np.uint8).data
        while view.nbytes:
            taken = BLOCK_BYTES - len(pending)
            pending += view[:taken]
            view = view[taken:]
            if len(pending) == BLOCK_BYTES:
                yield bytes(pending)
                pending.clear()
    if pending:
        yield bytes(pending)


def _read_header(file: BinaryIO, size: int) -> dict[str, Any]:
    start = bytearray(len(MAGIC) + 4)
    _read_into(file, memoryview(start))
    if start[: len(MAGIC)] != MAGIC:
        raise SnapshotFileDamaged("it is of another format")
    (length,) = struct.unpack("<I", start[len(MAGIC) :])
    if length > size:
        raise SnapshotFileDamaged("it is truncated")
    rest = bytearray(length + _CHECKSUM_BYTES)
    _read_into(file, memoryview(rest))
    header, checksum = bytes(rest[:length]), bytes(rest[length:])
    if xxh3_128_digest(bytes(start) + header) != checksum:
        raise SnapshotFileDamaged("its header does not match its checksum")
    try:
        value = json.loads(header)
    except ValueError as error:
        raise SnapshotFileDamaged("its header is not JSON") from error
    if not isinstance(value, dict) or not {"facts", "arrays"} <= value.keys():
        raise SnapshotFileDamaged("its header lacks a field")
    return value


def _shapes(header: dict[str, Any]) -> dict[str, tuple[np.dtype[Any], tuple[int, ...]]]:
    shapes: dict[str, tuple[np.dtype[Any], tuple[int, ...]]] = {}
    try:
        for entry in header["arrays"]:
            shape = tuple(int(extent) for extent in entry["shape"])
            if entry["dtype"] not in _DTYPES or min(shape, default=0) < 0:
                raise SnapshotFileDamaged("its header describes an impossible array")
            shapes[str(entry["name"])] = (np.dtype(entry["dtype"]), shape)
    except (TypeError, KeyError, ValueError) as error:
        raise SnapshotFileDamaged("its header does not describe arrays") from error
    return shapes


def _read_into(file: BinaryIO, view: memoryview) -> None:
    """Fill the view; a short file is a damaged one."""
    while view.nbytes:
        count = file.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise SnapshotFileDamaged("it is truncated")
        view = view[count:]


def _write_all(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view.nbytes:
        view = view[file.write(view) :]
