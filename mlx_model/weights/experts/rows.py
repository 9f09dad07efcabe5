"""All tensors of an expert side by side: a layer's experts as the rows of one tensor, so that one is one read.

A layer's experts are several tensors of shape [experts, rows, columns]. In the fused layout they lie expert by
expert instead, in `PATH.rows`, bytes of shape [experts, stride]: each row begins on a page and has an expert's
part of every tensor, one after the other. To everyone else that is an ordinary tensor of an ordinary file of
safetensors; what its rows hold stands in the file's metadata. At 4, 8 or 16 bits, an expert of Qwen3-Coder-Next
is a whole number of pages: nothing is lost.
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
"""Bytes. A page of memory on Apple silicon, and a multiple of everybody else's."""

_METADATA = "tidegate.expert_rows"
_SUFFIX = ".rows"
_PARTS_LIMIT = 64

_Size = Annotated[int, Field(ge=1, le=1 << 32)]
_Name = Annotated[str, Field(min_length=1, max_length=200)]
_Part = tuple[_Name, Literal["BF16", "F16", "F32", "U32", "U8"], tuple[_Size, _Size]]
_Parts = Annotated[tuple[_Part, ...], Field(min_length=1, max_length=_PARTS_LIMIT)]
_DESCRIPTION = TypeAdapter(dict[_Name, _Parts], config=ConfigDict(allow_inf_nan=False))


def stride(part_bytes: Iterable[int]) -> int:
    """From one expert to the next, in bytes, when its parts take so many."""
    return -(-sum(part_bytes) // PAGE) * PAGE


def rows_name(bank: str) -> str:
    """The tensor that holds the experts of the bank at this path."""
    return f"{bank}{_SUFFIX}"


def describe(banks: Mapping[str, Sequence[tuple[str, str, tuple[int, ...]]]]) -> dict[str, str]:
    """The metadata of a file with these banks: for each path, its tensors (name, safetensors type, shape with
    the experts) in the order of a row."""
    described = {
        rows_name(bank): [(name.removeprefix(f"{bank}."), kind, shape[1:]) for name, kind, shape in parts]
        for bank, parts in banks.items()
    }
    return {_METADATA: json.dumps(described, separators=(",", ":"))} if described else {}


def part_entries(path: Path, header: Header, left_out: Container[str] = ()) -> dict[str, TensorEntry]:
    """The tensors of a file by name, without those left out, its rows of experts taken apart. Raises
    CheckpointError."""
    entries = {name: entry for name, entry in header.entries.items() if name not in left_out}
    described = header.metadata.get(_METADATA)
    if described is None:
        return entries
    try:
        banks = _DESCRIPTION.validate_json(described)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise CheckpointError(f"{path} has a damaged description of its experts: {reason}.") from None
    for name, parts in banks.items():
        if name in left_out:
            continue
        rows = entries.pop(name, None)
        if rows is None or rows.type != "U8" or len(rows.shape) != 2 or not name.endswith(_SUFFIX):
            raise CheckpointError(f"{path} describes the experts in {name}, which is no tensor of rows.")
        for entry in _parts(path, rows, parts):
            if entry.name in entries:
                raise CheckpointError(f"{path} has tensor {entry.name} twice.")
            entries[entry.name] = entry
    return entries


def _parts(path: Path, rows: TensorEntry, parts: Iterable[_Part]) -> Iterable[TensorEntry]:
    experts, row_bytes = rows.shape
    inside = 0
    for name, kind, shape in parts:
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
