"""What a decoded token dispatches. It may fall; where it grows, something crept into the decode step."""

import json
from pathlib import Path

import mlx.core as mx
import pytest

from mlx_model.__main__ import main
from mlx_model.weights.conversion.convert import convert
from mlx_model.weights.recipes import Recipe
from tests.support.checkpoints import write_checkpoint


def test_a_token_of_the_published_model_takes_at_most_1150_operations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_checkpoint(tmp_path / "hf", num_hidden_layers=8, dtype=mx.bfloat16)
    convert(source, tmp_path / "q4", Recipe.Q4)
    assert main(["bench", "operations", "--model", str(tmp_path / "q4"), "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)
    at_48_layers = {}
    for name, found in counts.items():
        delta_net, attention = found["layers"][0], found["layers"][3]
        assert found["layers"] == [delta_net, delta_net, delta_net, attention] * 2, name
        assert sum(found["kinds"].values()) == found["total"]
        rest = found["total"] - sum(found["layers"])
        at_48_layers[name] = 36 * delta_net + 12 * attention + rest
    assert at_48_layers["ours"] <= 1150
    assert at_48_layers["fused"] <= 950
    assert at_48_layers["ours"] < 0.6 * at_48_layers["mlx_lm"]
