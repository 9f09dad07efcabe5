"""On a model that has learnt something, whose experts are used unevenly and whose keys are such as training
makes them: experts on disk change no token, and keys and values at 8 bits hardly any."""

import json
from pathlib import Path

import pytest

from mlx_model.__main__ import main
from tests.support.trained_checkpoint import ACTIVE, EXPERTS, trained_checkpoint, unseen_code

SLOTS = (EXPERTS, EXPERTS // 2, EXPERTS // 4, ACTIVE + 1, ACTIVE)


@pytest.fixture(scope="module")
def model() -> Path:
    return trained_checkpoint()


def test_the_same_tokens_with_every_number_of_slots(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = unseen_code()[0].read_text(encoding="utf-8")[1000:1150]
    command = ["generate", "--model", str(model), "--prompt", prompt, "--max-tokens", "40"]
    command += ["--temperature", "0"]
    replies = set()
    for slots in SLOTS:
        assert main([*command, "--expert-slots", str(slots)]) == 0
        replies.add(capsys.readouterr().out)
    assert len(replies) == 1
    assert len(replies.pop().strip()) > 20


def test_what_keys_and_values_at_8_bits_change(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.py"
    text.write_text(unseen_code()[0].read_text(encoding="utf-8")[:1200], encoding="utf-8")
    assert main(["bench", "kv", "--model", str(model), "--file", str(text), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["stretches"][-1]["end"] > 800
    for stretch in report["stretches"]:
        assert abs(stretch["mean_kl"]) < 1e-3
        assert stretch["max_kl"] > 0
        assert stretch["same_argmax"] > 0.97
    assert report["bytes_per_token"]["8 bits"] < 0.32 * report["bytes_per_token"]["exact"]
