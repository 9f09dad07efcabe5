"""On a model that has learnt something, whose experts are used unevenly and whose keys are such as training
makes them: experts on disk change no token, and keys and values at 8 bits hardly any."""

import json
from pathlib import Path

import pytest

from mlx_model.__main__ import main
from tests.support.engine.practice_chats import PRACTICE_MODEL, unseen_code, write_chats

SLOTS = (8, 4, 3, 2)
"""Of its 8 experts 2 are active."""


def test_the_same_tokens_with_every_number_of_slots(capsys: pytest.CaptureFixture[str]) -> None:
    prompt = unseen_code(1)[0][:150]
    command = ["generate", "--model", str(PRACTICE_MODEL), "--prompt", prompt, "--max-tokens", "40"]
    command += ["--temperature", "0"]
    replies = set()
    for slots in SLOTS:
        assert main([*command, "--expert-slots", str(slots)]) == 0
        replies.add(capsys.readouterr().out)
    assert len(replies) == 1
    assert len(replies.pop().strip()) > 20


@pytest.mark.slow
def test_what_keys_and_values_at_8_bits_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chats = write_chats(tmp_path / "chats.jsonl", 1)
    assert main(["bench", "kv", "--model", str(PRACTICE_MODEL), "--chats", str(chats), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["stretches"][-1]["end"] > 200
    for stretch in report["stretches"]:
        assert abs(stretch["mean_kl"]) < 5e-3
        assert stretch["max_kl"] > 0
        assert stretch["same_argmax"] > 0.97
    assert report["bytes_per_token"]["8 bits"] < 0.32 * report["bytes_per_token"]["exact"]
