"""--draft: the modes, what they say, and that they never change a reply."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mlx_model.__main__ import main
from mlx_model.engine.loading import load
from mlx_model.errors import ConfigError, RequestError
from tests.support.engine.drafting import asked, reply
from tests.support.weights.checkpoints import write_checkpoint

PROMPT = [5, 6, 7, 8, 9, 5, 6, 7]


@pytest.fixture(scope="module")
def headed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("headed"), seed=2, mtp=True)


@pytest.fixture(scope="module")
def headless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("headless"), seed=2)


def generated(capsys: pytest.CaptureFixture[str], directory: Path, *options: str) -> dict:
    tokens = ",".join(map(str, PROMPT))
    status = main(
        ["generate", "--model", str(directory), "--tokens", tokens, "--max-tokens", "90", "--json", *options]
    )
    assert status == 0
    return json.loads(capsys.readouterr().out)


def test_every_mode_gives_the_reply_of_none_and_says_how_many_drafts_there_were(
    capsys: pytest.CaptureFixture[str], headed: Path
) -> None:
    for sampling in (("--temperature", "0"), ("--seed", "4", "--temperature", "0.3")):
        plain = generated(capsys, headed, *sampling, "--draft", "none")
        assert plain["timings"]["draft_n"] == plain["timings"]["draft_n_accepted"] == 0
        for mode in ("lookup", "mtp", "auto"):
            drafted = generated(capsys, headed, *sampling, "--draft", mode)
            assert drafted["tokens"] == plain["tokens"]
            if mode == "mtp":
                assert drafted["timings"]["draft_n"] > 0


def test_what_drafts_is_said(headed: Path, headless: Path) -> None:
    with_head, without = load(headed), load(headless)
    assert [with_head.drafter(mode) for mode in ("none", "lookup", "mtp", "auto")] == [
        "none",
        "lookup",
        "mtp",
        "lookup + mtp",
    ]
    assert without.drafter("auto") == "lookup (the checkpoint has no MTP layer)"
    assert without.drafter("none") == "none"
    with pytest.raises(ConfigError, match="no MTP layer"):
        without.generator(draft="mtp")
    _, finished = reply(with_head.generator(draft="mtp"), asked(PROMPT, 30))
    assert finished.drafted_tokens > 0


def test_every_request_can_say_how_it_is_drafted(headed: Path, headless: Path) -> None:
    generator = load(headed).generator(draft="none")
    replies = {
        draft: reply(generator, replace(asked(PROMPT, 40), draft=draft))
        for draft in (None, "mtp", "none", "lookup", "mtp", "auto")
    }
    assert len({tuple(tokens) for tokens, _ in replies.values()}) == 1
    drafted = {draft: {drafts.source for drafts in end.drafts} for draft, (_, end) in replies.items()}
    assert drafted["mtp"] == {"mtp"} and drafted[None] == drafted["none"] == set()
    assert drafted["lookup"] <= {"lookup"}
    with pytest.raises(RequestError, match="no MTP layer"):
        load(headless).generator().generate(replace(asked(PROMPT, 4), draft="mtp"), lambda: False)


def test_a_head_that_is_not_there_is_the_users_to_mend(
    capsys: pytest.CaptureFixture[str], headless: Path
) -> None:
    assert main(["generate", "--model", str(headless), "--tokens", "1,2", "--draft", "mtp"]) == 2
    assert "graft" in capsys.readouterr().err
