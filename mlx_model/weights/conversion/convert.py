"""Converting any checkpoint to the fused layout, packed by a recipe, in memory that does not grow with the
model.

Module after module is read, joined, packed and written in slabs. The number of finished modules is recorded in
the staging directory, so an interrupted conversion resumes there; a finished one is renamed to the name asked
for.
"""

import hashlib
import itertools
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx

from mlx_model.config.family import text_fields
from mlx_model.config.model_config import FUSED_LAYOUT, ModelConfig, Quantization, read_json_object
from mlx_model.errors import CheckpointError
from mlx_model.weights.checkpoint import (
    Progress,
    Stored,
    StoredProjection,
    StoredVector,
    entries_of,
    is_mtp,
    open_checkpoint,
    open_mtp,
    read_vector,
    stored_bytes,
)
from mlx_model.weights.conversion.shards import (
    SHARD_BYTES,
    Planned,
    PlannedExperts,
    PlannedTensor,
    ShardPlan,
    ShardWriter,
)
from mlx_model.weights.conversion.staging import Staging, staging
from mlx_model.weights.packing import packed_shapes
from mlx_model.weights.recipes import Recipe, quantization_for
from mlx_model.weights.safetensors import TensorReader

_SLAB_BYTES = 256 << 20
"""Bytes of a bank that are converted at once: large enough for fast reads, small beside any model."""
_COMPANIONS = (
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "generation_config.json",
    "LICENSE*",
)


@dataclass(frozen=True, slots=True)
class Conversion:
    """The result: its directory, its bytes, the share (0 to 1) that an earlier run had read, and the checkpoint
    that its MTP layer was grafted from."""

    directory: Path
    nbytes: int
    resumed_at: float
    mtp_source: str | None


