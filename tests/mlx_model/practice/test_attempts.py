"""Which of a model's own edits are written down."""

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the oracle is not installed (ORACLE=0)")

from mlx_model.practice.data import attempts  # noqa: E402
from mlx_model.practice.data.transcripts import Renderer, Writer  # noqa: E402
from mlx_model.practice.export import END  # noqa: E402
from mlx_model.practice.training.run_folder import RunFolder  # noqa: E402
from tests.mlx_model.practice.transcripts import OLD, call, transcript  # noqa: E402


def test_only_edits_other_than_the_experts_are_written(
    run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer, writer = Renderer(run.path), Writer(run.path)
    asked: list[str] = []
    wrong = call(
        "In `return`, `len` must be `sum`.", "edit", file_path="counts.py", old_string=OLD, new_string="x"
    )
    expert = transcript()["messages"][3]
    answers = iter([wrong, expert, {"role": "assistant", "content": "All tests pass now."}])

    def reply(_network: object, prompts: list[list[int]], stop: int, _most: int) -> list[list[int]]:
        asked.extend(renderer.tokenizer.decode(prompt, skip_special_tokens=False) for prompt in prompts)
        texts = [writer.pieces([next(answers)])[0].removeprefix(writer.turn) for _ in prompts]
        assert all(text.endswith(f"{END}\n") for text in texts) and renderer.tokenizer.token_to_id(END) == stop
        return [renderer.tokenizer.encode(text.removesuffix(f"{END}\n")).ids for text in texts]

    monkeypatch.setattr(attempts, "replies", reply)
    data = tmp_path / "data.jsonl"
    records: list[dict[str, Any]] = [transcript() | {"seed": seed} for seed in (1, 2, 3)]
    data.write_text("\n".join(map(json.dumps, records)))
    (found,) = attempts.attempts(run.path, [data])
    assert (found["seed"], found["turn"], found["attempt"]) == (1, 3, wrong)
    assert all(prompt.endswith("<|im_start|>assistant\n") and "def count_over" in prompt for prompt in asked)
