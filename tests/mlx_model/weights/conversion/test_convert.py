"""Conversion: resumed, atomic, economical, and refused in one sentence where it cannot be."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from mlx_model import durable
from mlx_model.__main__ import main
from mlx_model.config.model_config import ModelConfig
from mlx_model.errors import CheckpointError
from mlx_model.weights.checkpoint import StoredProjection, open_checkpoint
from mlx_model.weights.conversion import convert as conversion
from mlx_model.weights.conversion.convert import convert
from mlx_model.weights.conversion.shards import PlannedTensor, ShardPlan, ShardWriter
from mlx_model.weights.conversion.staging import staging
from mlx_model.weights.layout import Component, Vector, model_items
from mlx_model.weights.names import locate
from mlx_model.weights.recipes import Recipe
from tests.support.weights.checkpoints import tiny_config, write_checkpoint


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = write_checkpoint(tmp_path_factory.mktemp("source") / "m", mtp=True, shards=2, dtype=mx.bfloat16)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        (directory / name).write_text(f"{{}} {name}")
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("recipe", Recipe)
def test_bits_are_where_the_recipe_puts_them(recipe: Recipe, source: Path, tmp_path: Path) -> None:
    convert(source, tmp_path / "out", recipe)
    checkpoint = open_checkpoint(tmp_path / "out")
    bits: dict[Component, set[int]] = {}
    for item in checkpoint.stored:
        if isinstance(item, StoredProjection):
            packing = item.quantization
            bits.setdefault(item.projection.component, set()).add(packing.bits if packing else 16)
    dense = {"q4": 4, "q4-dense8": 8, "q8": 8, "bf16": 16}[recipe]
    experts = {"q4": 4, "q4-dense8": 4, "q8": 8, "bf16": 16}[recipe]
    assert bits.pop(Component.EXPERTS) == {experts}
    assert bits.pop(Component.ROUTER) == {max(8, dense)}
    assert all(found == {dense} for found in bits.values())
    assert checkpoint.has_mtp
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()


def test_an_interrupted_conversion_goes_on_where_it_was(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(source, tmp_path / "whole", Recipe.Q4, shard_bytes=100_000)
    out = tmp_path / "out"
    resumed: list[float] = []
    produce, left = conversion.produce, 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal left
        for piece in produce(*arguments):
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            yield piece

    monkeypatch.setattr(conversion, "produce", interrupted)
    monkeypatch.setattr(durable, "_WRITE_LIMIT", 1000)
    for left in (1, 20, 37, 1000):  # noqa: B007 (read by `interrupted`)
        try:
            resumed.append(convert(source, out, Recipe.Q4, shard_bytes=100_000).resumed_at)
        except KeyboardInterrupt:
            assert not out.exists()
    assert resumed and resumed[0] > 0.2
    assert contents(out) == contents(tmp_path / "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]


def test_what_an_other_recipe_left_behind_is_not_gone_on_with(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch, pytest.raises(CheckpointError):
        patch.setattr(conversion, "_finish", _no_room)
        convert(source, out, Recipe.Q8)
    assert not out.exists()
    assert convert(source, out, Recipe.Q4).resumed_at == 0
    convert(source, tmp_path / "again", Recipe.Q4)
    assert contents(out) == contents(tmp_path / "again")


def _no_room(*_: Any) -> None:
    raise CheckpointError("No space left on device.")


def test_an_mtp_layer_is_taken_from_a_sibling_with_its_rotary_base(tmp_path: Path) -> None:
    plain = write_checkpoint(tmp_path / "plain", seed=3, dtype=mx.bfloat16)
    sibling = write_checkpoint(
        tmp_path / "Sibling-Instruct", mtp=True, shards=3, seed=9, dtype=mx.bfloat16, rope_theta=10_000_000
    )
    index = json.loads((sibling / "model.safetensors.index.json").read_text())["weight_map"]
    for file in set(index.values()) - {file for name, file in index.items() if name.startswith("mtp.")}:
        (sibling / file).unlink()
    convert(plain, tmp_path / "out", Recipe.BF16, graft_mtp=sibling)
    grafted = open_checkpoint(tmp_path / "out")
    assert (grafted.config.mtp_source, grafted.config.mtp_rope_theta) == ("Sibling-Instruct", 1e7)
    assert grafted.config.rope_theta == 5e6
    whole = write_checkpoint(tmp_path / "whole", mtp=True, seed=9, dtype=mx.bfloat16)
    expected = dict(open_checkpoint(whole).tensors())
    got = dict(grafted.tensors())
    layer = [name for name in expected if name.startswith("mtp.")]
    assert layer
    assert all(mx.array_equal(got[name], expected[name]).item() for name in layer)
    # Packing it later keeps whose it is.
    convert(tmp_path / "out", tmp_path / "q4", Recipe.Q4)
    assert open_checkpoint(tmp_path / "q4").config.mtp_rope_theta == 1e7


def test_a_sibling_that_does_not_fit_is_refused_by_name(source: Path, tmp_path: Path) -> None:
    other = write_checkpoint(tmp_path / "other", mtp=True, moe_intermediate_size=128)
    with pytest.raises(CheckpointError, match=r"mtp\.layers\.0\.mlp\.experts\.0\.gate_proj\.weight has shape"):
        convert(source, tmp_path / "out", Recipe.Q4, graft_mtp=other)
    none = write_checkpoint(tmp_path / "none")
    with pytest.raises(CheckpointError, match=r"no mtp\.\* tensors"):
        convert(source, tmp_path / "out", Recipe.Q4, graft_mtp=none)
    assert not (tmp_path / "out").exists()


def test_what_cannot_work_is_refused_before_anything_is_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckpointError, match="the source itself"):
        convert(source, source.parent / "." / "m", Recipe.Q4)
    (tmp_path / "there").mkdir()
    with pytest.raises(CheckpointError, match="exists already"):
        convert(source, tmp_path / "there", Recipe.Q4)
    convert(source, tmp_path / "q4", Recipe.Q4)
    with pytest.raises(CheckpointError, match=r"embed_tokens is already packed with 4 bits"):
        convert(tmp_path / "q4", tmp_path / "q8", Recipe.Q8)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(CheckpointError, match=r"needs 0\.0 GB more on the disk"):
        convert(source, tmp_path / "full", Recipe.Q4)
    assert not (tmp_path / "full").exists()
    assert not (tmp_path / "q8").exists()


def test_a_disk_that_fills_up_is_one_sentence_and_can_be_gone_on_from(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, left = os.pwrite, 40

    def until_full(descriptor: int, data: bytes, offset: int) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data, offset)

    with monkeypatch.context() as patch, pytest.raises(CheckpointError, match="No space left"):
        patch.setattr(os, "pwrite", until_full)
        convert(source, tmp_path / "out", Recipe.Q4)
    assert not (tmp_path / "out").exists()
    assert convert(source, tmp_path / "out", Recipe.Q4).resumed_at > 0


def test_two_conversions_to_one_name_do_not_mix(source: Path, tmp_path: Path) -> None:
    with (
        staging(tmp_path / "out", "the first"),
        pytest.raises(CheckpointError, match="Another conversion"),
    ):
        convert(source, tmp_path / "out", Recipe.Q4)


def test_the_command_says_where_the_result_is(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["convert", "--source", str(source), "--out", str(tmp_path / "out"), "--recipe", "q4-dense8"]) == 0
    )
    assert f"{tmp_path / 'out'}: " in capsys.readouterr().err
    assert open_checkpoint(tmp_path / "out").config.quantization is not None
    with pytest.raises(SystemExit) as stop:
        main(["convert", "--source", str(source), "--out", str(tmp_path / "x"), "--recipe", "q5"])
    assert stop.value.code == 2


MEASURED = """
import resource, sys
from pathlib import Path

