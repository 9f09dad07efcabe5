"""Experts as the rows of one tensor, so that reading an expert is one read.

A layer's experts are several tensors of shape [experts, rows, columns]. In the fused layout they are stored
expert by expert, in `PATH.rows`, bytes of shape [experts, stride]: each row begins on a page and holds an
expert's slice of every tensor, one after the other. To other programs that is an ordinary safetensors tensor;
the file's metadata describes its rows. At 4, 8 or 16 bits, an expert of Qwen3-Coder-Next is a whole number of
pages, so no padding is needed.
"""

import json
import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from mlx_model.errors import CheckpointError
from mlx_model.weights.safetensors import TYPES, Header, TensorEntry

PAGE = 16_384
"""Bytes: a memory page on Apple silicon, and a multiple of the pages of other machines."""

_METADATA = "tidegate.expert_rows"
_SUFFIX = ".rows"
_SLICES_LIMIT = 64
"""Tensors in a row: ours have at most 9, of three projections with weight, scales and biases."""

_Size = Annotated[int, Field(ge=1, le=1 << 32)]
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Slice = tuple[_Name, Literal["BF16", "F16", "F32", "U32", "U8"], tuple[_Size, _Size]]
_Slices = Annotated[tuple[_Slice, ...], Field(min_length=1, max_length=_SLICES_LIMIT)]
_DESCRIPTION = TypeAdapter(dict[_Name, _Slices], config=ConfigDict(allow_inf_nan=False))
"""By the name of the rows' tensor: name, safetensors type and shape of each tensor's slice in a row."""


def stride(slice_bytes: Iterable[int]) -> int:
    """Bytes from one expert's row to the next, for slices of these sizes."""
    return -(-sum(slice_bytes) // PAGE) * PAGE


def rows_name(bank: str) -> str:
    """The name of the tensor that holds the experts of the bank at this path."""
    return f"{bank}{_SUFFIX}"


def describe(banks: Mapping[str, Sequence[tuple[str, str, tuple[int, ...]]]]) -> dict[str, str]:
    """The metadata of a file with these banks: by path, the tensors (name, safetensors type, shape with the
    experts' axis) in their order in a row."""
    described = {
        rows_name(bank): [(name.removeprefix(f"{bank}."), kind, shape[1:]) for name, kind, shape in tensors]
        for bank, tensors in banks.items()
    }
    return {_METADATA: json.dumps(described, separators=(",", ":"))} if described else {}


def part_entries(path: Path, header: Header, left_out: Container[str] = ()) -> dict[str, TensorEntry]:
    """The tensors of a file by name, without those in `left_out`; rows of experts are split into their tensors.
    Raises CheckpointError."""
    entries = {name: entry for name, entry in header.entries.items() if name not in left_out}
    described = header.metadata.get(_METADATA)
    if described is None:
        return entries
    try:
        banks = _DESCRIPTION.validate_json(described)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise CheckpointError(f"{path} has a damaged description of its experts: {reason}.") from None
    for name, slices in banks.items():
        if name in left_out:
            continue
        rows = entries.pop(name, None)
        if rows is None or rows.type != "U8" or len(rows.shape) != 2 or not name.endswith(_SUFFIX):
            raise CheckpointError(f"{path} describes the experts in {name}, which is no tensor of rows.")
        for entry in _split(path, rows, slices):
            if entry.name in entries:
                raise CheckpointError(f"{path} has tensor {entry.name} twice.")
            entries[entry.name] = entry
    return entries


def _split(path: Path, rows: TensorEntry, slices: Iterable[_Slice]) -> Iterable[TensorEntry]:
    experts, row_bytes = rows.shape
    inside = 0
    for name, kind, shape in slices:
        nbytes = math.prod(shape) * TYPES[kind][0].size
        if inside + nbytes > row_bytes:
            raise CheckpointError(f"{path} describes more in {rows.name} than a row of it holds.")
        yield replace(
            rows,
            name=f"{rows.name.removesuffix(_SUFFIX)}.{name}",
            type=kind,
            shape=(experts, *shape),
            offset=rows.offset + inside,
            nbytes=experts * nbytes,
            stride=row_bytes,
        )
        inside += nbytes
