"""Agents' sessions over the wire: rewinding, editing and restarting cost only what is new."""

import json
from pathlib import Path

import pytest

from mlx_model.__main__ import main
from mlx_model.bench.cache import replay
from mlx_model.bench.cache_scripts import Script, Step, chat_scripts
from mlx_model.bench.processes.chat_server import ChatServer
from mlx_model.chat.prompt import PromptEncoder
from tests.support.weights.checkpoints import write_checkpoint
from tests.support.weights.small_tokenizer import VOCABULARY, write_small_tokenizer

ALLOWED = 16


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model") / "tiny"
    write_checkpoint(directory, vocab_size=VOCABULARY, max_position_embeddings=65536)
    return write_small_tokenizer(directory)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


SESSION = Script(
    "everything at once",
    (
        Step(user("Read the file."), None),
        Step(user("Now change it."), 0),
        Step({"role": "tool", "tool_call_id": "call_1", "content": "It has been changed. " * 20}, 1),
        Step(user("Something else, from the start."), None),
        Step(user("Back to the middle."), 0),
        Step(user("After a restart."), 2, restart=True),
        Step(user("Rewound after a restart."), 1),
        Step(user("Yet another start."), None),
        Step(user("Left in mid-reply."), 7, cut="left"),
        Step(user("Gone on with."), 8),
        Step(user("Gone on with after a restart."), 8, restart=True),
        Step(user("Now change it."), 0, cut="stop string"),
        Step(user("Gone on with."), 11),
    ),
)


def test_a_recorded_chat_is_replayed_without_its_replies() -> None:
    tool = {"role": "tool", "content": "E"}
    (script,) = chat_scripts([[user("Fix it."), {"role": "assistant", "content": "Yes."}, tool]])
    assert script.steps == (Step(user("Fix it."), None), Step(tool, 0))


def test_only_what_is_new_is_computed_restarts_included(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlx_model.bench.cache_scripts.SYSTEM", "You are a coding agent.")
    command = ["-m", "mlx_model", "serve", "--model", str(model), "--cache", str(tmp_path / "cache")]
    with ChatServer(command, tmp_path / "log") as server:
        rows = list(replay(server, PromptEncoder.from_directory(model), [SESSION], reply_tokens=24))
    uncut = [(number, step.restart) for number, step in enumerate(SESSION.steps) if step.cut is None]
    assert [(row.step, row.restart) for row in rows] == uncut
    assert all(row.new > 0 for row in rows)
    assert rows[0].computed == rows[0].prompt
    assert max(row.excess for row in rows) <= ALLOWED, rows


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_whole_bench_beside_mlx_lm(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "cache", "--model", str(model), "--compare", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["worst_excess"]["tidegate"] <= ALLOWED
    assert any(row["restart"] for row in result["rows"]["tidegate"])
    assert len(result["rows"]["tidegate"]) == len(result["rows"]["mlx_lm.server"])
    assert result["lookup"]["snapshots"] == 1000
