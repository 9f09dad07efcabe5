"""`bench edits` counts what misses, of which there is nothing where edits are held to the file."""

import json
from pathlib import Path

import pytest

from mlx_model.__main__ import main
from mlx_model.bench import edits
from tests.support.weights.servable import servable_checkpoint


def test_of_edits_that_are_held_none_misses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("_LONG_LINES", 200), ("_LONG_EDITS", 2), ("_MOST_TOKENS", 30)):
        monkeypatch.setattr(edits, name, value)
    (tmp_path / "a.txt").write_text("one\ntwo\none\n")
    model = servable_checkpoint(tmp_path / "model")
    asked = ["--model", str(model), "--file", str(tmp_path / "a.txt"), "--edits", "3", "--temperature", "2"]
    assert main(["bench", "edits", *asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    held, free = found["held"], found["free"]
    assert held["nowhere"] == held["ambiguous"] == 0 and held["endless"] < 1
    assert free["nowhere"] + free["endless"] == 1, "a random model quotes nothing"
    assert found["long_file"]["nbytes"] > 0


def test_places_that_overlap_count() -> None:
    assert [edits.occurrences("aaa", quoted) for quoted in ("aa", "b", "", "aaa")] == [2, 0, 0, 1]
