"""A checkpoint directory: checked when opened, before any data is read, then read tensor by tensor.

Whatever form the directory has (`names`), the tensors come out as the canonical tree (`layout`). Opening checks
everything that the headers tell of a tensor: its presence, type, shape and packing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import mlx.core as mx

from mlx_model.config.family import is_converted
from mlx_model.config.model_config import ModelConfig, Quantization
from mlx_model.errors import CheckpointError
from mlx_model.weights.files import list_tensors
from mlx_model.weights.layout import Item, Projection, Vector, model_items, mtp_items
from mlx_model.weights.names import locate
from mlx_model.weights.norms import are_offsets
from mlx_model.weights.packing import StoredMatrix, check_matrix
from mlx_model.weights.safetensors import FLOAT_TYPES, TensorEntry, TensorReader

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and the bytes in all."""


@dataclass(frozen=True, slots=True)
class StoredProjection:
    """A projection and the matrices it is stored as: one, or several to be joined along their rows."""

    projection: Projection
    matrices: tuple[StoredMatrix, ...]

    @property
    def joinable(self) -> bool:
        """Whether the matrices can be joined: they are packed alike and have one type."""
        return len({(matrix.quantization, matrix.types) for matrix in self.matrices}) == 1

    @property
    def quantization(self) -> Quantization | None:
        """How the joined matrix is packed; None if it is not, or cannot be joined."""
        return self.matrices[0].quantization if self.joinable else None

    def modules(self) -> Iterator[tuple[str, tuple[StoredMatrix, ...]]]:
        """The canonical module paths that it becomes, each with the matrices that make up its rows."""
        if self.joinable:
            yield self.projection.path, self.matrices
        else:
            for matrix in self.matrices:
                yield f"{self.projection.path}.{matrix.source.part}", (matrix,)


@dataclass(frozen=True, slots=True)
class StoredVector:
    """A small tensor and its entry on disk; `add_one`: it is a norm stored as an offset from one."""

    vector: Vector
    entry: TensorEntry
    add_one: bool


Stored = StoredProjection | StoredVector


def is_mtp(item: Stored) -> bool:
    """Whether an item belongs to the MTP layer."""
    return item.vector.mtp if isinstance(item, StoredVector) else item.projection.mtp


def stored_name(item: Stored) -> str:
    """The canonical name of an item: a vector's, or a projection's path."""
    return item.vector.name if isinstance(item, StoredVector) else item.projection.path


def is_routed(item: Stored) -> bool:
    """Whether an item belongs to routed experts, of which a token passes through some."""
    return isinstance(item, StoredProjection) and item.projection.experts > 0


@dataclass(frozen=True)
class Checkpoint:
    """A checked checkpoint. `stored` is in canonical order, the MTP layer last where there is one."""

    directory: Path
    config: ModelConfig
    stored: tuple[Stored, ...]
    has_mtp: bool

    @cached_property
    def quantization(self) -> Mapping[str, Quantization]:
        """How each packed module is packed, by canonical module path (or PATH.PART where parts differ)."""
        return {
            path: matrices[0].quantization
            for item in self.stored
            if isinstance(item, StoredProjection)
            for path, matrices in item.modules()
            if matrices[0].quantization is not None
        }

    @cached_property
    def nbytes(self) -> int:
        """Bytes on disk of the tensors that the model uses."""
        return sum(stored_bytes(item) for item in self.stored)

    def tensors(
        self, progress: Progress | None = None, *, routed: bool = True
    ) -> Iterator[tuple[str, mx.array]]:
        """Every canonical tensor by name, read and evaluated one module at a time: beside what the caller
        keeps, only one module's data is in memory (twice, while its parts are joined). `routed`: routed experts
        too. Raises CheckpointError."""
        stored = [item for item in self.stored if routed or not is_routed(item)]
        done, total = 0, sum(map(stored_bytes, stored))

        def on_read(count: int) -> None:
            nonlocal done
            done += count
            if progress is not None:
                progress(done, total)

        with TensorReader(on_read) as reader:
            for item in stored:
                yield from (
                    read_vector(reader, item) if isinstance(item, StoredVector) else _read(reader, item)
                )


def open_checkpoint(directory: Path) -> Checkpoint:
    """Reads the config and all headers, and checks every tensor that the model needs.

    Raises ConfigError or CheckpointError, naming the field, file or tensor at fault.
    """
    config = ModelConfig.from_directory(directory)
    entries = list_tensors(directory)
    has_mtp = any(name.startswith("mtp.") for name in entries)
    stored = _store(config, list(model_items(config, mtp=has_mtp)), entries)
    _refuse_unknown(config, entries, stored)
    return Checkpoint(directory, config, stored, has_mtp)


