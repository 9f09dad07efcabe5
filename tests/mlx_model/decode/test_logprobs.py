"""Log-probabilities are those of the model's own distribution, whatever was drafted, held to or sampled."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_model.decode.generator import Generator
from mlx_model.decode.request import GenerationRequest, TokenGenerated
from tests.support.engine.drafting import Depths, Oracle, asked, drafting_generator
from tests.support.weights.checkpoints import write_checkpoint
from tests.support.weights.models import load_tiny

VOCABULARY = 256
PROMPT = list(range(20, 60))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load_tiny(write_checkpoint(tmp_path_factory.mktemp("model") / "tiny", vocab_size=VOCABULARY))


class Even:
    """Admits tokens of even numbers only."""

    active = True

    def advance(self, token: int) -> None:
        """Any."""

    def mask(self) -> Any:
        return np.arange(VOCABULARY) % 2 == 0

    def check(self, drafts: Sequence[int]) -> Any:
        fitting = next((at for at, token in enumerate(drafts) if token % 2), len(drafts))
        return fitting, np.stack([self.mask()] * (fitting + 1))


def told(generator: Generator[Any], request: GenerationRequest) -> list[TokenGenerated]:
    return [event for event in generator.generate(request, lambda: False) if isinstance(event, TokenGenerated)]


@pytest.mark.parametrize("held", (False, True))
@pytest.mark.parametrize(
    "sampling", ({}, {"temperature": 1.5, "seed": 3, "top_k": 9, "logit_bias": ((6, 9.0),)})
)
def test_they_are_the_softmax_of_the_logits(model: Any, sampling: dict[str, Any], held: bool) -> None:
    constraint: Any = Even if held else lambda: None
    request = replace(asked(PROMPT, 40, constraint=constraint, **sampling), logprobs=5)
    plain = told(drafting_generator(model), request)
    tokens = [event.token for event in plain]
    hidden = model.hidden(mx.array([[*PROMPT, *tokens]]), model.state())
    logits = np.array(model.head(hidden)[0, len(PROMPT) - 1 : -1], dtype=np.float64)
    expected = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    for event, row in zip(plain, expected, strict=True):
        assert event.logprobs is not None
        assert event.logprobs.logprob == pytest.approx(row[event.token], abs=1e-4)
        best = np.sort(row)[::-1][:5]
        assert [chance for _, chance in event.logprobs.top] == pytest.approx(best, abs=1e-4)
        assert all(chance == pytest.approx(row[token], abs=1e-4) for token, chance in event.logprobs.top)
    oracle = Oracle([*PROMPT, *tokens], VOCABULARY, 2)
    drafted = told(drafting_generator(model, oracle, policy=Depths()), request)
    assert [event.token for event in drafted] == tokens
    for event, before in zip(drafted, plain, strict=True):
        assert event.logprobs is not None and before.logprobs is not None
        assert event.logprobs.logprob == pytest.approx(before.logprobs.logprob, abs=1e-4)
    (alone,) = told(drafting_generator(model), replace(request, max_tokens=1, logprobs=0))
    assert alone.logprobs is not None and alone.logprobs.top == ()
