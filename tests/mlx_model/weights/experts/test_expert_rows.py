"""Experts on disk, expert by expert: one aligned read each, in files that others can read."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from safetensors import safe_open

from mlx_model.config.published import published_config
from mlx_model.engine.loading import load_qwen3_next
from mlx_model.errors import CheckpointError
from mlx_model.memory.footprint import footprint, recipe_packing, slot_bytes
from mlx_model.weights.checkpoint import Checkpoint, open_checkpoint
from mlx_model.weights.conversion.convert import convert
from mlx_model.weights.experts.files import DiskReader
from mlx_model.weights.experts.residency import Residency
from mlx_model.weights.experts.rows import PAGE, stride
from mlx_model.weights.layout import Component, Projection, model_items
from mlx_model.weights.packing import packed_shapes
from mlx_model.weights.recipes import Recipe, quantization_for
from tests.support.weights.checkpoints import write_checkpoint

EXPERTS = 12


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes: dict[str, Any] = {"num_experts": EXPERTS, "num_experts_per_tok": 3, "seed": 8, "mtp": True}
    return write_checkpoint(tmp_path_factory.mktemp("rows") / "plain", dtype=mx.bfloat16, **sizes)


class Noting(DiskReader):
    """A disk that notes where it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: Counter[tuple[str, int]] = Counter()

    def read_into(self, file: Path, offset: int, buffers: Sequence[memoryview]) -> int:
        self.reads[(file.name, offset)] += 1
        return super().read_into(file, offset, buffers)


def read_experts(checkpoint: Checkpoint, dtype: mx.Dtype) -> tuple[Noting, dict[str, mx.array]]:
    """What a bank that holds all experts reads, and holds then."""
    disk = Noting()
    residency = Residency(checkpoint, EXPERTS, dtype, reader=disk)
    tensors: dict[str, mx.array] = {}
    for bank in residency.banks.values():
        chosen = np.arange(EXPERTS)
        for _, slots in bank.load(chosen, 4):
            rows = mx.array(slots.astype(np.uint32))
            tensors |= {name: tensor[rows] for name, tensor in bank.tensors.items()}
            mx.eval(tensors)
    residency.close()
    return disk, tensors


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16], ids=str)
@pytest.mark.parametrize("recipe", Recipe)
def test_an_expert_is_one_read_from_a_page_on(
    plain: Path, tmp_path: Path, recipe: Recipe, dtype: mx.Dtype
) -> None:
    """Several files, the MTP layer's experts too; each tensor is what full residency has, bit for bit."""
    convert(plain, tmp_path / "fused", recipe, shard_bytes=400_000)
    assert len(list((tmp_path / "fused").glob("*.safetensors"))) > 2
    checkpoint = open_checkpoint(tmp_path / "fused")
    disk, found = read_experts(checkpoint, dtype)
    layers = checkpoint.config.num_hidden_layers + 1
    assert sum(disk.reads.values()) == len(disk.reads) == layers * EXPERTS
    assert all(offset % PAGE == 0 for _, offset in disk.reads)
    resident = {name: tensor for name, tensor in checkpoint.tensors() if name in found}
    assert set(resident) == set(found)
    for name, tensor in found.items():
        wanted = resident[name]
        assert mx.array_equal(tensor, wanted.astype(tensor.dtype)).item(), name


def test_other_forms_are_read_in_more_pieces_and_are_the_same(plain: Path, tmp_path: Path) -> None:
    convert(plain, tmp_path / "fused", Recipe.BF16)
    several, loose = read_experts(open_checkpoint(plain), mx.float32)
    _, rows = read_experts(open_checkpoint(tmp_path / "fused"), mx.float32)
    assert 2 * 5 * EXPERTS < len(several.reads) <= 3 * 5 * EXPERTS
    assert all(mx.array_equal(tensor, loose[name]).item() for name, tensor in rows.items())


