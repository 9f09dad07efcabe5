"""An adapter written into a checkpoint: the model is the base with the adapter, in every form, and resumed."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import mlx.core as mx
import numpy as np
import pytest

from mlx_model.__main__ import main
from mlx_model.engine.loading import load
from mlx_model.errors import CheckpointError
from mlx_model.weights.adapter import Update, read_adapter
from mlx_model.weights.checkpoint import Checkpoint, open_checkpoint
from mlx_model.weights.conversion.convert import convert
from mlx_model.weights.conversion.merge import merge
from mlx_model.weights.recipes import Recipe
from mlx_model.weights.unpacking import unpacked_tensors
from tests.support.weights import forms
from tests.support.weights.adapters import NO_EXPERTS, Kind, write_adapter
from tests.support.weights.checkpoints import random_tensors, tiny_config, write_checkpoint

TOKENS = mx.array([[3, 1, 4, 1, 5, 9, 2, 6, 5, 35, 89, 79] * 2])
CONFIG = tiny_config(mlp_only_layers=[1])
SOME = ["self_attn.q_proj", "linear_attn.in_proj_ba", "mlp.switch_mlp.up_proj", "lm_head"]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("base") / "model", seed=8, shards=2, mlp_only_layers=[1])


@pytest.fixture(scope="module")
def adapters(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters")
    write_adapter(folder / "lora", original, None)
    write_adapter(folder / "dora", original, NO_EXPERTS, kind="dora")
    write_adapter(folder / "some", original, SOME)
    return folder


def logits(checkpoint: Path, adapter: Path | None = None) -> np.ndarray:
    model = load(checkpoint, adapter=adapter, dtype="float32").model
    return np.array(model.logits(TOKENS, model.state()))


@pytest.mark.parametrize("kind", ["lora", "dora"])
@pytest.mark.parametrize("form", ["one tensor an expert", "packed experts", "stacked"])
def test_a_merged_checkpoint_is_the_base_with_the_adapter(
    form: str, kind: Kind, original: Path, adapters: Path, tmp_path: Path
) -> None:
    base = original
    if form != "one tensor an expert":
        make = forms.packed if form == "packed experts" else forms.stacked
        base = forms.write(tmp_path / "base", CONFIG, make(CONFIG, random_tensors(CONFIG, 8)))
    merged = merge(base, adapters / kind, tmp_path / "out")
    assert merged.matrices > 10
    expected = logits(base, adapters / kind)
    np.testing.assert_allclose(logits(tmp_path / "out"), expected, atol=1e-5 * np.abs(expected).max())
    assert np.abs(expected - logits(base)).max() > 0.1
    assert open_checkpoint(tmp_path / "out").nbytes == open_checkpoint(base).nbytes


def weights(checkpoint: Checkpoint) -> dict[str, mx.array]:
    return dict(unpacked_tensors(checkpoint.tensors(), checkpoint.quantization))


def by_definition(weight: mx.array, update: Update) -> mx.array:
    return weight.astype(mx.float32) + (update.a @ update.b).swapaxes(-1, -2)


@pytest.mark.parametrize("layout", ["ours", "mlx"])
@pytest.mark.parametrize("bits", [4, 8])
def test_packed_matrices_are_packed_again_as_they_were(
    layout: str, bits: int, original: Path, adapters: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    if layout == "ours":
        convert(original, base, Recipe.Q4 if bits == 4 else Recipe.Q8)
    else:
        packing = {"group_size": 32, "bits": bits, "mode": "affine"}
        tensors, block = forms.quantized(forms.stacked(CONFIG, random_tensors(CONFIG, 8)), packing)
        forms.write(base, {**CONFIG, "quantization": block}, tensors)
    merge(base, adapters / "some", tmp_path / "out")
    before, after = open_checkpoint(base), open_checkpoint(tmp_path / "out")
    assert after.quantization == before.quantization
    old, new = weights(before), weights(after)
    stored = dict(before.tensors()), dict(after.tensors())
    updates = read_adapter(adapters / "some", before.config)
    for name, weight in old.items():
        path = name.removesuffix(".weight")
        if path not in updates:
            assert mx.array_equal(new[name], weight)
            continue
        target = by_definition(weight, updates[path])
        adapted = np.array(mx.any(updates[path].b != 0, axis=-2))
        assert adapted.any()
        for kind in ("weight", "scales", "biases"):
            if f"{path}.{kind}" in stored[0]:
                ours, theirs = (np.array(tensors[f"{path}.{kind}"].astype(mx.float32)) for tensors in stored)
                np.testing.assert_array_equal(ours[~adapted], theirs[~adapted])
        quantization = before.quantization[path]
        groups = target.reshape(*target.shape[:-1], -1, quantization.group_size)
        width = (groups.max(axis=-1) - groups.min(axis=-1)) / (2**quantization.bits - 1)
        error = mx.abs(new[name].reshape(groups.shape) - groups).max(axis=-1)
        # Half a step is rounding, and zero is kept exact; weight, scale and bias are bfloat16 in our layout.
        allowed = 1.1 * width + 2**-7 * mx.abs(groups).max(axis=-1)
        assert (np.array(error)[adapted] <= np.array(allowed)[adapted]).all()
    assert np.abs(logits(tmp_path / "out") - logits(base)).max() > 0.05


def test_the_command_says_what_it_made(
    original: Path, adapters: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", str(original), "--adapter", str(adapters / "lora"), "--out", str(tmp_path / "out")]
    assert main(["tune", "merge", *words]) == 0
    assert "matrices changed" in capsys.readouterr().err
    assert main(["tune", "merge", *words]) == 2
    assert "exists already" in capsys.readouterr().err


def test_an_interrupted_merge_goes_on_to_the_same_bytes(original: Path, adapters: Path, tmp_path: Path) -> None:
    def digests(directory: Path) -> dict[str, str]:
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}

    class Interrupted(Exception): ...

    merge(original, adapters / "dora", tmp_path / "whole")
    reports = 0

    def interrupt(*_: int) -> None:
        nonlocal reports
        reports += 1
        if reports % 3 == 0:
            raise Interrupted

    while not (tmp_path / "parts").exists():
        try:
            merge(original, adapters / "dora", tmp_path / "parts", progress=interrupt)
        except Interrupted:
            assert not (tmp_path / "parts").exists()
    assert reports > 6
    assert digests(tmp_path / "parts") == digests(tmp_path / "whole")


def test_another_adapter_does_not_go_on_with_what_was_left(
    original: Path, adapters: Path, tmp_path: Path
) -> None:
    class Interrupted(Exception): ...

    def interrupt(done: int, total: int) -> None:
        if done * 10 > total * 9:
            raise Interrupted

    with pytest.raises(Interrupted):
        merge(original, adapters / "lora", tmp_path / "out", progress=interrupt)
    merge(original, adapters / "dora", tmp_path / "out")
    expected = logits(original, adapters / "dora")
    np.testing.assert_allclose(logits(tmp_path / "out"), expected, atol=1e-5 * np.abs(expected).max())


def test_an_adapter_of_another_model_is_refused_before_anything_is_written(
    adapters: Path, tmp_path: Path
) -> None:
    other = write_checkpoint(tmp_path / "other", num_attention_heads=8)
    with pytest.raises(CheckpointError, match="lora_"):
        merge(other, adapters / "lora", tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".*"))


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
from mlx_model.weights.conversion import merge as merging
source, adapter, out = map(Path, sys.argv[1:])
merging._SLAB_WEIGHTS = merging._COPIED_AT_ONCE = 1 << 20
mx.eval(mx.quantize(mx.ones((64, 64))))
before = peak()
merging.merge(source, adapter, out)
print(peak() - before)
"""


def test_memory_does_not_grow_with_the_model(tmp_path: Path) -> None:
    """85 MB of experts are merged within a third of that, in slabs of 4 MiB."""
    shape = {"num_hidden_layers": 2, "full_attention_interval": 2, "hidden_size": 256, "num_experts": 64}
    base = write_checkpoint(tmp_path / "base", moe_intermediate_size=256, **shape)
    adapter = write_adapter(
        tmp_path / "adapter", base, ["mlp.switch_mlp.up_proj", "mlp.switch_mlp.down_proj"], 2
    )
    command = [sys.executable, "-c", MEASURED, str(base), str(adapter), str(tmp_path / "out")]
    assert (base / "model.safetensors").stat().st_size > 85e6
    assert int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) < 45e6
    shutil.rmtree(tmp_path / "out")