def convert(
    source: Path,
    out: Path,
    recipe: Recipe,
    *,
    graft_mtp: Path | None = None,
    progress: Progress | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> Conversion:
    """Writes `source` as a fused checkpoint at `out`, which exists only once it is complete. `progress` counts
    the work of an interrupted run as read. Raises ConfigError or CheckpointError, before anything is written
    wherever the headers tell."""
    check_places(source, out)
    checkpoint = open_checkpoint(source)
    stored = [item for item in checkpoint.stored if graft_mtp is None or not is_mtp(item)]
    if graft_mtp is not None:
        stored += open_mtp(graft_mtp, checkpoint.config)
    groups = [plan_tensors(item, recipe) for item in stored]
    plan = ShardPlan(list(_in_rows(stored, groups)), shard_bytes)
    config = _config(source, recipe, stored, graft_mtp)

    fingerprint = _fingerprint(stored, config, plan)
    with staging(out, fingerprint) as place:
        done = place.done
        finished = sum(tensor.nbytes for group in groups[:done] for tensor in group)
        check_space(out, plan.nbytes - finished)
        total, before = sum(map(stored_bytes, stored)), sum(map(stored_bytes, stored[:done]))
        read = before

        def on_read(count: int) -> None:
            nonlocal read
            read += count
            if progress is not None:
                progress(read, total)

        on_read(0)
        with TensorReader(on_read) as reader, ShardWriter(plan, place.directory) as writer:
            for position in range(done, len(stored)):
                for name, first, array in produce(reader, stored[position], recipe):
                    writer.write(name, first, array)
                mx.clear_cache()
                writer.sync()
                place.note(position + 1)
        _finish(source, out, place, config, plan)
    return Conversion(out, plan.nbytes, before / max(total, 1), config["tidegate"].get("mtp", {}).get("source"))


def plan_tensors(item: Stored, recipe: Recipe) -> list[PlannedTensor]:
    """The tensors that an item becomes. Raises CheckpointError where it is packed otherwise than the recipe
    packs."""
    if isinstance(item, StoredVector):
        vector = item.vector
        kind = "F32" if item.add_one else "BF16" if len(vector.shape) == 3 else item.entry.type
        return [PlannedTensor(vector.name, kind, vector.shape)]
    projection = item.projection
    wanted = _packing(item, recipe)
    path = projection.path
    if _is_packed(item):
        _check_packed(item, wanted, recipe)
        types = dict(zip(item.matrices[0].kinds, item.matrices[0].types, strict=True))
    else:
        types = {"weight": "U32", "scales": "BF16", "biases": "BF16"} if wanted else {"weight": "BF16"}
    shapes = packed_shapes(projection.shape, wanted) if wanted else {"weight": projection.shape}
    planned = [PlannedTensor(f"{path}.{kind}", types[kind], shape) for kind, shape in shapes.items()]
    if projection.bias:
        planned.append(PlannedTensor(f"{path}.bias", types.get("bias", "BF16"), (projection.row_count,)))
    return planned


def _in_rows(stored: Sequence[Stored], groups: Sequence[list[PlannedTensor]]) -> Iterator[Sequence[Planned]]:
    """The groups, with those of one bank of experts joined into one."""
    banks = itertools.groupby(zip(stored, groups, strict=True), lambda pair: _bank(pair[0]))
    for bank, pairs in banks:
        if bank is None:
            yield from (group for _, group in pairs)
        else:
            yield [PlannedExperts(bank, tuple(tensor for _, group in pairs for tensor in group))]


def _bank(item: Stored) -> str | None:
    """The path of the bank of experts that an item belongs to."""
    if isinstance(item, StoredProjection) and item.projection.experts:
        return item.projection.path.rpartition(".")[0]
    return None


def produce(reader: TensorReader, item: Stored, recipe: Recipe) -> Iterator[tuple[str, int, mx.array]]:
    """The planned tensors of an item in slabs: the name, the slab's first index on the leading axis, its
    data."""
    if isinstance(item, StoredVector):
        for name, array in read_vector(reader, item):
            yield name, 0, array.astype(mx.bfloat16) if array.ndim == 3 else array
        return
    wanted = None if _is_packed(item) else _packing(item, recipe)
    for start, stop in _slabs(item):
        parts = [matrix.read(reader, start, stop) for matrix in item.matrices]
        joined = {
            kind: mx.concatenate([part.pop(kind) for part in parts], axis=-1 if kind == "bias" else -2)
            for kind in list(parts[0])
        }
        if not _is_packed(item):
            joined = {kind: array.astype(mx.bfloat16) for kind, array in joined.items()}
        if wanted is not None:
            weight = joined.pop("weight")
            packed = mx.quantize(weight, wanted.group_size, wanted.bits, wanted.mode)
            joined |= dict(zip(("weight", "scales", "biases"), packed, strict=True))
            del weight, packed
        mx.eval(joined)
        for kind in list(joined):
            yield f"{item.projection.path}.{kind}", start, joined.pop(kind)


def _slabs(item: StoredProjection) -> Iterator[tuple[int, int | None]]:
    """Slices of the leading axis of about _SLAB_BYTES; all of it at once where rows are permuted or joined."""
    bank = item.projection.experts > 0
    if not all(matrix.sliceable for matrix in item.matrices) or (len(item.matrices) > 1 and not bank):
        yield 0, None
        return
    length = item.projection.shape[0]
    step = max(1, _SLAB_BYTES * length // stored_bytes(item))
    for start in range(0, length, step):
        yield start, min(start + step, length)


def _packing(item: StoredProjection, recipe: Recipe) -> Quantization | None:
    """How the result packs a projection: as the recipe says; an MTP layer that is packed stays as it is, for it
    only drafts."""
    if item.projection.mtp and item.quantization is not None:
        return item.quantization
    return quantization_for(recipe, item.projection)


def _is_packed(item: StoredProjection) -> bool:
    return any(matrix.quantization is not None for matrix in item.matrices)


def _check_packed(item: StoredProjection, wanted: Quantization | None, recipe: Recipe) -> None:
    for matrix in item.matrices:
        if matrix.quantization != wanted or not item.joinable:
            has = matrix.quantization
            bits = "not packed" if has is None else f"packed with {has.bits} bits ({has.mode})"
            raise CheckpointError(
                f"{matrix.source.module} is already {bits}, which is not what {recipe} gives it: "
                "convert from the bfloat16 original."
            )


def _config(source: Path, recipe: Recipe, stored: list[Stored], graft_mtp: Path | None) -> dict[str, Any]:
    """The result's config.json: the text model's part of the source's, with our layout, the recipe and each
    module's packing."""
    config = text_fields(read_json_object(source / "config.json"))
    for key in ("quantization", "quantization_config"):
        config.pop(key, None)
    config["torch_dtype"] = "bfloat16"
    if "dtype" in config:
        config["dtype"] = "bfloat16"
    default = recipe.default
    if default is not None:
        block: dict[str, Any] = default.model_dump()
        for item in stored:
            if isinstance(item, StoredProjection):
                given = _packing(item, recipe)
                if given != default:
                    block[item.projection.path] = given.model_dump() if given else False
        config["quantization"] = block
    own: dict[str, Any] = {"layout": FUSED_LAYOUT, "recipe": str(recipe)}
    if graft_mtp is not None:
        sibling = ModelConfig.from_directory(graft_mtp)
        theta = sibling.mtp_rope_theta or sibling.rope_theta
        own["mtp"] = {"source": graft_mtp.resolve().name, "rope_theta": theta}
    elif "mtp" in config.get("tidegate", {}):
        own["mtp"] = config["tidegate"]["mtp"]
    config["tidegate"] = own
    return config


def check_places(source: Path, out: Path) -> None:
    """Makes the folder of `out`. Raises CheckpointError where the result cannot be placed there."""
    if out.resolve() == source.resolve():
        raise CheckpointError(f"{out} is the source itself; choose another --out.")
    if out.exists() or out.is_symlink():
        raise CheckpointError(f"{out} exists already; remove it or choose another --out.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(f"{out.parent} cannot be made: {error.strerror or error}.") from None


def check_space(out: Path, needed: int) -> None:
    """Raises CheckpointError where the disk of `out` has fewer bytes free than are needed."""
    free = shutil.disk_usage(out.parent).free
    if free < needed:
        raise CheckpointError(
            f"The result needs {needed / 1e9:.1f} GB more on the disk of {out.parent}, which has "
            f"{free / 1e9:.1f} GB free."
        )


def copy_companions(source: Path, destination: Path) -> None:
    """Copies tokenizer, chat template, generation config and license, as far as they exist. Raises OSError."""
    for pattern in _COMPANIONS:
        for path in source.glob(pattern):
            if path.is_file():
                shutil.copyfile(path, destination / path.name)


def _fingerprint(stored: list[Stored], config: dict[str, Any], plan: ShardPlan) -> str:
    """Differs whenever an interrupted conversion cannot be resumed: other files, recipe or layout."""
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for header in plan.headers.values():
        digest.update(header)
    files: dict[Path, None] = {}
    for item in stored:
        for entry in entries_of(item):
            digest.update(repr((entry.name, entry.file.name, entry.type, entry.shape, entry.offset)).encode())
            files[entry.file] = None
    for file in files:
        status = file.stat()
        digest.update(repr((str(file.resolve()), status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()


def _finish(source: Path, out: Path, place: Staging, config: dict[str, Any], plan: ShardPlan) -> None:
    try:
        plan.write_index(place.directory)
        copy_companions(source, place.directory)
        (place.directory / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise CheckpointError(f"{place.directory} cannot be written: {error.strerror or error}.") from None
    place.publish(out)
