"""bench draft, and what it is to show: rewriting a file is nearly free."""

import json
from pathlib import Path

import mlx.core as mx
import pytest

from mlx_model.__main__ import main
from mlx_model.bench.draft import TEXTS, acceptance
from mlx_model.decode.controller import Controller
from mlx_model.decode.drafting import Drafting, Step
from mlx_model.decode.drafts.lookup import LookupDrafter
from mlx_model.decode.generator import Generator
from mlx_model.decode.language_model import NothingKept
from tests.support.drafting import asked, reply
from tests.support.servable import servable_checkpoint


def test_it_measures_every_mode_on_every_text(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    model = servable_checkpoint(tmp_path / "model", mtp=True)
    arguments = ["--model", str(model), "--max-tokens", "12", "--rounds", "1", "--json"]
    assert main(["bench", "draft", *arguments]) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["pass_ms"]) == [str(width) for width in range(1, 18)]
    assert set(report["texts"]) == set(TEXTS)
    for modes in report["texts"].values():
        assert list(modes) == ["none", "lookup", "mtp", "auto"]
        assert modes["none"]["tokens_per_step"] == modes["none"]["speedup"] == 1
        assert all(result["tokens_per_second"] > 0 for result in modes.values())
        assert modes["mtp"]["acceptance"]["mtp"]


def test_acceptance_counts_what_was_judged() -> None:
    steps = [Step("lookup", 0, 3, 3), Step("lookup", 0, 3, 1), Step("lookup", 0, 2, 0), Step(None, None, 0, 0)]
    assert acceptance(steps) == {"lookup": {1: 2 / 3, 2: 1 / 2, 3: 1.0}}


class Reciter:
    """A model that recites a text, whatever it is given."""

    vocabulary, context_length = 256, 1 << 20

    def __init__(self, text: bytes) -> None:
        self._text = mx.array(list(text))

    def state(self) -> "Place":
        return Place()

    def hidden(self, tokens: mx.array, state: "Place") -> mx.array:
        start = state.length
        state.length += tokens.shape[1]
        state.block = tokens.shape[1]
        return self._text[start + 1 : state.length + 1][None, :, None]

    def head(self, hidden: mx.array) -> mx.array:
        return (mx.arange(256) == hidden).astype(mx.float32)

    def logits(self, tokens: mx.array, state: "Place") -> mx.array:
        return self.head(self.hidden(tokens, state))

    def last_logits(self, tokens: mx.array, state: "Place") -> mx.array:
        return self.logits(tokens, state)[0, -1]


class Place:
    length = 0
    block = 0

    def arrays(self) -> list[mx.array]:
        return []

    def record(self, on: bool) -> None:
        pass

    def keep(self, tokens: int) -> None:
        self.length -= self.block - tokens


def test_rewriting_a_file_with_one_line_changed_takes_many_tokens_a_pass() -> None:
    prompt = TEXTS["rewriting a file"]
    file = prompt[prompt.index('"""Counting') : prompt.index("\n\nThe same")]
    changed = file.replace("count: int = 10", "count: int = 20").encode()
    assert changed != file.encode()
    model = Reciter(prompt.encode() + changed)
    drafting = Drafting(model, [LookupDrafter()], Controller(may_stop=False))
    generator = Generator(model, NothingKept(model), drafting=drafting)
    tokens, finished = reply(generator, asked(prompt.encode(), len(changed) - 1))
    assert bytes(tokens) == changed[:-1]
    passes = len(tokens) - finished.accepted_tokens
    assert len(tokens) / passes >= 4
