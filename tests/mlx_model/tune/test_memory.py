"""What a tuning takes in memory: as forecast, and beside what lies between layers no more for a longer text."""

from pathlib import Path

import pytest

from mlx_model.memory.device import prepare_mlx
from tests.support.engine.users_blas import told_by
from tests.support.programs.tuning_memory import measured

PROGRAMS = "tests.support.programs"


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
    lengths = (512, 2048, 8192)
    found = {length: told_by(f"{PROGRAMS}.tuning_memory", layers, length) for length in lengths}
    for own in found.values():
        assert own["forecast"] == pytest.approx(own["peak"], rel=0.1)
    beside = [own["peak"] - own["borders"] for own in found.values()]
    assert max(beside) < 1.15 * beside[0]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_it_takes_less_than_mlx_lm() -> None:
    found = told_by(f"{PROGRAMS}.beside_mlx_lm", 1024)
    assert found["ours"]["peak"] < 0.5 * found["mlx-lm"]["peak"]
