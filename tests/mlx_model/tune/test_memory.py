"""What a tuning takes in memory: as forecast, and beside what lies between layers no more for a longer text."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlx_model.memory.blas import VARIABLE
from mlx_model.memory.device import prepare_mlx
from tests.support.patience import LONGEST
from tests.support.places import ROOT
from tests.support.programs.tuning_memory import measured


def in_a_program(module: str, *arguments: int) -> dict:
    """What a program prints, with the BLAS of a user."""
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    ended = subprocess.run(
        [sys.executable, "-m", f"tests.support.programs.{module}", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        timeout=10 * LONGEST,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


def test_the_forecast_is_within_10_percent_of_what_mlx_takes(tmp_path: Path) -> None:
    """One layer of each kind, where activations are most of it."""
    prepare_mlx()
    kinds = ["linear_attention", "full_attention"]
    found = measured(tmp_path / "m", 300, num_hidden_layers=2, layer_types=kinds, hidden_size=128)
    assert found["forecast"] == pytest.approx(found["peak"], rel=0.1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("layers", [4, 8])
def test_memory_grows_with_the_borders_alone(layers: int) -> None:
    found = {length: in_a_program("tuning_memory", layers, length) for length in (512, 2048, 8192)}
    for own in found.values():
        assert own["forecast"] == pytest.approx(own["peak"], rel=0.1)
    beside = [own["peak"] - own["borders"] for own in found.values()]
    assert max(beside) < 1.15 * beside[0]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_it_takes_less_than_mlx_lm() -> None:
    found = in_a_program("beside_mlx_lm", 1024)
    assert found["ours"]["peak"] < 0.5 * found["mlx-lm"]["peak"]
