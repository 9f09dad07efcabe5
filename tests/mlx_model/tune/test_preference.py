"""Decisions of a review as examples, and the loss of pairs."""

import json
import math
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_model.chat.prompt import PromptEncoder
from mlx_model.errors import RequestError
from mlx_model.tune.data.reviewed import encode_decision, read_decisions, split_decisions
from mlx_model.tune.preference import WEIGHT, OddsRatio
from tests.support.places import ROOT
from tests.support.review.taste import examples, functions

PRACTICE_MODEL = ROOT / "assets" / "practice-model"


@pytest.fixture(scope="module")
def encoder() -> PromptEncoder:
    return PromptEncoder.from_directory(PRACTICE_MODEL)


@pytest.fixture(scope="module")
def decisions() -> list[dict[str, Any]]:
    return list(examples(functions(1, 30), 2))


def test_the_loss_is_that_of_the_paper() -> None:
    chosen, rejected = [-0.2, -1.5, -0.7], [-0.4, -2.0]

    def log_odds(found: list[float]) -> float:
        mean = sum(found) / len(found)
        return mean - math.log(1 - math.exp(mean))

    above = log_odds(chosen) - log_odds(rejected)
    expected = -sum(chosen) + WEIGHT * len(chosen) * math.log(1 + math.exp(-above))
    objective = OddsRatio()
    assert float(objective([mx.array(chosen), mx.array(rejected)], [])) == pytest.approx(expected, rel=1e-5)
    assert float(objective([mx.array(chosen)], [])) == pytest.approx(-sum(chosen))
    # What is certain has no odds, and still a finite loss and gradient.
    loss, gradient = mx.value_and_grad(lambda a: objective([a, mx.array(rejected)], []))(mx.zeros((3,)))
    assert math.isfinite(float(loss)) and np.isfinite(np.array(gradient)).all()


def test_the_reply_counts_in_both_texts_of_a_pair(
    encoder: PromptEncoder, decisions: list[dict[str, Any]]
) -> None:
    pair = next(decision for decision in decisions if decision["kind"] == "corrected")
    encoded = encode_decision(encoder, pair, 2048)
    assert encoded is not None
    shared = {}
    for side, text in zip(("chosen", "rejected"), encoded, strict=True):
        tokens = [int(token) for token in text.tokens[text.counted]]
        assert tokens[-1] in encoder.tokenizer.stop_tokens
        counted = b"".join(encoder.tokenizer.bytes_of(token) for token in tokens).decode()
        assert "<function=edit>" in counted
        wanted = pair[side][0]["tool_calls"][0]["function"]["arguments"]
        assert all(line in counted for line in json.loads(wanted)["new_string"].splitlines())
        shared[side] = tuple(text.tokens[~text.counted])
    assert shared["chosen"] == shared["rejected"]
    # Of a long prompt the end stays; without room for a reply there is no example.
    length = max(text.count for text in encoded) + 5
    shorter = encode_decision(encoder, pair, length)
    assert shorter is not None and all(len(text.tokens) <= length for text in shorter)
    assert [text.count for text in shorter] == [text.count for text in encoded]
    assert encode_decision(encoder, pair, 8) is None


def test_what_was_decided_in_one_turn_is_held_out_together(decisions: list[dict[str, Any]]) -> None:
    training, held_out = split_decisions(decisions, 0.3, 0)
    assert len(training) + len(held_out) == len(decisions)
    turns = [{(one["session"], one["turn"]) for one in side} for side in (training, held_out)]
    assert not turns[0] & turns[1] and turns[1]


def test_what_is_no_decision_is_named_by_its_line(tmp_path: Path) -> None:
    file = tmp_path / "decisions.jsonl"
    file.write_text(
        '{"prompt": [{"role": "user", "content": "a"}], "chosen": [{"role": "user"}], "rejected": []}\n'
    )
    with pytest.raises(RequestError, match="line 1"):
        read_decisions(file)
