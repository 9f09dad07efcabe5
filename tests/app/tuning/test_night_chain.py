"""A whole night with the real engine: from decisions to an adapter that is in use, and put aside."""

from pathlib import Path

import pytest

from app.commands.tune import nightly
from app.paths import adapters_directory
from app.settings.settings import load_settings, remember
from app.tuning.night.training import tune_command
from app.tuning.trial import load_trial, put_aside
from mlx_model.memory.blas import VARIABLE
from tests.support.places import ROOT
from tests.support.review.reviewed_work import ReviewedWork
from tests.support.review.taste import functions

MODEL = str(ROOT / "assets" / "practice-model")
QUICK = ("--steps", "10", "--length", "512", "--learning-rate", "1e-3")
"""In place of a night's."""


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_what_is_decided_by_day_is_learnt_by_night_and_put_aside_in_the_morning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(VARIABLE)  # the engine computes as a user's does
    remember("learn_from_review", True)
    (tmp_path / "w").mkdir()
    for number, one in enumerate(functions(1, 24, is_opposite=True)):
        # A session each, for what was said before is part of every example.
        work = ReviewedWork(tmp_path / "w")
        path, old = f"{one.name}.py", f'"""{one.name}"""\n'
        work.write(path, old)
        if number % 2:
            work.review.reject(work.reply((path, old, old + one.disliked), words=f"Write {one.name}."))
        work.review.keep(work.reply((path, old, old + one.liked), words=f"Write {one.name}."))
    monkeypatch.setattr(nightly, "tune_command", lambda *asked: [*tune_command(*asked), *QUICK])
    assert nightly.run(["--model", MODEL, "--now"]) == 0
    said, trial = capsys.readouterr().out, load_trial()
    name = load_settings().adapter
    assert "Taken up" in said and "own choice" in said and name.startswith("review-"), said
    assert trial.taken_up == name and trial.news in said and len(trial.trained_on) == 36
    assert (adapters_directory() / name / "adapters.safetensors").is_file()
    assert put_aside() == (name, "")
    assert load_settings().adapter == ""
