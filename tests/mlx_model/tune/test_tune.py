"""tune from its command line: killed and gone on with, refused, loaded by mlx-lm; and what it reads."""

import argparse
import io
import json
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from mlx_lm.tuner.utils import load_adapters
from mlx_lm.utils import load_model
from rich.console import Console

from mlx_model.__main__ import main
from mlx_model.chat.prompt import PromptEncoder
from mlx_model.commands.shared.memory_check import DoesNotFit
from mlx_model.commands.shared.training_bar import training_bar
from mlx_model.commands.tune import add_arguments, settle_tuning
from mlx_model.commands.tuning.adapter_options import read_adapter_shape
from mlx_model.engine.loading import load
from mlx_model.memory.machine import Machine
from mlx_model.tune.data.chats import encode_chat
from mlx_model.tune.verdict import judged
from tests.support.patience import LONGEST
from tests.support.places import ROOT
from tests.support.weights.servable import servable_checkpoint
from tests.support.weights.small_code import small_code

OPTIONS = ("--steps", "6", "--batch", "2", "--length", "24", "--held-out", "0.3", "--learning-rate", "0.01")
TOKENS = mx.array([[3, 1, 4, 1, 5, 9, 2, 6, 5, 35, 89, 79] * 3])


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
    return ["tune", "--model", str(model), "--data", str(code), "--out", str(out), *OPTIONS, *options]


def adapter(directory: Path) -> bytes:
    return (directory / "adapters.safetensors").read_bytes()


# Saves after each step, and kills itself where it is told to: after so many reports, or in the midst of a file.
KILLED = """
import os, signal, sys, time
from pathlib import Path
from mlx_model.commands import tune as command
from mlx_model.train import checkpointing
import argparse, dataclasses

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

reports = int(sys.argv[1])
renames = int(sys.argv[2])
plain_tune, plain_replacing = command.tune, checkpointing.replacing

def tune(tuning, read, means, report, *rest):
    def told(*words):
        global reports
        reports -= 1
        if not reports:
            kill()
        report(*words)
    means = dataclasses.replace(means, segment=int(os.environ.get("SEGMENT", means.segment)))
    return plain_tune(dataclasses.replace(tuning, kept_every=0), read, means, told, *rest)

def replacing(path, temporary):
    global renames
    renames -= 1
    if not renames:
        temporary.write_bytes(b"half a file")
        kill()
    return plain_replacing(path, temporary)

command.tune, checkpointing.replacing = tune, replacing
parser = argparse.ArgumentParser()
command.add_arguments(parser)
sys.exit(command.run(parser.parse_args(sys.argv[3:])))
"""


def started(arguments: list[str], reports: int = 0, renames: int = 0) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", KILLED, str(reports), str(renames), *arguments[1:]]
    return subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LONGEST)


