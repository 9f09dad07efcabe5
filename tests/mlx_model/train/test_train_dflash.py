"""train-dflash from its command line: the drafter that it makes, an interrupted run, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import mlx.core as mx
import pytest

from mlx_model.__main__ import main
from mlx_model.config.dflash_config import DFlashConfig
from mlx_model.config.model_config import ModelConfig
from mlx_model.layers.drafters.dflash import DFlash
from mlx_model.layers.parameters import Parameters
from mlx_model.train import checkpointing
from mlx_model.weights.drafter import read_drafter
from tests.support.weights.drafters import write_drafter
from tests.support.weights.servable import servable_checkpoint

TEXT = "".join(f"def add_{n}(x):\n    return x + {n}\n\n\n" for n in range(40))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return servable_checkpoint(tmp_path_factory.mktemp("train") / "model")


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("code") / "text.py"
    file.write_text(TEXT)
    return file


def command(model: Path, code: Path, out: Path, *more: str) -> list[str]:
    sizes = ["--steps", "60", "--batch", "2", "--sequence-length", "32", "--block", "4", "--layers", "1"]
    named = ["--model", str(model), "--data", str(code), "--out", str(out)]
    return ["train-dflash", *named, *sizes, "--learning-rate", "0.003", "--held-out", "0.2", "--json", *more]


def test_blocks_at_anchors_are_what_drafting_computes(tmp_path: Path) -> None:
    """Full and windowed layers, in one pass over a text and block by block."""
    kinds = ["full_attention", "sliding_attention"]
    directory = write_drafter(tmp_path / "drafter", layer_types=kinds, sliding_window=7)
    config = DFlashConfig.from_directory(directory)
    target = ModelConfig.from_directory(servable_checkpoint(tmp_path / "target"))
    stored = read_drafter(directory, target, mx.float32)
    network = DFlash(config, Parameters(stored.tensors), mx.float32)
    features = mx.random.normal((1, 24, 2 * config.hidden_size), key=mx.random.key(0))
    anchors = mx.array([1, 9, 24])
    blocks = mx.random.normal((3, config.block_size, config.hidden_size), key=mx.random.key(1))
    at_once = network.at_anchors(blocks, network.vectors(features), anchors)
    for row, anchor in enumerate(anchors.tolist()):
        buffers = network.buffers()
        network.extend(buffers, network.vectors(features[:, :anchor]), 0)
        alone = network(blocks[row : row + 1], buffers, anchor)
        assert mx.allclose(at_once[row], alone[0], atol=1e-5).item()


def test_a_trained_drafter_comes_nearer_to_the_model_and_is_loaded(
    model: Path, code: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(model, code, tmp_path / "untrained", "--steps", "1")) == 0
    before = json.loads(capsys.readouterr().out)
    assert main(command(model, code, tmp_path / "out")) == 0
    after = json.loads(capsys.readouterr().out)
    assert len(after["agreed"]) == 3
    assert after["loss"] < 0.7 * before["loss"]
    drafted = ["--draft", "dflash", "--drafter", str(tmp_path / "out"), "--tokens", "1,2,3", "--json"]
    assert main(["generate", "--model", str(model), "--max-tokens", "12", "--temperature", "0", *drafted]) == 0
    assert json.loads(capsys.readouterr().out)["timings"]["draft_n"] > 0


def test_a_run_that_was_stopped_goes_on_to_the_same_drafter(
    model: Path, code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(command(model, code, tmp_path / "whole", "--steps", "6")) == 0
    keep = checkpointing.TrainingDirectory.keep_fitted

    def stopped(self: checkpointing.TrainingDirectory, fitted: checkpointing.Fitted) -> None:
        keep(self, fitted)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpointing.TrainingDirectory, "keep_fitted", stopped)
        patch.setattr("mlx_model.commands.train_dflash.DrafterTraining", _saves_every_step)
        assert main(command(model, code, tmp_path / "out", "--steps", "6")) == 130
    assert main(command(model, code, tmp_path / "out", "--steps", "6")) == 0
    files = [tmp_path / name / "model.safetensors" for name in ("whole", "out")]
    assert files[0].read_bytes() == files[1].read_bytes()


def _saves_every_step(**options: object):  # type: ignore[no-untyped-def]
    from mlx_model.train.dflash import DrafterTraining  # noqa: PLC0415

    return replace(DrafterTraining(**options), kept_every=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--block", "1"], "a block has 2 to 64 tokens"),
        (["--layers", "0"], "a drafter has 1 to 64"),
        (["--sequence-length", "7"], "too short for blocks of 4"),
        (["--sequence-length", "100000"], "the model's context is"),
    ],
)
def test_what_cannot_work_is_one_sentence(  # noqa: PLR0917 (fixtures)
    more: list[str], says: str, model: Path, code: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command(model, code, tmp_path / "out", *more)) == 2
    said = capsys.readouterr().err
    assert says in said and len(said.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())
