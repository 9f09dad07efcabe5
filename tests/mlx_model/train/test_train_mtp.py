"""train-mtp from its command line: interrupted, refused, gone on with; and what it reads."""

import argparse
import gc
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from mlx_model.__main__ import main
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.commands.shared.memory_check import DoesNotFit
from mlx_model.commands.shared.training import settle_training
from mlx_model.commands.train_mtp import add_arguments, needed_bytes
from mlx_model.engine.loading import load
from mlx_model.errors import RequestError
from mlx_model.memory.footprint import stored_packing
from mlx_model.memory.machine import Machine
from mlx_model.model import Qwen3Next
from mlx_model.train import reading, training
from mlx_model.train import steps as fitting
from mlx_model.train.corpus import read_corpus
from mlx_model.train.forecast import fitting_bytes
from mlx_model.weights.checkpoint import open_checkpoint
from tests.support.engine.drafting import asked, reply
from tests.support.patience import LONGEST
from tests.support.places import ROOT
from tests.support.weights.adapters import write_adapter
from tests.support.weights.servable import servable_checkpoint
from tests.support.weights.small_code import small_code

OPTIONS = ("--steps", "5", "--batch", "2", "--sequence-length", "24", "--held-out", "0.3", "--seed", "4")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return servable_checkpoint(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_code(tmp_path_factory.mktemp("code"))


@pytest.fixture(scope="module")
def uninterrupted(model: Path, code: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "out"
    assert main(command(model, code, out)) == 0
    return out


def command(model: Path, code: Path, out: Path, *options: str) -> list[str]:
    return ["train-mtp", "--model", str(model), "--data", str(code), "--out", str(out), *OPTIONS, *options]


def layer(directory: Path) -> bytes:
    return (directory / "model-mtp.safetensors").read_bytes()


def test_the_result_is_a_checkpoint_that_drafts(
    uninterrupted: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = load(uninterrupted)
    assert loaded.drafter("auto") == "lookup + mtp (MTP layer from train-mtp)"
    assert (uninterrupted / "model.safetensors").samefile(model / "model.safetensors")
    assert main(["info", "--model", str(uninterrupted)]) == 0
    assert "MTP, from train-mtp" in capsys.readouterr().out
    assert [path.name for path in uninterrupted.parent.iterdir()] == ["out"]


def test_the_layer_is_fitted_again_to_an_adapter_which_brings_it_along(
    uninterrupted: Path, model: Path, code: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    adapter = write_adapter(tmp_path / "mine", model, ["self_attn.o_proj", "linear_attn.out_proj"])
    words = ["--data", str(code), "--adapter", str(adapter), *OPTIONS]
    assert main(["train-mtp", "--model", str(uninterrupted), *words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["before"] and told["after"] and told["directory"] == str(adapter / "mtp")
    loaded = load(uninterrupted, dtype="float32", adapters=tmp_path)
    assert isinstance(loaded.model, Qwen3Next) and loaded.adapters is not None
    own = loaded.model.mtp
    request = asked([(5 * place) % 90 for place in range(40)], 24)
    loaded.adapters.use("mine")
    assert loaded.model.mtp is not own
    drafted, finished = reply(loaded.generator(draft="mtp"), request)
    assert finished.drafted_tokens > 0
    assert drafted == reply(loaded.generator(draft="none"), request)[0]
    loaded.adapters.use("")
    assert loaded.model.mtp is own
    assert main(["train-mtp", "--model", str(uninterrupted), *words, "--out", str(tmp_path / "x")]) == 2
    assert main(["train-mtp", "--model", str(model), *words]) == 2
    assert "no MTP layer that could be fitted again" in capsys.readouterr().err


KILLED = """
import os, signal, sys
from pathlib import Path
from mlx_model.train.steps import Schedule
from mlx_model.train.reading import Means
from mlx_model.train.training import Training, train_mtp

model, code, out, stage, done = sys.argv[1:]

def report(now_stage, now_done, total, note):
    if (now_stage, now_done) == (stage, int(done)):
        os.kill(os.getpid(), signal.SIGKILL)

schedule = Schedule(steps=5, batch=2, learning_rate=3e-4, seed=4)
train_mtp(Training(Path(model), (Path(code),), Path(out), schedule, 24, 0.3, kept_every=0), Means(512), report)
"""


def test_a_training_that_is_killed_again_and_again_comes_to_the_same(
    model: Path, code: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    out, staging = tmp_path / "out", tmp_path / ".out.training"
    for stage, done in (("Reading the text", 2), ("Training", 3)):
        program = [sys.executable, "-c", KILLED, str(model), str(code), str(out), stage, str(done)]
        ended = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONGEST)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert not out.exists()
    header = (staging / "state.safetensors").read_bytes()[:65536]
    assert b'"step":"2"' in header.replace(b" ", b"")
    # Files that were being written, and sources that have changed since.
    for name in ("state.safetensors", "progress.json", "corpus.npz"):
        (staging / f"new-{name}").write_bytes(b"half a")
    assert main(command(model, code, out)) == 0
    assert layer(out) == layer(uninterrupted)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_ctrl_c_ends_it_after_a_step_and_it_goes_on_there(  # noqa: PLR0917 (fixtures)
    model: Path,
    code: Path,
    uninterrupted: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    steps, computed = 0, fitting._gradients

    def pressed_in_the_second(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 2:
            signal.raise_signal(signal.SIGINT)
        return computed(*arguments)

    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "_gradients", pressed_in_the_second)
        assert main(command(model, code, out)) == 130
    assert signal.getsignal(signal.SIGINT) is before
    assert "The same command goes on where it was." in capsys.readouterr().err
    # What it is trained on is what it began with.
    for path in (code / "new.py", code / "none.py"):
        path.write_text("x = 1\n" * 50)
    try:
        assert main(command(model, code, out, "--learning-rate", "1e-3")) == 2
        assert "unfinished training" in capsys.readouterr().err
        steps = 3
        monkeypatch.setattr(fitting, "_gradients", pressed_in_the_second)
        assert main(command(model, code, out, "--json")) == 0
    finally:
        for path in (code / "new.py", code / "none.py"):
            path.unlink()
    assert steps == 3 + 3
    report = json.loads(capsys.readouterr().out)
    assert report["steps"] == 5 and len(report["before"]) == len(report["after"]) == 3
    assert layer(out) == layer(uninterrupted)


def test_what_cannot_work_is_one_sentence(
    model: Path, code: Path, uninterrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "binary").mkdir()
    (tmp_path / "binary" / "image.png").write_bytes(b"\x89PNG\0\0")
    (tmp_path / "short.py").write_text("x = 1\n")
    untold = servable_checkpoint(tmp_path / "untold")
    (untold / "tokenizer.json").unlink()
    out = tmp_path / "out"
    wrong = {
        "no such directory": command(tmp_path / "nothing", code, out),
        "is a llama model": command(other, code, out),
        "no tokenizer.json": command(untold, code, out),
        "nowhere does not exist": command(model, tmp_path / "nowhere", out),
        "no text file to train on": command(model, tmp_path / "binary", out),
        "too little text": command(model, tmp_path / "short.py", out),
        "exists already": command(model, code, uninterrupted),
        "no mtp": command(model, code, out, "--graft-mtp", str(model)),
        "--steps is 0": command(model, code, out, "--steps", "0"),
        "--seed is -1": command(model, code, out, "--seed", "-1"),
        "--held-out is 0": command(model, code, out, "--held-out", "0"),
        "--learning-rate is nan": command(model, code, out, "--learning-rate", "nan"),
        "must be more than 3": command(model, code, out, "--sequence-length", "3"),
        "the model's context is 4096": command(model, code, out, "--sequence-length", "5000"),
        "so as many must fit": command(model, code, out, "--expert-slots", "1"),
    }
    for sentence, arguments in wrong.items():
        assert main(arguments) == 2, sentence
        said = capsys.readouterr().err
        assert sentence in said
        assert said.count("\n") == 1 and "Traceback" not in said
        assert not out.exists()
        assert not (tmp_path / ".out.training").exists(), sentence


def test_experts_may_stay_on_disk_while_the_text_is_read(
    model: Path, code: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    assert main(command(model, code, tmp_path / "out", "--expert-slots", "3")) == 0
    assert layer(tmp_path / "out") == layer(uninterrupted)


def test_a_training_that_does_not_fit_is_refused_before_anything_is_loaded(model: Path, code: Path) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args(command(model, code, Path("out"))[1:])

    def settle(machine: Machine) -> reading.Means:
        return settle_training(arguments, "the MTP layer", lambda of, size: needed_bytes(of, size, 24), machine)

    with pytest.raises(DoesNotFit, match="MTP layer with its optimizer needs"):
        settle(Machine((1 << 30) + (1 << 20), (1 << 30) + (1 << 20), "linux"))
    assert settle(Machine(8 << 30, 8 << 30, "linux")).chunk > 0


def test_the_forecast_is_what_mlx_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"hidden_size": 256, "num_experts": 32, "moe_intermediate_size": 128}
    directory = servable_checkpoint(
        tmp_path / "m", num_hidden_layers=1, layer_types=["full_attention"], **sizes
    )
    peaks, fit = [], fitting.fit

    def measured(*arguments: Any, **options: Any) -> Any:
        mx.clear_cache()
        mx.reset_peak_memory()
        result = fit(*arguments, **options)
        peaks.append(mx.get_peak_memory())
        return result

    monkeypatch.setattr(training, "fit", measured)
    gc.collect()
    others = mx.get_active_memory()
    schedule = fitting.Schedule(steps=1, batch=2, learning_rate=1e-3, seed=0)
    text = tmp_path / "text.py"
    text.write_text("def double(x):\n    return x + x\n" * 20)
    wanted = training.Training(directory, (text,), tmp_path / "out", schedule, 64, 0.3)
    training.train_mtp(wanted, reading.Means(512), lambda *_: None)
    checkpoint = open_checkpoint(directory)
    forecast = fitting_bytes(checkpoint.config, stored_packing(checkpoint), 64, 4)
    assert peaks[0] - others <= forecast <= 1.3 * (peaks[0] - others)


def test_text_is_what_no_ignore_file_names(model: Path, tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("build/\n*.log\n")
    for name, text in {
        "a.py": "alpha",
        ".config/b.toml": "beta",
        "build/c.py": "gamma",
        "d.log": "delta",
        "deep/.gitignore": "*.gen\n",
        "deep/e.gen": "epsilon",
        "deep/f.txt": "zeta",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text if name.endswith(".gitignore") else f"<{text}>" * 40)
    (tmp_path / "binary").write_bytes(b"eta\0" * 40)
    (tmp_path / "latin").write_bytes("th\xe9ta ".encode("latin-1") * 40)
    tokenizer = Tokenizer.from_directory(model)
    corpus = read_corpus([tmp_path], tokenizer, length=8, most=1000, held_out=0.2, seed=1)
    text = b"".join(tokenizer.bytes_of(int(token)) for token in corpus.sequences.reshape(-1)).decode()
    assert {word for word in ("alpha", "beta", "zeta") if word in text} == {"alpha", "beta", "zeta"}
    assert not [word for word in ("gamma", "delta", "epsilon", "eta\0", "ta ta") if word in text]
    # What is measured on is of other files than what is trained on.
    held_out = corpus.sequences[-corpus.held_out :].reshape(-1)
    measured = b"".join(tokenizer.bytes_of(int(token)) for token in held_out).decode()
    trained = text[: -len(measured)]
    apart = [word for word in ("alpha", "beta", "zeta", "build/") if f"<{word}>" in measured]
    assert len(apart) == 1 and f"<{apart[0]}>" not in trained
    with pytest.raises(RequestError, match="too little text"):
        read_corpus([tmp_path], tokenizer, length=100_000, most=10, held_out=0.2, seed=1)
