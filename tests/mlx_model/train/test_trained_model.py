"""On a model that has learnt something: a head learns to foresee it, and drafting with that head changes
nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from mlx_model.__main__ import main
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.decode.drafts.drafter import Drafter
from mlx_model.decode.drafts.lookup import LookupDrafter
from mlx_model.decode.drafts.mtp import MtpDrafter
from mlx_model.engine.state_keeper import StoredStates
from mlx_model.model import Qwen3Next
from mlx_model.state.prefix_store import PrefixStore
from tests.support.engine.drafting import Depths, asked, drafting_generator, reply
from tests.support.weights.checkpoints import write_checkpoint
from tests.support.weights.models import load_tiny
from tests.support.weights.trained_checkpoint import QUICK, THOROUGH, Effort, trained_checkpoint, unseen_code


def train(effort: Effort, out: Path, steps: int, batch: int) -> list[str]:
    """The command that makes a checkpoint at `out`, beginning from a random head beside it."""
    model = trained_checkpoint(effort)
    config = json.loads((model / "config.json").read_text())
    write_checkpoint(out.parent / "random", seed=3, mtp=True, **config)
    options = {
        "--model": model,
        "--graft-mtp": out.parent / "random",
        "--out": out,
        "--steps": steps,
        "--batch": batch,
        "--sequence-length": 128,
        "--learning-rate": 0.01,
        "--held-out": 0.2,
    }
    named = [str(word) for pair in options.items() for word in pair]
    return ["train-mtp", *named, "--json", "--data", *map(str, unseen_code())]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with a head that has been trained for seconds; its acceptance beside it."""
    out = tmp_path_factory.mktemp("trained") / "out"
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("mlx_model.commands.shared.training.print", said.append, raising=False)
        assert main(train(QUICK, out, steps=30, batch=1)) == 0
    (out.parent / "report.json").write_text(said[0])
    return out


def test_a_random_head_learns_to_foresee_the_model(trained: Path) -> None:
    report: dict[str, Any] = json.loads((trained.parent / "report.json").read_text())
    assert report["began"] == "random" and report["held_out_tokens"] >= 1000
    assert max(report["before"]) < 0.1
    assert min(report["after"]) > 0.5


def prompts(model: Path, length: int) -> list[tuple[int, ...]]:
    tokenizer = Tokenizer.from_directory(model)
    return [
        tuple(tokenizer.encode(file.read_text(encoding="utf-8"))[100 : 100 + length]) for file in unseen_code()
    ]


def plain_replies(model: Qwen3Next, asked_for: list[tuple[int, ...]], count: int) -> list[list[int]]:
    return [reply(drafting_generator(model), asked(prompt, count))[0] for prompt in asked_for]


def assert_drafting_changes_nothing(model: Qwen3Next, asked_for: list[tuple[int, ...]], count: int) -> None:
    for place, (prompt, plain) in enumerate(
        zip(asked_for, plain_replies(model, asked_for, count), strict=True)
    ):
        for names in ("lookup", "mtp", "lookup and mtp"):
            drafters: list[Drafter] = [LookupDrafter()] if "lookup" in names else []
            if "mtp" in names:
                drafters.append(MtpDrafter(model))
            generator = drafting_generator(
                model,
                *drafters,
                policy=Depths(1 + place % 16, place),
                chunk=32 + place,
                states=StoredStates(model, PrefixStore(1 << 28)),
            )
            # Broken off, and gone on with.
            first, _ = reply(generator, asked(prompt, count), lambda so_far: so_far >= count // 3)
            then, finished = reply(generator, asked((*prompt, *first), count - len(first)))
            assert [*first, *then] == plain
            assert finished.drafted_tokens > 0
            if names == "mtp":
                assert finished.accepted_tokens > 0


def test_drafting_with_every_source_gives_the_same_reply(trained: Path) -> None:
    assert_drafting_changes_nothing(load_tiny(trained), prompts(trained, 60)[3:5], 60)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_better_model_thousands_of_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(train(THOROUGH, tmp_path / "out", steps=60, batch=1)) == 0
    report = json.loads(capsys.readouterr().out)
    assert max(report["before"]) < 0.1
    assert min(report["after"]) >= 0.6
    asked_for = prompts(tmp_path / "out", 150)
    assert_drafting_changes_nothing(load_tiny(tmp_path / "out"), asked_for, 200)
