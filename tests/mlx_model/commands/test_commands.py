"""python -m mlx_model generate and score."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlx_model.__main__ import main
from mlx_model.chat.detokenizer import Detokenizer
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.memory.device import on_cpu
from tests.support.engine.oracle import Reference
from tests.support.weights.checkpoints import write_checkpoint
from tests.support.weights.small_tokenizer import VOCABULARY, write_small_tokenizer

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 35, 89, 79, 32, 38, 46]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("model"), seed=9)


def listed(tokens: list[int]) -> str:
    return ",".join(str(token) for token in tokens)


def report(capsys: pytest.CaptureFixture[str], *arguments: Any) -> dict[str, Any]:
    assert main([str(argument) for argument in arguments]) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_score_is_that_of_transformers_in_any_chunking(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logits = Reference(directory).logits(TOKENS).astype(np.float64)
    logprobs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = [logprobs[at, token] for at, token in enumerate(TOKENS[1:])]
    for chunk in (1, 4, 14, 15, 100):
        found = report(
            capsys, "score", "--model", directory, "--tokens", listed(TOKENS), "--chunk", chunk, "--json"
        )
        assert found["tokens"] == TOKENS
        np.testing.assert_allclose(found["logprobs"], expected, atol=1e-4)
        assert found["argmax"] == list(logits.argmax(-1))
        assert found["perplexity"] == pytest.approx(np.exp(-np.mean(expected)), rel=1e-4)


def test_generate_goes_on_with_what_score_finds_most_likely(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--model", directory, "--max-tokens", 6, "--temperature", 0, "--json")
    found = report(capsys, "generate", "--tokens", listed(TOKENS), *options)
    assert found["text"] is None
    assert (found["timings"]["prompt_n"], found["timings"]["predicted_n"]) == (len(TOKENS), 6)
    whole = [*TOKENS, *found["tokens"]]
    scored = report(capsys, "score", "--model", directory, "--tokens", listed(whole), "--json")
    assert scored["argmax"][len(TOKENS) - 1 : -1] == found["tokens"]


def test_text_goes_in_and_comes_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = write_checkpoint(tmp_path / "model", seed=9, vocab_size=VOCABULARY)
    write_small_tokenizer(directory)
    tokenizer = Tokenizer.from_directory(directory)
    options = ["--model", str(directory), "--max-tokens", "6", "--temperature", "0"]
    found = report(capsys, "generate", "--prompt", "for line in lines:", *options, "--json")
    detokenizer = Detokenizer(tokenizer)
    assert found["text"] == "".join(map(detokenizer.add, found["tokens"])) + detokenizer.finish()
    ids = listed(tokenizer.encode("for line in lines:"))
    assert report(capsys, "generate", "--tokens", ids, *options, "--json")["tokens"] == found["tokens"]
    assert main(["generate", "--tokens", ids, *options]) == 0
    assert capsys.readouterr().out == found["text"]

    (tmp_path / "text").write_text("for line in lines: print(line)")
    scored = report(capsys, "score", "--model", directory, "--file", tmp_path / "text", "--json")
    assert scored["tokens"] == tokenizer.encode("for line in lines: print(line)")


def test_equal_seeds_give_equal_replies(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def tokens(seed: int) -> list[int]:
        options = ("--model", directory, "--max-tokens", 8, "--seed", seed, "--json")
        found: list[int] = report(capsys, "generate", "--tokens", "1,2,3", *options)["tokens"]
        return found

    assert tokens(1) == tokens(1) != tokens(2)
    assert tokens(-1) == tokens(2**64 - 1)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["generate", "--tokens", "1,x"], "no list of token ids"),
        (["generate", "--tokens", "1,256"], "Token 256"),
        (["generate", "--tokens", "1", "--top-p", "7"], "top_p"),
        (["generate", "--tokens", "1", "--max-tokens", "-1"], "max_tokens"),
        (["generate", "--prompt", "hello"], "no tokenizer.json"),
        (["generate", "--prompt", "\udcff"], "not UTF-8"),
        (["score", "--tokens", "1"], "two tokens"),
        (["score", "--tokens", "1,300"], "Token 300"),
        (["score", "--tokens", "1,2", "--chunk", "0"], "--chunk"),
        (["score", "--file", "missing.txt"], "missing.txt"),
        (["generate", "--tokens", "1", "--adapter", "nowhere"], "not an adapter directory"),
        (["generate", "--tokens", "1", "--model", "nowhere"], "nowhere is not a model directory"),
        (["info", "--config", "nothing.json"], "has no nothing.json"),
        pytest.param(
            ["generate", "--tokens", "1", "--dtype", "bfloat16"],
            "float32 only",
            marks=pytest.mark.skipif(not on_cpu(), reason="a GPU computes in every dtype"),
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    arguments: list[str], said: str, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = () if "--config" in arguments else ("--model", str(directory))
    assert main([arguments[0], *model, *arguments[1:]]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert said in output.err
    assert output.err.count("\n") == 1


def test_choosing_a_command_imports_no_mlx_before_its_limits_are_set() -> None:
    code = (
        "import sys; import mlx_model.__main__ as entry\n"
        "entry.importlib.import_module = lambda name: sys.exit('mlx' in sys.modules)\n"
        "entry.main(['score'])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_and_a_reader_that_goes_away(directory: Path) -> None:
    run = [sys.executable, "-m", "mlx_model"]
    shown = subprocess.run([*run, "--help"], capture_output=True, text=True, check=True)
    assert "generate" in shown.stdout
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        left = subprocess.run(
            [*run, "score", "--model", str(directory), "--tokens", "1,2,3"],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (left.returncode, left.stderr) == (1, "")
