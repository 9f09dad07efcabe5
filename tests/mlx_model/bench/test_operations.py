"""What a decoded token dispatches. It may fall; where it grows, something crept into the decode step."""

import json
import subprocess
import sys
from pathlib import Path

import mlx.core as mx

from mlx_model.weights.conversion.convert import convert
from mlx_model.weights.recipes import Recipe
from tests.support.engine.compiler import needs_compiler
from tests.support.weights.checkpoints import write_checkpoint


@needs_compiler
def test_a_token_of_the_published_model_takes_at_most_1150_operations(tmp_path: Path) -> None:
    source = write_checkpoint(tmp_path / "hf", num_hidden_layers=8, dtype=mx.bfloat16)
    convert(source, tmp_path / "q4", Recipe.Q4)
    # A process of its own: what was compiled in this one, perhaps without fused operations, stays as it is.
    command = [
        sys.executable,
        "-m",
        "mlx_model",
        "bench",
        "operations",
        "--model",
        str(tmp_path / "q4"),
        "--json",
    ]
    counts = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
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
