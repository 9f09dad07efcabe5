"""When training by night may run, what the machine says, and what becomes of its result."""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.commands.tune import nightly
from app.settings.settings import load_settings, remember
from app.tuning.example_file import tuning_directory
from app.tuning.night.conditions import Facts, Hours, Rules, reason_to_wait
from app.tuning.night.machine import idle_of_ioreg, power_of_linux, power_of_pmset
from app.tuning.night.training import TrainingFailed, train
from app.tuning.trial import NothingToPutAside, load_trial, put_aside
from tests.support.agent.scripted_server import until
from tests.support.places import ROOT
from tests.support.review.reviewed_work import ReviewedWork

RULES = Rules(Hours.parse("22:00-06:00"))
GOOD = Facts(time(2, 30), on_power=True, idle_seconds=3600, fresh=40)


def test_it_runs_only_at_night_on_power_when_nobody_is_there_and_there_is_something_to_learn() -> None:
    assert reason_to_wait(GOOD, RULES) == ""
    for change, said in (
        ({"on_power": False}, "battery"),
        ({"on_power": None}, "cannot be told"),
        ({"now": time(12, 0)}, "22:00 to 06:00"),
        ({"idle_seconds": 300.0}, "5 minutes ago"),
        ({"idle_seconds": None}, "cannot be told"),
        ({"fresh": 3}, "3 new decisions"),
        ({"is_engine_loaded": True}, "engine"),
    ):
        assert said in reason_to_wait(replace(GOOD, **change), RULES)  # type: ignore[arg-type]
    # What is under way goes on without new decisions, but not on the battery.
    assert reason_to_wait(replace(GOOD, fresh=0, is_engine_loaded=True), RULES, has_begun=True) == ""
    assert "battery" in reason_to_wait(replace(GOOD, on_power=False), RULES, has_begun=True)


@given(st.times(), st.times(), st.times())
def test_hours_and_their_complement_share_the_day(start: time, end: time, now: time) -> None:
    if start != end:
        assert Hours(start, end).holds(now) is not Hours(end, start).holds(now)
    else:
        assert Hours(start, end).holds(now)


@pytest.mark.parametrize("text", ["", "22-6", "25:00-06:00", "22:00-06:60", "22:00"])
def test_what_is_no_span_of_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Hours.parse(text)


def test_what_macos_says_is_read() -> None:
    battery = (
        "Now drawing from 'Battery Power'\n -InternalBattery-0 (id=4522083)\t85%; discharging; 4:21 remaining"
    )
    assert power_of_pmset("Now drawing from 'AC Power'\n -InternalBattery-0\t100%; charged;") is True
    assert power_of_pmset(battery) is False
    assert power_of_pmset("") is None
    assert idle_of_ioreg('  | |   "HIDIdleTime" = 1234567890123\n') == pytest.approx(1234.567890123)
    assert idle_of_ioreg("") is None


@pytest.mark.parametrize(
    ("supplies", "expected"),
    [
        ({}, True),
        ({"AC": {"type": "Mains", "online": "1"}, "BAT0": {"type": "Battery", "status": "Charging"}}, True),
        ({"AC": {"type": "Mains", "online": "0"}, "BAT0": {"type": "Battery", "status": "Discharging"}}, False),
        ({"BAT0": {"type": "Battery", "status": "Discharging"}}, False),
        ({"BAT0": {"type": "Battery", "status": "Unknown"}}, None),
        # A mouse's battery says nothing of the machine.
        ({"hid-1": {"type": "Battery", "scope": "Device", "status": "Discharging"}}, True),
    ],
)
def test_what_linux_says_is_read(
    supplies: dict[str, dict[str, str]], expected: bool | None, tmp_path: Path
) -> None:
    for name, facts in supplies.items():
        (tmp_path / name).mkdir()
        for fact, value in facts.items():
            (tmp_path / name / fact).write_text(f"{value}\n")
    assert power_of_linux(tmp_path) is expected
    assert power_of_linux(tmp_path / "nowhere") is None


