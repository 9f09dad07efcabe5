"""Transcripts as they are learnt from, the copying start, and a training that is interrupted."""

import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the oracle is not installed (ORACLE=0)")

from mlx_model.practice.data.batches import Wanted  # noqa: E402
from mlx_model.practice.data.transcripts import Part, Renderer, read_transcripts  # noqa: E402
from mlx_model.practice.training.optimizer import Rates  # noqa: E402
from mlx_model.practice.training.run_folder import RunFolder  # noqa: E402
from mlx_model.practice.training.trainer import Plan, train  # noqa: E402
from mlx_model.practice.trunk.initialization import copying_share, initial_network  # noqa: E402
from mlx_model.practice.trunk.shape import Shape  # noqa: E402
from tests.mlx_model.practice.transcripts import FILE, OLD, SAID, write_transcripts  # noqa: E402


def test_what_is_learnt_from_a_transcript(run: RunFolder, tmp_path: Path) -> None:
    renderer = Renderer(run.path)
    sample = next(renderer.samples(write_transcripts(tmp_path / "one.jsonl", 1)))

    def text(*parts: Part) -> str:
        tokens = [int(token) for token, part in zip(sample.tokens, sample.parts, strict=True) if part in parts]
        return renderer.tokenizer.decode(tokens, skip_special_tokens=False)

    assert text(Part.FILE).strip() == FILE
    edit = text(Part.EDIT, Part.SAID, Part.PLACE, Part.CHANGE, Part.COPY)
    assert edit.startswith(SAID) and edit.endswith("</tool_call><|im_end|>") and f"\n{OLD}\n" in edit
    assert text(Part.PLACE).startswith(" in `ret") and text(Part.PLACE).endswith("   r")
    # The sentence's end, where old_string ends, what new_string has instead, where it ends.
    assert text(Part.CHANGE) == ", `<` must be `>`.\n\n\n>\n"
    assert text(Part.COPY) == OLD.replace("<", "")
    assert text(Part.REPLY).endswith("Fixed.<|im_end|>")
    cut = renderer.tokenizer.decode(list(sample.tokens[sample.core]), skip_special_tokens=False)
    assert cut.startswith("<|im_start|>user\n<tool_response>\ndef") and cut.endswith("</tool_call><|im_end|>\n")


def test_masked_replies_are_not_learnt(run: RunFolder, tmp_path: Path) -> None:
    path = write_transcripts(tmp_path / "one.jsonl", 1)
    path.write_text(path.read_text().replace('"masked": []', '"masked": [1, 3, 5]'))
    assert read_transcripts(path)[0]["masked"] == [1, 3, 5]
    sample = next(Renderer(run.path).samples(path))
    assert set(sample.parts) == {Part.CONTEXT, Part.FILE}


def test_new_weights_copy() -> None:
    assert copying_share(initial_network(Shape(vocab_size=600), 0)) > 0.99


@pytest.mark.slow
def test_interrupted_training_ends_with_the_same_bytes(run: RunFolder, tmp_path: Path) -> None:
    again = RunFolder(tmp_path / "again")
    shutil.copytree(run.path, again.path)

    def plan(folder: RunFolder) -> Plan:
        wanted = Wanted(300, 1000, {"train": 1.0}, 0.4, 0)
        return Plan(
            folder.path, tmp_path / "data", 12_000, Rates(0.01, 0.002), wanted, warmup=2000, compiled=False
        )

    def interrupt(_entry: dict[str, Any]) -> None:
        signal.raise_signal(signal.SIGINT)

    train(plan(run), lambda _entry: None)
    whole = run.load()
    train(plan(again), interrupt)
    broken_off = again.load()
    assert broken_off["tokens"] < whole["tokens"]
    train(plan(again), lambda _entry: None)
    resumed = again.load()
    assert (resumed["step"], resumed["tokens"]) == (whole["step"], whole["tokens"])
    for part in ("weights", "average"):
        for name, weight in whole[part].items():
            assert torch.equal(weight, resumed[part][name]), name
