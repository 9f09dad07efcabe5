"""`bench decode` times both engines at the same work and sets the roof beside it."""

import json
import re
from pathlib import Path

import pytest

from mlx_model.__main__ import main
from mlx_model.bench.speed import agent_turn, decode
from mlx_model.memory.bandwidth import stated_bandwidth
from tests.support.weights.checkpoints import write_checkpoint
from tests.support.weights.servable import make_endless, servable_checkpoint


def test_it_times_ours_and_mlx_lm_and_says_what_bandwidth_allows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "_PROMPTS", (32,))
    monkeypatch.setattr(decode, "_LATER_TURN", (16, 8))
    monkeypatch.setattr(decode, "_DECODED", 4)
    model = str(write_checkpoint(tmp_path))
    given = ["bench", "decode", "--model", model, "--beside", model, "--rounds", "2", "--contexts", "0,16"]
    assert main([*given, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["load_seconds"] > 0 and report["peak_bytes"] > 0 and report["bandwidth_gb_per_second"] > 0
    assert [speed["work"]["name"] for speed in report["speeds"]] == [
        "prompt of 32",
        "8 more after 16",
        "decoding after 0",
        "decoding, 3 drafts accepted a pass, after 0",
        "decoding after 16",
        "decoding, 3 drafts accepted a pass, after 16",
    ]
    for speed in report["speeds"]:
        work = speed["work"]
        assert 0 < speed["least"] <= speed["median"] <= speed["most"]
        assert (speed["beside"] is None) == (work["drafts"] > 0)
        assert (speed["host_ms"] is not None) == (work["writes"] and not work["drafts"])
    # Keys and values of the context are read with every token.
    empty, later = report["speeds"][2], report["speeds"][4]
    assert later["roof"] < empty["roof"]
    assert main(given) == 0
    assert "| decoding after 16 |" in capsys.readouterr().out


def test_what_mlx_lm_cannot_load_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(decode, "settle_memory")
    model, other = write_checkpoint(tmp_path / "ours"), write_checkpoint(tmp_path / "other")
    fields = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**fields, "num_hidden_layers": 1}))
    assert main(["bench", "decode", "--model", str(model), "--beside", str(other)]) == 2
    assert re.search(r"Received \d+ parameters not in model: model\.layers\.\S+, …\n$", capsys.readouterr().err)


def test_an_agents_last_turn_is_timed_over_the_wire_plain_and_drafted_with_its_parts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "_PROMPTS", (32,))
    monkeypatch.setattr(decode, "_LATER_TURN", (16, 8))
    monkeypatch.setattr(decode, "_DECODED", 4)
    monkeypatch.setattr(agent_turn, "_RESULTS", (5, 20))
    monkeypatch.setattr(agent_turn, "_LAST", 12)
    model = str(make_endless(servable_checkpoint(tmp_path)))
    given = ["bench", "decode", "--model", model, "--rounds", "1", "--turns", "3", "--profile"]
    assert main([*given, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [turn["draft"] for turn in report["turns"]] == ["none", "auto"]
    for turn in report["turns"]:
        # The turns before it are not computed again.
        assert 0.5 * turn["prompt"] < turn["cached"] < turn["prompt"]
        # What is new in the turn, at least five words, is not found cached by the session before it.
        assert turn["prompt"] - turn["cached"] >= 5
        assert turn["first_ms"] > 0 and turn["tokens_per_second"] > 0
    host, rest = {"building", "submitting"}, {"device", "sampling", "detokenizing", "grammar", "wire"}
    assert set(report["profile"]) == host | rest
    # By default, contexts as far as the model and its memory go: this one ends at 4,096 tokens.
    assert [speed["work"]["context"] for speed in report["speeds"] if speed["work"]["writes"]] == [0, 0]


@pytest.mark.parametrize(
    ("given", "says"),
    [(("--contexts", "99999999"), "A context of 99,999,999 tokens"), (("--turns", "-3"), "0 for none")],
)
def test_what_cannot_be_measured_is_refused_in_a_sentence(
    given: tuple[str, ...], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "decode", "--model", str(write_checkpoint(tmp_path)), *given]) == 2
    assert says in capsys.readouterr().err


def test_bandwidths_are_those_of_the_chip_by_its_whole_name() -> None:
    assert stated_bandwidth("Apple M4 Max") == 546 and stated_bandwidth("Apple M4") == 120
    assert stated_bandwidth("AMD EPYC") is None
