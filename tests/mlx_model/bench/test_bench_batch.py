"""`bench batch` decodes as many replies at once as asked, beside one alone."""

import json
from pathlib import Path

import pytest

from mlx_model.__main__ import main
from tests.support.weights.checkpoints import write_checkpoint


def test_it_times_rows_beside_one_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["bench", "batch", "--model", str(write_checkpoint(tmp_path, vocab_size=1000))]
    given += ["--rows", "2,3", "--context", "8", "--tokens", "3", "--rounds", "1"]
    assert main([*given, "--json"]) == 0
    widths = json.loads(capsys.readouterr().out)
    assert [width["rows"] for width in widths] == [1, 2, 3]
    assert widths[0]["ratio"] == 1 and all(width["tokens_per_second"] > 0 for width in widths)
    assert main([*given[:-6], "--rows", "1"]) == 2
    assert "from 2 to 8" in capsys.readouterr().err
