"""Writing an adapter into a checkpoint: a copy of it, in the same form, whose adapted matrices have changed.

Each adapted matrix is read, unpacked, changed in float32, packed as it was and written in its place, in slabs,
so that memory does not grow with the model. What is finished is recorded in the staging directory, as by
`convert`, and an interrupted merge resumes there.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import mlx.core as mx
import numpy as np

from mlx_model.config.model_config import Quantization
from mlx_model.durable import sync, write_at
from mlx_model.errors import CheckpointError
from mlx_model.weights.adapter import ADAPTER_FILES, Update, read_adapter
from mlx_model.weights.checkpoint import Checkpoint, Progress, StoredProjection, open_checkpoint
from mlx_model.weights.conversion.convert import check_places, check_space, copy_companions
from mlx_model.weights.conversion.staging import staging
from mlx_model.weights.packing import StoredMatrix
from mlx_model.weights.safetensors import TYPES, TensorEntry, TensorReader

_SLAB_WEIGHTS = 32 << 20
"""Weights that are unpacked at once: 128 MiB in float32, of which about five copies are in memory."""
_COPIED_AT_ONCE = 64 << 20
"""Bytes of a file that is copied."""


@dataclass(frozen=True, slots=True)
class Merged:
    """The result: its directory, its bytes, and how many matrices the adapter has changed."""

    directory: Path
    nbytes: int
    matrices: int


def merge(source: Path, adapter: Path, out: Path, *, progress: Progress | None = None) -> Merged:
    """Writes `source` with the adapter in it to `out`, which exists only once it is complete. `progress` counts
    bytes. Raises ConfigError or CheckpointError."""
    check_places(source, out)
    checkpoint = open_checkpoint(source)
    updates = read_adapter(adapter, checkpoint.config)
    adapted = [
        item
        for item in checkpoint.stored
        if isinstance(item, StoredProjection) and item.projection.path in updates
    ]
    files = sorted(path for path in source.iterdir() if path.suffix == ".safetensors")
    sizes = [file.stat().st_size for file in files]
    # The files first, then the matrices in them.
    work = [*sizes, *(_nbytes(item) for item in adapted)]
    with staging(out, _fingerprint(checkpoint, adapter, files)) as place:
        check_space(out, sum(sizes[place.done :]))
        for position in range(place.done, len(work)):
            if progress is not None:
                progress(sum(work[:position]), sum(work))
            if position < len(files):
                _copy(files[position], place.directory)
            else:
                item = adapted[position - len(files)]
                _merge(item, updates[item.projection.path], place.directory)
                mx.clear_cache()
            place.note(position + 1)
        if progress is not None:
            progress(sum(work), sum(work))
        try:
            for path in source.glob("*.json"):
                shutil.copyfile(path, place.directory / path.name)
            copy_companions(source, place.directory)
        except OSError as error:
            raise _unwritable(place.directory, error) from None
        place.publish(out)
    return Merged(out, sum(sizes), sum(len(item.matrices) for item in adapted))


def _merge(item: StoredProjection, update: Update, directory: Path) -> None:
    above = 0
    opened: dict[Path, int] = {}
    try:
        with TensorReader() as reader:
            for matrix in item.matrices:
                rows = matrix.source.shape[-2]
                for entry, first, array in _changed(reader, matrix, update, above, is_bank=update.a.ndim == 3):
                    path = directory / entry.file.name
                    if path not in opened:
                        opened[path] = os.open(path, os.O_RDWR)
                    _write(opened[path], entry, first, array)
                above += rows
        for descriptor in opened.values():
            sync(descriptor)
    except OSError as error:
        raise _unwritable(directory, error) from None
    finally:
        for descriptor in opened.values():
            os.close(descriptor)


def _changed(
    reader: TensorReader, matrix: StoredMatrix, update: Update, above: int, *, is_bank: bool
) -> Iterator[tuple[TensorEntry, int, mx.array]]:
    """What is to be written of one stored matrix: the entry, the first index of its leading axis, and the
    data. The matrix's rows begin at row `above` of the projection."""
    *leading, rows, columns = matrix.source.shape
    length = leading[0] if is_bank else rows
    # With permuted rows, all of the matrix has to be at hand.
    step = max(1, _SLAB_WEIGHTS // (columns * (rows if is_bank else 1))) if matrix.sliceable else length
    for start in range(0, length, step):
        stop = min(start + step, length)
        stored = matrix.read(reader, start, stop) if matrix.sliceable else matrix.read(reader)
        stored.pop("bias", None)
        own = slice(above, above + rows) if is_bank else slice(above + start, above + stop)
        part = Update(
            update.a[start:stop] if is_bank else update.a,
            update.b[start:stop, :, own] if is_bank else update.b[:, own],
            None
            if update.magnitude is None
            else update.magnitude[..., own][start:stop]
            if is_bank
            else update.magnitude[own],
        )
        changed = mx.any(part.b != 0, axis=-2)
        if part.magnitude is not None:
            changed = changed | ~mx.isnan(part.magnitude)
        if not changed.any():
            continue
        result = _packed(_adapted(_unpacked(stored, matrix.quantization), part), stored, matrix.quantization)
        # Rows that the adapter leaves alone stay as they are: to pack them again would round them again.
        result = {kind: mx.where(changed[..., None], array, stored[kind]) for kind, array in result.items()}
        if matrix.source.order is not None:
            back = mx.array(np.argsort(matrix.source.order).astype(np.uint32))
            result = {kind: mx.take(array, back, axis=-2) for kind, array in result.items()}
        mx.eval(list(result.values()))
        for kind, array in result.items():
            entries = matrix.kinds[kind]
            if len(entries) == 1:
                yield entries[0], start, array
            else:
                for index, entry in enumerate(entries[start:stop]):
                    yield entry, 0, array[index]


def _unpacked(stored: Mapping[str, mx.array], packing: Quantization | None) -> mx.array:
    if packing is None:
        return stored["weight"].astype(mx.float32)
    scales, biases = stored["scales"], stored.get("biases")
    if packing.mode == "affine":
        # In float32, or MLX would round the result to their 16 bits.
        scales = scales.astype(mx.float32)
        biases = None if biases is None else biases.astype(mx.float32)
    return mx.dequantize(
        stored["weight"],
        scales,
        biases,
        group_size=packing.group_size,
        bits=packing.bits,
        mode=packing.mode,
        dtype=mx.float32,
    )


def _adapted(weight: mx.array, update: Update) -> mx.array:
    weight = weight + (update.a @ update.b).swapaxes(-1, -2)
    if update.magnitude is None:
        return weight
    gain = update.magnitude / mx.linalg.norm(weight, axis=-1)
    return weight * mx.where(mx.isnan(update.magnitude), mx.array(1.0), gain)[..., None]


def _packed(
    weight: mx.array, stored: Mapping[str, mx.array], packing: Quantization | None
) -> dict[str, mx.array]:
    """The matrix in the types of what is stored."""
    if packing is None:
        return {"weight": weight.astype(stored["weight"].dtype)}
    scales = stored["scales"].dtype
    weight = weight.astype(scales if mx.issubdtype(scales, mx.floating) else mx.bfloat16)
    packed = mx.quantize(weight, packing.group_size, packing.bits, packing.mode)
    return dict(zip(("weight", "scales", "biases"), packed, strict=False))


def _write(descriptor: int, entry: TensorEntry, first: int, array: mx.array) -> None:
    """Writes slices of a tensor's leading axis, from index `first` on."""
    carrier = TYPES[entry.type][1]
    data = np.array(array.view(mx.uint16) if carrier is np.uint16 else array, copy=False)
    if data.dtype != carrier:
        raise AssertionError(f"{entry.name} is {entry.type}, and {data.dtype} would be written")
    view = np.ascontiguousarray(data).reshape(-1).view(np.uint8).data
    step = entry.slice_bytes if entry.stride else len(view)
    for number, begin in enumerate(range(0, len(view), step or 1)):
        write_at(descriptor, view[begin : begin + step], entry.slice_offset(first + number))


def _copy(file: Path, directory: Path) -> None:
    try:
        with file.open("rb") as original, (directory / file.name).open("wb") as copy:
            shutil.copyfileobj(original, copy, _COPIED_AT_ONCE)
            copy.flush()
            sync(copy.fileno())
    except OSError as error:
        raise _unwritable(directory, error) from None


def _nbytes(item: StoredProjection) -> int:
    return sum(entry.nbytes for matrix in item.matrices for entry in matrix.entries())


def _fingerprint(checkpoint: Checkpoint, adapter: Path, files: list[Path]) -> str:
    """Differs whenever an interrupted merge cannot be resumed."""
    digest = hashlib.sha256(str(checkpoint.directory.resolve()).encode())
    try:
        for file in files:
            status = file.stat()
            digest.update(repr((file.name, status.st_size, status.st_mtime_ns)).encode())
        for name in ADAPTER_FILES:
            digest.update((adapter / name).read_bytes())
    except OSError as error:
        raise CheckpointError(f"{adapter} cannot be read: {error.strerror or error}.") from None
    return digest.hexdigest()


def _unwritable(directory: Path, error: OSError) -> CheckpointError:
    return CheckpointError(f"{directory} cannot be written: {error.strerror or error}.")