def test_the_file_is_one_that_others_read(plain: Path, tmp_path: Path) -> None:
    """The safetensors library takes it; and what it finds in a row is the expert."""
    convert(plain, tmp_path / "fused", Recipe.Q4)
    with safe_open(tmp_path / "fused" / "model.safetensors", framework="numpy") as theirs:
        rows = theirs.get_tensor("model.layers.0.mlp.experts.rows")
    assert rows.dtype == np.uint8 and rows.shape[0] == EXPERTS and rows.shape[1] % PAGE == 0
    tensors = dict(open_checkpoint(tmp_path / "fused").tensors())
    inside = 0
    for part in ("gate_up_proj", "down_proj"):
        for kind in ("weight", "scales", "biases"):
            tensor = tensors[f"model.layers.0.mlp.experts.{part}.{kind}"]
            held = np.array(tensor.view(mx.uint8)).reshape(EXPERTS, -1)
            assert np.array_equal(rows[:, inside : inside + held.shape[1]], held)
            inside += held.shape[1]
    assert not rows[:, inside:].any()


def test_packing_what_is_in_rows_is_packing_the_original(plain: Path, tmp_path: Path) -> None:
    convert(plain, tmp_path / "bf16", Recipe.BF16)
    convert(tmp_path / "bf16", tmp_path / "twice", Recipe.Q4)
    convert(plain, tmp_path / "once", Recipe.Q4)
    once, twice = (tmp_path / name / "model.safetensors" for name in ("once", "twice"))
    assert once.read_bytes() == twice.read_bytes()


@pytest.mark.parametrize("recipe", Recipe)
def test_the_real_models_experts_fill_their_pages(recipe: Recipe) -> None:
    config = published_config()
    sizes = [
        int(np.prod(shape[1:])) * (4 if kind == "weight" and packing else 2)
        for item in model_items(config, mtp=False)
        if isinstance(item, Projection) and item.experts and item.path.startswith("model.layers.7.")
        for packing in [quantization_for(recipe, item)]
        for kind, shape in (packed_shapes(item.shape, packing) if packing else {"weight": item.shape}).items()
    ]
    assert stride(sizes) == sum(sizes) == slot_bytes(config, recipe_packing(recipe)) // 48
    experts = footprint(config, recipe_packing(recipe)).components[Component.EXPERTS].nbytes
    assert 48 * 512 * stride(sizes) == experts


PART = ["gate_up_proj.weight", "U32", [64, 8]]


@pytest.mark.parametrize(
    ("described", "says"),
    [
        ("no JSON", "damaged description of its experts"),
        ("[]", "damaged description of its experts"),
        ({"model.layers.0.mlp.experts.rows": []}, "damaged description of its experts"),
        ({"model.layers.0.mlp.experts.rows": [["x", "I4", [1, 1]]]}, "damaged description of its experts"),
        ({"model.layers.0.mlp.experts.rows": [["x", "U8", [-1, 1]]]}, "damaged description of its experts"),
        ({"model.layers.0.mlp.experts.rows": [["x", "U32", [1 << 31, 1 << 31]]]}, "more .* than a row"),
        ({"model.layers.9.mlp.experts.rows": [PART]}, "no tensor of rows"),
        ({"model.norm.weight": [PART]}, "no tensor of rows"),
        ({"model.layers.0.mlp.experts.rows": [PART, PART]}, "twice"),
    ],
)
def test_a_spoilt_description_is_refused(
    plain: Path, tmp_path: Path, described: Any, says: str, fused: bytes
) -> None:
    length = int.from_bytes(fused[:8], "little")
    header = json.loads(fused[8 : 8 + length])
    text = described if isinstance(described, str) else json.dumps(described)
    header["__metadata__"]["tidegate.expert_rows"] = text
    raw = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + fused[8 + length :])
    (tmp_path / "config.json").write_bytes((plain / "config.json").read_bytes())
    with pytest.raises(CheckpointError, match=says):
        open_checkpoint(tmp_path)


@pytest.fixture(scope="module")
def fused(plain: Path) -> bytes:
    convert(plain, plain.parent / "spoilt", Recipe.Q4)
    return (plain.parent / "spoilt" / "model.safetensors").read_bytes()


def test_a_file_cut_short_in_its_rows_is_refused_or_said(plain: Path, tmp_path: Path) -> None:
    convert(plain, tmp_path / "fused", Recipe.Q4)
    checkpoint = open_checkpoint(tmp_path / "fused")
    file = tmp_path / "fused" / "model.safetensors"
    file.write_bytes(file.read_bytes()[: 3 * PAGE])
    with pytest.raises(CheckpointError, match="was cut short"):
        load_qwen3_next(checkpoint, dtype="float32")
    with pytest.raises(CheckpointError, match="truncated"):
        open_checkpoint(tmp_path / "fused")
