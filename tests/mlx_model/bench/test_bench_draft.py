"""bench draft, and what it is to show: rewriting a file is nearly free."""

import json
from pathlib import Path

import mlx.core as mx
import pytest

from mlx_model.__main__ import main
from mlx_model.bench.draft import Reciting, acceptance
from mlx_model.bench.draft_texts import TEXTS
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.commands.shared.chats import read_chats
from mlx_model.decode.drafting import Step
from mlx_model.engine.loading import ways
from mlx_model.errors import RequestError
from tests.support.engine.drafting import asked, drafting_generator, reply
from tests.support.weights.models import load_tiny
from tests.support.weights.servable import servable_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return servable_checkpoint(tmp_path_factory.mktemp("model"), mtp=True)


@pytest.mark.parametrize(
    "own_words", [pytest.param(False, id="given"), pytest.param(True, id="own", marks=pytest.mark.slow)]
)
def test_it_measures_every_mode_on_every_text(
    capsys: pytest.CaptureFixture[str], checkpoint: Path, own_words: bool
) -> None:
    arguments = ["--model", str(checkpoint), "--max-tokens", "20", "--seconds", "0.001", "--json"]
    assert main(["bench", "draft", *arguments, *(["--own-words"] if own_words else [])]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["given_replies"] != own_words
    assert list(report["pass_ms"]) == [str(width) for width in range(1, 18)]
    assert set(report["texts"]) == set(TEXTS)
    for modes in report["texts"].values():
        assert list(modes) == ["none", "lookup", "mtp", "auto"]
        assert modes["none"]["tokens_per_step"] == modes["none"]["speedup"] == 1
        assert all(result["tokens_per_second"] > 0 for result in modes.values())
        assert modes["mtp"]["acceptance"]["mtp"]


def test_every_mode_writes_the_same_replies_to_chats(
    capsys: pytest.CaptureFixture[str], checkpoint: Path, tmp_path: Path
) -> None:
    asked, answer = (
        {"role": "user", "content": "Count."},
        {"role": "assistant", "content": "One, two, three, " * 4},
    )
    short = {"role": "assistant", "content": "One."}
    chats = tmp_path / "chats.jsonl"
    lines = [{"messages": [asked, answer]}, {"messages": [asked, short, asked, answer]}]
    chats.write_text("\n".join(map(json.dumps, lines)))
    arguments = ["--model", str(checkpoint), "--chats", str(chats), "--max-tokens", "20", "--seconds", "0.001"]
    assert main(["bench", "draft", *arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (modes,) = report["texts"].values()
    assert not report["given_replies"] and list(report["texts"]) == ["2 chats"]
    assert {result["as_plain"] for result in modes.values()} == {1}
    assert modes["mtp"]["acceptance"]["mtp"]
    with pytest.raises(RequestError, match="cannot be read as chats, one a line"):
        read_chats(checkpoint / "config.json", checkpoint)


def test_acceptance_counts_what_was_judged() -> None:
    steps = [Step("lookup", 0, 3, 3), Step("lookup", 0, 3, 1), Step("lookup", 0, 2, 0), Step(None, None, 0, 0)]
    assert acceptance(steps) == {"lookup": {1: 2 / 3, 2: 1 / 2, 3: 1.0}}


def test_a_given_reply_is_recited_and_each_drafter_says_what_it_would(checkpoint: Path) -> None:
    """With lookup, a file with one line changed takes at least four tokens a pass, of the real model."""
    model, tokenizer = load_tiny(checkpoint), Tokenizer.from_directory(checkpoint)
    text = TEXTS["rewriting a file"]
    read = text.prompt[text.prompt.index(text.reply[:20]) :]
    (before, after), *rest = (
        pair for pair in zip(read.splitlines(), text.reply.splitlines(), strict=False) if pair[0] != pair[1]
    )
    assert "= 10" in before and "= 20" in after and not rest
    prompt, given = tokenizer.encode(text.prompt), tokenizer.encode(text.reply)
    verifier = Reciting(model, [*prompt, *given])
    drafting = ways(model, verifier)["lookup"]
    assert drafting is not None
    generator = drafting_generator(verifier, drafting=drafting, chunk=512)
    tokens, finished = reply(generator, asked(prompt, len(given)))
    assert tokens == given
    assert len(given) / (len(given) - finished.accepted_tokens) >= 4
    # What the model computes is not touched: its states are those of the text.
    mine, real = verifier.state(), model.state()
    said = verifier.logits(mx.array([prompt[:9]]), mine)
    assert mx.argmax(said, axis=-1).tolist() == [prompt[1:10]]
    assert mx.allclose(model.hidden(mx.array([prompt[9:12]]), mine), _after(model, prompt, real), atol=1e-5)


def _after(model, prompt, state):
    return model.hidden(mx.array([prompt[:12]]), state)[:, 9:]