TUNED: dict[str, Any] = {
    "verdict": {"before": 2.0, "after": 1.0, "word": "better"},
    "preferred": {"before": 5, "after": 9, "pairs": 10},
}
FITTED = {"before": [0.5], "after": [0.7]}


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with decisions, and a model that has a drafting layer."""
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path / "home"))
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "a.txt").write_text("one\ntwo\n")
    work = ReviewedWork(tmp_path / "w")
    work.review.keep(work.reply(("a.txt", "two\n", "2\n")))
    remember("learn_from_review", True)
    remember("adapter", "mine")
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "model.safetensors.index.json").write_text(
        '{"weight_map": {"mtp.fc.weight": "model.safetensors"}}'
    )
    (model / "model.safetensors").touch()
    return model


def engine(told: dict[str, Any], make: Path, waits: bool = False) -> list[str]:
    """A command that stands for the engine: it makes a directory and tells."""
    script = f"import json, pathlib, time\n{'time.sleep(600)' if waits else ''}\n"
    script += f"pathlib.Path({str(make)!r}).mkdir(parents=True)\nprint(json.dumps({told!r}))"
    return [sys.executable, "-c", script]


def test_what_wins_is_taken_up_with_its_drafting_layer_and_put_aside_in_one_step(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(nightly, "tune_command", lambda _model, _data, out, _examples: engine(TUNED, out))
    monkeypatch.setattr(
        nightly, "draft_command", lambda _model, adapter, _data: engine(FITTED, adapter / "mtp")
    )
    assert nightly.run(["--model", str(model), "--now"]) == 0
    said = capsys.readouterr().out
    assert "5 → 9 of 10 pairs" in said and "50% → 70%" in said and "Taken up" in said
    name = load_settings().adapter
    assert name.startswith("review-") and load_trial().running == "" and len(load_trial().trained_on) == 1
    assert "2" in (tuning_directory() / "night.txt").read_text()
    assert put_aside() == (name, "mine")
    assert load_settings().adapter == "mine"
    with pytest.raises(NothingToPutAside):
        put_aside()


@pytest.mark.parametrize(
    "told",
    [
        {"verdict": {"before": 1.0, "after": 1.0, "word": "the same"}},
        {**TUNED, "preferred": {"before": 9, "after": 5, "pairs": 10}},
    ],
)
def test_what_does_not_win_is_not_taken_up(
    told: dict[str, Any], model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nightly, "tune_command", lambda _model, _data, out, _examples: engine(told, out))
    assert nightly.run(["--model", str(model), "--now"]) == 0
    assert load_settings().adapter == "mine" and len(load_trial().trained_on) == 1


def test_a_training_is_stopped_when_it_may_not_run_any_more_and_goes_on(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reasons = iter(["", "This machine runs on its battery."])
    monkeypatch.setattr(nightly, "reason_to_wait", lambda *_, **__: next(reasons))
    monkeypatch.setattr(nightly, "train", lambda command, reason: train(command, reason, look_seconds=0.01))
    monkeypatch.setattr(nightly, "tune_command", lambda *_: engine(TUNED, model / "out", waits=True))
    assert nightly.run(["--model", str(model)]) == 0
    assert "battery. It goes on the next time" in capsys.readouterr().out
    running = load_trial().running
    assert running.startswith("review-")
    monkeypatch.setattr(nightly, "tune_command", lambda _model, _data, out, _examples: engine(TUNED, out))
    monkeypatch.setattr(
        nightly, "draft_command", lambda _model, adapter, _data: engine(FITTED, adapter / "mtp")
    )
    assert nightly.run(["--model", str(model), "--now"]) == 0
    assert load_settings().adapter == running


DIES = """
import os, pathlib, signal, sys
from app.tuning.night import training

def looked():
    if pathlib.Path("begun").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return ""

training.train([sys.executable, "-c", sys.argv[1]], looked, look_seconds=0.02)
"""
ENGINE = """
import pathlib, time
try:
    pathlib.Path("begun").touch()
    time.sleep(600)
except KeyboardInterrupt:
    pathlib.Path("saved").touch()
"""


async def test_a_training_is_interrupted_where_nobody_looks_after_it_any_more(tmp_path: Path) -> None:
    program = [sys.executable, "-c", DIES, ENGINE]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(*program, cwd=tmp_path, env=environment)
    assert await process.wait() == -signal.SIGKILL
    await until((tmp_path / "saved").exists)


def test_an_engine_that_refuses_is_said_in_its_words(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuses = [sys.executable, "-c", "import sys; sys.exit('mlx_model tune: Tuning does not fit.')"]
    monkeypatch.setattr(nightly, "tune_command", lambda *_: refuses)
    with pytest.raises(TrainingFailed, match=r"^Tuning does not fit"):
        nightly.run(["--model", str(model), "--now"])
