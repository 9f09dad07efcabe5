"""What the plan forecasts against what a process takes; and what experts on disk save of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlx_model.bench.residency import measure
from tests.support.checkpoints import write_checkpoint

ROOT = Path(__file__).parents[2]


def full_size(*sizes: int) -> dict[str, int]:
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.full_size", *map(str, sizes)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=170,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, int] = json.loads(ended.stdout)
    return found


def test_the_forecast_is_within_5_percent_of_what_mlx_takes() -> None:
    """Two layers of full width with few experts: here activations are a third of it all."""
    found = full_size(2, 16, 4096, 16)
    assert found["forecast"] == pytest.approx(found["mlx"], rel=0.05)


@pytest.mark.slow
def test_the_forecast_is_within_5_percent_of_the_resident_set() -> None:
    """Four layers with all their experts and the whole vocabulary."""
    found = full_size(4, 512, 151_936, 32)
    assert found["forecast"] == pytest.approx(found["mlx"], rel=0.05)
    assert found["forecast"] == pytest.approx(found["resident"], rel=0.05)


@pytest.mark.slow
def test_a_quarter_of_the_slots_saves_60_percent_of_the_resident_set(tmp_path: Path) -> None:
    """A checkpoint of which experts are nearly all: 1.3 GB in memory."""
    sizes = {"hidden_size": 512, "moe_intermediate_size": 512, "num_experts": 104, "num_experts_per_tok": 4}
    model = write_checkpoint(tmp_path / "model", **sizes)
    every, quarter, fewest = measure(model, range(1, 40), (104, 26, 4), 12)
    assert every.same_tokens and quarter.same_tokens and fewest.same_tokens
    assert quarter.resident_bytes < 0.4 * every.resident_bytes
    assert every.bytes_read_per_token == 0 < quarter.bytes_read_per_token
    assert every.hit_rate == 1 > quarter.hit_rate > fewest.hit_rate