def test_a_tuning_that_is_killed_comes_to_the_same_adapter(
    model: Path, code: Path, uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    # While the second save of the optimizer is written; and after some steps, when memory allows less.
    for reports, renames in ((0, 4), (12, 0)):
        monkeypatch.setenv("SEGMENT", "7" if reports else "24")
        ended = started(command(model, code, out), reports, renames)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        assert not out.exists()
    assert b'"step":"' in (tmp_path / ".out.training" / "state.safetensors").read_bytes()[:65536].replace(
        b" ", b""
    )
    assert main(command(model, code, out)) == 0
    assert adapter(out) == adapter(uninterrupted)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
def test_killed_anywhere_fifty_times_it_comes_to_the_same_adapter(
    model: Path, code: Path, tmp_path: Path
) -> None:
    out, whole = tmp_path / "out", tmp_path / "whole"
    longer = ("--steps", "60", "--kind", "dora")
    assert main(command(model, code, whole, *longer)) == 0
    drawn, killed = random.Random(1), 0
    while killed < 50:
        # A run reports the loading of its weights, then steps, and replaces a file after each.
        if drawn.random() < 0.5:
            ended = started(command(model, code, out, *longer), reports=drawn.randint(1, 70))
        else:
            ended = started(command(model, code, out, *longer), renames=drawn.randint(1, 3))
        if ended.returncode == 0:
            assert adapter(out) == adapter(whole)
            for path in out.iterdir():
                path.unlink()
            out.rmdir()
            continue
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        killed += 1
    assert main(command(model, code, out, *longer)) == 0
    assert adapter(out) == adapter(whole)


def test_ctrl_c_ends_it_after_a_step_and_another_tuning_is_told_apart(
    model: Path, code: Path, uninterrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlx_model.train import checkpointing  # noqa: PLC0415
    from mlx_model.tune import gradients  # noqa: PLC0415

    out, steps, computed = tmp_path / "out", 0, gradients.Tuner.gradients

    def pressed_in_the_second(*arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 2:
            signal.raise_signal(signal.SIGINT)
        return computed(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gradients.Tuner, "gradients", pressed_in_the_second)
        assert main(command(model, code, out)) == 130
        assert "The same command goes on where it was." in capsys.readouterr().err
        assert main(command(model, code, out, "--rank", "4")) == 2
        assert "other options" in capsys.readouterr().err
        # Killed when the adapter has its name and the rest is not yet removed: the same command ends well.
        patch.setattr(checkpointing, "_remove", lambda _: sys.exit("killed"))
        with pytest.raises(SystemExit, match="killed"):
            main(command(model, code, out))
    assert main(command(model, code, out, "--rank", "4")) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(command(model, code, out, "--json")) == 0
    assert steps == 6
    told = json.loads(capsys.readouterr().out)
    assert told["steps"] == 6 and told["verdict"]["word"] == "better"
    assert adapter(out) == adapter(uninterrupted)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert main(command(model, code, out, "--json")) == 2


@pytest.mark.parametrize(
    "options", [(), ("--kind", "dora", "--layers", "2"), ("--targets", "experts,attention")]
)
def test_mlx_lm_loads_the_adapter_and_gives_the_same_logits(
    options: tuple[str, ...], model: Path, code: Path, uninterrupted: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out" if options else uninterrupted
    if options:
        assert main(command(model, code, out, *options, "--steps", "3")) == 0
    theirs, _ = load_model(model)
    load_adapters(theirs, str(out))
    theirs.eval()
    expected = np.array(theirs(TOKENS))
    plain, ours = (load(model, dtype="float32", adapter=which).model for which in (None, out))
    found = np.array(ours.logits(TOKENS, ours.state()))
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())
    assert np.abs(found - np.array(plain.logits(TOKENS, plain.state()))).max() > 0.1
    card = (out / "README.md").read_text()
    assert "3 files of text" in card and "Verdict | better" in card


CHAT = {
    "messages": [
        {"role": "user", "content": "Add one and two."},
        {"role": "assistant", "content": "It is 3."},
        {"role": "user", "content": "And now three and four."},
        {"role": "assistant", "content": "That is 7."},
    ]
}


def test_of_a_chat_the_replies_count_with_their_ends(model: Path) -> None:
    encoder = PromptEncoder.from_directory(model)
    (text,) = encode_chat(encoder, CHAT, 500)
    said = b"".join(encoder.tokenizer.bytes_of(int(token)) for token in text.tokens[text.counted]).decode()
    assert said == "It is 3.<|im_end|>That is 7.<|im_end|>"
    (whole,) = encode_chat(encoder, CHAT, 500, everything=True)
    assert whole.counted.all() and (whole.tokens == text.tokens).all()
    # Cut, no part is left in which nothing is learnt, and nothing that is learnt is lost.
    parts = encode_chat(encoder, CHAT, 7)
    assert all(part.count and len(part.tokens) <= 7 for part in parts)
    assert sum(int(part.counted.sum()) for part in parts) >= int(text.counted.sum()) - len(text.tokens) // 7


def test_chats_are_learnt_beside_code(model: Path, code: Path, tmp_path: Path) -> None:
    chats, out = tmp_path / "chats.jsonl", tmp_path / "out"
    chats.write_text((json.dumps(CHAT) + "\n") * 4)
    quick = ("--length", "24", "--steps", "1", "--layers", "1", "--data", str(code), str(chats))
    assert main(command(model, code, out, *quick)) == 0
    told = json.loads((out / "adapter_config.json").read_text())["tidegate"]
    assert told["made_of"] == [f"3 files of text from {code.name}", "4 chats of chats.jsonl"]
    # What they hold out is judged apart.
    assert len(told["by_source"]) == 2
    assert "Of 4 chats of chats.jsonl |" in (out / "README.md").read_text()


def test_what_cannot_work_is_one_sentence(
    model: Path, code: Path, uninterrupted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "one.jsonl").write_text(json.dumps(CHAT) + "\n")
    (tmp_path / "bad.jsonl").write_text(json.dumps(CHAT) + '\n{"messages": []}\n')
    out = tmp_path / "out"
    wrong = {
        "tune needs --model": ["tune", "--model", str(model)],
        "is a llama model": command(other, code, out),
        "nowhere does not exist": command(model, tmp_path / "nowhere", out),
        "exists already": command(model, code, uninterrupted),
        "--targets is 'head'": command(model, code, out, "--targets", "head"),
        "has nothing of mlp": command(model, code, out, "--targets", "mlp"),
        "the model's context is 4096": command(model, code, out, "--length", "5000"),
        "--held-out is 0": command(model, code, out, "--held-out", "0"),
        "too few to train on": command(model, tmp_path / "one.jsonl", out, "--length", "100"),
        "line 2 is no chat": command(model, tmp_path / "bad.jsonl", out),
    }
    for sentence, arguments in wrong.items():
        assert main(arguments) == 2, sentence
        said = capsys.readouterr().err
        assert sentence in said, said
        assert said.count("\n") == 1 and "Traceback" not in said
        assert not out.exists()
        assert not (tmp_path / ".out.training").exists(), sentence


def test_what_does_not_fit_is_refused_with_what_would(model: Path, code: Path) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args(command(model, code, Path("out"), "--length", "4096")[1:])
    shape = read_adapter_shape(arguments)
    small, roomy = ((1 << 30) + size for size in (4 << 20, 1 << 30))
    with pytest.raises(DoesNotFit, match=r"needs .* it would fit (with texts of|on a machine)"):
        settle_tuning(arguments, shape, Machine(small, small, "linux"))
    assert settle_tuning(arguments, shape, Machine(roomy, roomy, "linux")).fits


def test_the_full_size_is_forecast_part_by_part(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune", "fit", "--memory", "128GB", "--json"]) == 0
    plans = json.loads(capsys.readouterr().out)
    assert [plan["length"] for plan in plans] == [1024, 4096, 16384]
    for plan in plans:
        parts = (plan[part] for part in ("weights", "adapter", "borders"))
        assert plan["peak"] == sum(parts) + max(plan["layer"], plan["head"])
        assert plan["weights"] == pytest.approx(44.8e9, rel=0.01)
    # 49 borders of 2,048 numbers in bfloat16.
    assert [plan["borders"] // plan["length"] for plan in plans] == [49 * 2048 * 2] * 3
    assert main(["tune", "fit", "--memory", "48GB"]) == 1
    assert "does not fit" in capsys.readouterr().out


def test_what_is_told_meanwhile_has_room_in_80_columns() -> None:
    shown = io.StringIO()
    note = "step 120 of 200, loss 1.234, held out 1.234, 1,234 tokens/s, 47.2 GB"
    with training_bar(Console(file=shown, width=80)) as report:
        report("Loading the model", 1, 1, "")
        report("Training", 120, 200, note)
    *_, bar, below = shown.getvalue().splitlines()
    assert below.strip() == note and "60%" in bar and bar.rstrip().endswith("-:--:--")


def test_the_verdict_is_sure_of_what_it_says() -> None:
    before = [(20.0 + index, 10) for index in range(8)]

    def after(change: float, noise: float = 0.0) -> str:
        losses = [(loss + change + noise * (-1) ** index, size) for index, (loss, size) in enumerate(before)]
        return judged(before, losses).word

    assert (after(-1.0), after(0.0), after(1.0)) == ("better", "the same", "worse")
    assert after(-1.0, noise=5.0) == "the same"  # within what chance does
    assert judged(before[:2], [(loss - 0.1, size) for loss, size in before[:2]]).word == "the same"
