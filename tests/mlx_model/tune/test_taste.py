"""A taste that nobody tells the model, learnt from 400 scripted decisions in a review."""

import json
from pathlib import Path

import pytest

from tests.support.engine.users_blas import told_by
from tests.support.places import ROOT
from tests.support.review.taste import examples, functions

PRACTICE_MODEL = ROOT / "assets" / "practice-model"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_held_out_pairs_are_judged_as_the_user_would(tmp_path: Path) -> None:
    """The practice model likes long names and early returns by itself; this user likes neither, so it is learnt
    against the model's own leaning."""
    wanted = functions(1, 400, is_opposite=True)
    data = tmp_path / "decisions.jsonl"
    data.write_text("".join(json.dumps(line) + "\n" for line in examples(wanted, 2)))
    options = {
        "model": PRACTICE_MODEL,
        "data": data,
        "out": tmp_path / "adapter",
        "steps": 40,
        "batch": 4,
        "length": 1024,
        "held-out": 0.35,
        "learning-rate": 1e-3,
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    told = told_by("mlx_model", "tune", *words, "--json")
    pairs = told["preferred"]
    assert pairs["pairs"] >= 100
    assert pairs["after"] >= 0.85 * pairs["pairs"]
    assert pairs["before"] < 0.5 * pairs["pairs"] and told["verdict"]["word"] == "better"