def peak():
    # Linux carries ru_maxrss over from the process that forked us; the high-water mark is this process's own.
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))

import mlx.core as mx
from mlx_model.weights.conversion import convert as conversion
from mlx_model.weights.recipes import Recipe
source, out, recipe, slab = sys.argv[1:]
conversion._SLAB_BYTES = int(slab) or conversion._SLAB_BYTES
mx.eval(mx.quantize(mx.ones((64, 64))))
before = peak()
conversion.convert(Path(source), Path(out), Recipe(recipe))
print(peak() - before)
"""


def peak_growth(source: Path, out: Path, recipe: str, slab_bytes: int = 0) -> int:
    """Bytes of resident memory that a conversion takes at its peak, beyond the interpreter with its imports."""
    command = [sys.executable, "-c", MEASURED, str(source), str(out), recipe, str(slab_bytes)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def write_large(directory: Path, *, packed: bool, **overrides: Any) -> int:
    """A bfloat16 checkpoint with one tensor per expert or packed experts, written a tensor at a time; its
    bytes. All tensors of a shape have the same random values: what is measured is memory."""
    directory.mkdir()
    raw = tiny_config(torch_dtype="bfloat16", **overrides)
    (directory / "config.json").write_text(json.dumps(raw))
    config = ModelConfig.from_dict(raw)
    tensors: list[PlannedTensor] = []
    for item in model_items(config, mtp=False):
        if isinstance(item, Vector):
            shape = item.shape if len(item.shape) == 1 else (item.shape[0], 1, item.shape[1])
            tensors.append(PlannedTensor(item.name, "BF16", shape))
        elif packed and item.experts:
            tensors.append(PlannedTensor(item.path, "BF16", item.shape))
        else:
            for source in locate(config, item, ()):
                shape = source.shape[-2:]
                tensors += [PlannedTensor(name, "BF16", shape) for name in source.weights]
    plan = ShardPlan([[tensor] for tensor in tensors])
    with ShardWriter(plan, directory) as writer:
        for tensor in tensors:
            tile = mx.random.normal(tensor.shape[1:] or tensor.shape).astype(mx.bfloat16)
            if tile.shape == tensor.shape:
                writer.write(tensor.name, 0, tile)
                continue
            for row in range(0, tensor.shape[0], 64):
                rows = min(64, tensor.shape[0] - row)
                writer.write(tensor.name, row, mx.broadcast_to(tile, (rows, *tile.shape)))
    plan.write_index(directory)
    return plan.nbytes


@pytest.mark.parametrize(("recipe", "packed"), [("q4", False), ("bf16", True)])
def test_memory_does_not_grow_with_the_model(packed: bool, recipe: str, tmp_path: Path) -> None:
    size = write_large(
        tmp_path / "m",
        packed=packed,
        num_hidden_layers=2,
        hidden_size=512,
        num_experts=128,
        moe_intermediate_size=256,
        vocab_size=32768,
    )
    assert size > 250e6
    assert peak_growth(tmp_path / "m", tmp_path / "out", recipe, slab_bytes=4 << 20) < 60e6


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("recipe", ["q4", "bf16"])
def test_full_size_layers_convert_within_the_memory_promised(packed: bool, recipe: str, tmp_path: Path) -> None:
    """A model of one layer, as wide as Qwen3-Coder-Next: 4 GB, of which 3.2 GB are one bank of experts."""
    reference = {
        "num_hidden_layers": 1,
        "hidden_size": 2048,
        "num_experts": 512,
        "num_experts_per_tok": 10,
        "moe_intermediate_size": 512,
        "shared_expert_intermediate_size": 512,
        "linear_num_key_heads": 16,
        "linear_num_value_heads": 32,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "vocab_size": 151936,
    }
    assert write_large(tmp_path / "m", packed=packed, **reference) > 4e9
    assert peak_growth(tmp_path / "m", tmp_path / "out", recipe) < 2.5e9
