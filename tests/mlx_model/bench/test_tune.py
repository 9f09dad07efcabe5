"""Command-buffer limits that are measured on a machine and kept for it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from mlx_model.__main__ import main
from mlx_model.bench.speed import tune
from mlx_model.memory import device
from mlx_model.memory.buffer_limits import NAMES, buffer_limits, keep_limits, tuning_file
from mlx_model.memory.machine import chip

SPEEDS = {"": (1000.0, 60.0), "50": (990.0, 66.0), "200": (950.0, 70.0), "1000": (700.0, 90.0)}
"""Tokens a second of a prompt and of decoding, by the first limit: the last decodes fastest and spoils
prompts."""


def measure(_model: Path, limits: Mapping[str, str]) -> tuple[float, float]:
    return SPEEDS[limits.get(NAMES[0], "")]


def test_the_fastest_limits_that_spare_prompts_are_kept_for_this_chip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIDEGATE_HOME", str(tmp_path))
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tune, "measured", measure)
    monkeypatch.setattr(tune, "chip", lambda: "Apple M9 Max")
    monkeypatch.setattr(device, "chip", lambda: "Apple M9 Max")
    keep_limits(tuning_file(), "Apple M1", {NAMES[0]: "7"})
    command = ["bench", "tune", "--model", str(tmp_path), "--rounds", "2", "--json"]
    assert main(command) == 0
    assert buffer_limits("Apple M9 Max", tuning_file()) == {}, "nothing is kept unless asked for"
    assert main([*command, "--keep"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [choice["fastest"] for choice in report["choices"]] == [False, False, True, False]
    assert buffer_limits("Apple M9 Max", tuning_file()) == {NAMES[0]: "200", NAMES[1]: "400"}
    assert buffer_limits("Apple M1", tuning_file()) == {NAMES[0]: "7"}
    # The user's own word goes before it, and an empty one asks for MLX's.
    monkeypatch.setenv(NAMES[0], "")
    device.set_buffer_limits()
    assert os.environ[NAMES[1]] == "400"
    assert NAMES[0] not in os.environ


def test_a_damaged_table_is_as_none(tmp_path: Path) -> None:
    file = tmp_path / "engine-tuning.json"
    for content in ("{", "[]", '{"Apple M2": {"PATH": "/"}}', '{"Apple M2": {"MLX_MAX_OPS_PER_BUFFER": -1}}'):
        file.write_text(content)
        assert buffer_limits("Apple M2", file) == buffer_limits("Apple M2") != {}


def test_without_a_mac_there_is_nothing_to_tune(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if chip():
        pytest.skip("this is a Mac")
    assert main(["bench", "tune", "--model", str(tmp_path)]) != 0
    assert "nothing to tune" in capsys.readouterr().err
