"""The BLAS of a Linux CPU: which one is taken, what stays equal with a fast one, and what its weights take."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlx_model.engine.kept import CacheSettings, open_cache
from mlx_model.memory.activation_bytes import Arithmetic
from mlx_model.memory.footprint import stored_packing
from mlx_model.memory.machine import GIB, Machine
from mlx_model.memory.plan import Model, Wishes, plan_memory, widen_if_it_fits
from mlx_model.weights.checkpoint import open_checkpoint
from mlx_model.weights.conversion.convert import convert
from mlx_model.weights.recipes import Recipe
from tests.support.patience import LONGEST
from tests.support.places import ROOT
from tests.support.weights.checkpoints import write_checkpoint

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere MLX brings a fast one")


def run(module: str, *arguments: object, blas: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=LONGEST,
        check=False,
        env={**os.environ, "TIDEGATE_BLAS": blas},
    )


@pytest.fixture
def quantized(tmp_path: Path) -> Path:
    source = write_checkpoint(tmp_path / "source", vocab_size=128)
    convert(source, tmp_path / "model", Recipe.Q8)
    return tmp_path / "model"


def test_replies_differ_from_plain_ones_at_near_ties_only(quantized: Path, tmp_path: Path) -> None:
    """And widened weights give the logits of packed ones, take what the plan says, and have snapshots of their
    own."""
    ended = run("tests.support.programs.fast_blas", quantized, tmp_path / "cache", blas="")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    if found is None:
        pytest.skip("this system has no fast BLAS: apt install libopenblas0")
    assert found["drafted"] > 50
    assert max(found["ties"], default=0) < 1e-4, "of the largest logit"
    assert found["difference"] < 1e-4, "of the largest logit"
    assert found["held"] == pytest.approx(found["planned"], rel=0.05)
    with_own = open_cache(CacheSettings(folder=tmp_path / "cache"), quantized, None, "float32")
    with_own.close()
    assert with_own.folder and with_own.folder.name != found["cache"]


@pytest.mark.parametrize(
    "feed_forward",
    [
        {"num_experts": 8, "num_experts_per_tok": 4, "moe_intermediate_size": 128},
        {"num_experts": 0, "intermediate_size": 512, "num_hidden_layers": 12},
    ],
    ids=["experts", "dense"],
)
def test_the_forecast_is_within_5_percent_of_what_a_prompt_takes(
    feed_forward: dict[str, int], tmp_path: Path
) -> None:
    """Activations are most of it here, and it is the same for any number of layers."""
    sizes = {"hidden_size": 256, "num_attention_heads": 8, "head_dim": 128, "linear_num_value_heads": 16}
    heads = {"linear_num_key_heads": 8, "linear_key_head_dim": 64, "linear_value_head_dim": 64}
    model = write_checkpoint(tmp_path, **sizes, **heads, **feed_forward)
    ended = run("tests.support.programs.blas_memory", model, 1024, 512, blas="")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    if found is None:
        pytest.skip("this system has no fast BLAS: apt install libopenblas0")
    assert found["forecast"] == pytest.approx(found["mlx"], rel=0.05)


def test_weights_are_widened_only_where_nothing_is_lost_by_it(quantized: Path) -> None:
    checkpoint = open_checkpoint(quantized)
    model = Model(checkpoint.config, stored_packing(checkpoint), Arithmetic(float_bytes=4, stepwise=True))
    wishes = Wishes(1024, snapshots=0)
    plan = plan_memory(model, Machine(64 * GIB, 64 * GIB, "linux"), wishes)
    wide = widen_if_it_fits(plan, wishes)
    assert wide.model.widened and 3 < wide.weight_bytes / plan.weight_bytes < 4
    between = (plan.peak + wide.peak) // 2 + GIB  # which is the margin of so small a machine
    packed = plan_memory(model, Machine(64 * GIB, between, "linux"), wishes)
    assert packed.fits and widen_if_it_fits(packed, wishes) == packed


def test_a_library_that_is_none_is_refused_in_one_sentence() -> None:
    said = run("mlx_model", "generate", "--model", "x", "--prompt", "y", blas="no-such-library.so")
    assert said.returncode == 2
    assert len(said.stderr.splitlines()) == 1 and "TIDEGATE_BLAS names no-such-library.so" in said.stderr
    said = run("mlx_model.memory.blas", blas="libm.so.6")
    assert said.returncode == 2 and "no cblas_sgemm" in said.stdout


def test_the_reference_is_kept_when_asked_for() -> None:
    said = run("mlx_model.memory.blas", blas="reference")
    assert said.returncode == 1 and "MLX's own" in said.stdout