def open_mtp(directory: Path, shapes: ModelConfig) -> tuple[Stored, ...]:
    """The MTP layer of the checkpoint in `directory`, checked against the shapes of another model's config.

    Only the files with `mtp.*` tensors need to exist. Raises ConfigError or CheckpointError naming the tensor.
    """
    own = ModelConfig.from_directory(directory)
    entries = list_tensors(directory, lambda name: name.startswith("mtp."))
    if not entries:
        raise CheckpointError(f"{directory} has no mtp.* tensors to take.")
    described = shapes.model_copy(
        update={
            "fused_layout": own.fused_layout,
            "mtp_trained": own.mtp_trained,
            "quantization": own.quantization,
            "module_quantization": own.module_quantization,
        }
    )
    stored = _store(described, list(mtp_items(shapes)), entries)
    _refuse_unknown(shapes, entries, stored)
    return stored


def entries_of(item: Stored) -> Iterator[TensorEntry]:
    """The entries on disk that an item is read from."""
    if isinstance(item, StoredVector):
        yield item.entry
    else:
        for matrix in item.matrices:
            yield from matrix.entries()


def stored_bytes(item: Stored) -> int:
    """Bytes on disk of an item's entries."""
    return sum(entry.nbytes for entry in entries_of(item))


def read_vector(reader: TensorReader, item: StoredVector) -> Iterator[tuple[str, mx.array]]:
    """The canonical tensor by name. A norm's one is added in float32: bfloat16 would round small offsets
    away."""
    array = reader.read(item.entry)
    if array.shape != item.vector.shape:
        array = mx.contiguous(mx.moveaxis(array, 2, 1))
    if item.add_one:
        array = array.astype(mx.float32) + 1.0
    mx.eval(array)
    yield item.vector.name, array


def _read(reader: TensorReader, item: StoredProjection) -> Iterator[tuple[str, mx.array]]:
    for path, matrices in item.modules():
        parts = [matrix.read(reader) for matrix in matrices]
        for kind in list(parts[0]):
            runs = [part.pop(kind) for part in parts]
            axis = -1 if kind == "bias" else -2
            array = runs[0] if len(runs) == 1 else mx.concatenate(runs, axis=axis)
            mx.eval(array)
            del runs
            yield f"{path}.{kind}", array


def _store(
    config: ModelConfig, items: Iterable[Item], entries: Mapping[str, TensorEntry]
) -> tuple[Stored, ...]:
    items = list(items)
    vectors = [item for item in items if isinstance(item, Vector)]
    located = {vector.name: _locate_vector(config, vector, entries) for vector in vectors}
    offsets = _offset_norms(config, vectors, located, entries)
    stored: list[Stored] = []
    for item in items:
        if isinstance(item, Vector):
            stored.append(StoredVector(item, located[item.name], add_one=item.name in offsets))
        else:
            sources = locate(config, item, entries)
            matrices = tuple(check_matrix(config, source, item.bias, entries) for source in sources)
            stored.append(StoredProjection(item, matrices))
    return tuple(stored)


def _locate_vector(config: ModelConfig, vector: Vector, entries: Mapping[str, TensorEntry]) -> TensorEntry:
    entry = entries.get(vector.name)
    if entry is None:
        raise CheckpointError(f"The checkpoint lacks tensor {vector.name}.")
    allowed = {vector.shape}
    if vector.name.endswith(".conv1d.weight") and config.fused_layout is None:
        channels, kernel, _ = vector.shape
        allowed.add((channels, 1, kernel))
    if entry.shape not in allowed:
        raise CheckpointError(
            f"Tensor {vector.name} has shape {list(entry.shape)}; config.json asks for {list(vector.shape)}."
        )
    if entry.type not in FLOAT_TYPES:
        raise CheckpointError(f"Tensor {vector.name} is {entry.type}; it must be a floating-point type.")
    return entry


def _offset_norms(
    config: ModelConfig,
    vectors: list[Vector],
    located: Mapping[str, TensorEntry],
    entries: Mapping[str, TensorEntry],
) -> set[str]:
    """The names of the norms that are stored as offsets from one: all in the original form, none in ours; in
    other conversions their values decide (see `norms`)."""
    norms = [vector for vector in vectors if vector.offset_norm and not (vector.mtp and config.mtp_trained)]
    if config.fused_layout is not None:
        return set()
    converted = any(is_converted(entry.name) for entry in entries.values())
    turned = any(located[vector.name].shape == vector.shape for vector in vectors if len(vector.shape) == 3)
    if not converted and not turned:
        return {vector.name for vector in norms}
    offsets: set[str] = set()
    with TensorReader() as reader:
        # The MTP layer is judged by itself: some converters copy it without adding the one.
        for mtp in (False, True):
            group = [vector.name for vector in norms if vector.mtp is mtp]
            if group and are_offsets([reader.read(located[name]) for name in group]):
                offsets.update(group)
    return offsets


def _refuse_unknown(config: ModelConfig, entries: Mapping[str, TensorEntry], stored: Iterable[Stored]) -> None:
    known = {entry.name for item in stored for entry in entries_of(item)}
    for name, entry in sorted(entries.items()):
        tied_head = config.tie_word_embeddings and name.startswith("lm_head.")
        if entry.name not in known and not tied_head and not name.endswith(".rotary_emb.inv_freq"):
            raise CheckpointError(
                f"The checkpoint has tensor {entry.name}, which is no part of this architecture."
            )
