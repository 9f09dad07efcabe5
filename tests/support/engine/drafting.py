"""Drafters and policies that do what a test says, and what plain decoding gives."""

import random
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from mlx_model.decode.drafting import Drafting, Outlooks, Plan, Step
from mlx_model.decode.drafts.drafter import Drafter
from mlx_model.decode.generator import Generator
from mlx_model.decode.language_model import NothingKept, StateKeeper
from mlx_model.decode.request import (
    Constraint,
    GenerationFinished,
    GenerationRequest,
    SamplingParameters,
    TokenGenerated,
)
from mlx_model.decode.sampling import Sampler
from mlx_model.model import Qwen3Next
from mlx_model.state.sequence import SequenceState


class Oracle:
    """Proposes the text that is known to come, spoilt from a random place on; sometimes nothing."""

    name = "oracle"
    deepest = 16

    def __init__(self, text: Sequence[int], vocabulary: int, seed: int) -> None:
        self._text, self._vocabulary = list(text), vocabulary
        self._random = random.Random(seed)
        self._known = 0

    def begin(self, tokens: Sequence[int], state: object) -> None:  # noqa: ARG002
        self._known = len(tokens)

    def learn(self, tokens: Sequence[int]) -> None:
        assert self._text[self._known : self._known + len(tokens)] == list(tokens)
        self._known += len(tokens)

    def follow(self, tokens: mx.array, hidden: mx.array) -> None:
        assert hidden.shape[:2] == (1, tokens.size)

    def skip(self, tokens: int) -> None:
        pass

    def settle(self) -> None:
        pass

    def outlook(self) -> int | None:
        return None if self._random.random() < 0.1 else 0

    def foreseen(self) -> int | None:
        return None

    def propose(self, token: int, depth: int, sampler: Sampler) -> mx.array | None:  # noqa: ARG002
        assert token == self._text[self._known - 1]
        truth = self._text[self._known : self._known + depth]
        if not truth or self._random.random() < 0.1:
            return None
        right = self._random.choice([0, len(truth), self._random.randint(0, len(truth))])
        wrong = [(token + self._random.randrange(1, 9)) % self._vocabulary for token in truth[right:]]
        return mx.array(truth[:right] + wrong)


class Depths:
    """A policy: any source that offers, at depths drawn at random up to `most`."""

    def __init__(self, most: int = 16, seed: int = 0) -> None:
        self._most, self._random = most, random.Random(seed)
        self.steps: list[Step] = []

    def worth_stalling(self, outlooks: Outlooks, deepest: Mapping[str, int]) -> bool:  # noqa: ARG002
        return True

    def plan(self, outlooks: Outlooks, deepest: Mapping[str, int]) -> Plan | None:
        source = self._random.choice(sorted(outlooks))
        return Plan(source, self._random.randint(1, min(self._most, deepest[source])))

    def record(self, step: Step) -> None:
        self.steps.append(step)

    def judge(self, source: str, outlook: Hashable, foresaw: bool) -> None:
        pass

    def follows(self, source: str) -> bool:  # noqa: ARG002
        return True


def drafting_generator(
    model: Qwen3Next,
    *drafters: Drafter,
    policy: Depths | None = None,
    states: StateKeeper[SequenceState] | None = None,
    **options: Any,
) -> Generator[SequenceState]:
    drafting = options.pop("drafting", None) or Drafting(model, drafters, policy or Depths())
    return Generator(model, states or NothingKept(model), drafting=drafting, **options)


def reply(
    generator: Generator[SequenceState],
    request: GenerationRequest,
    cancelled: Callable[[int], bool] = lambda _count: False,
) -> tuple[list[int], GenerationFinished]:
    """Tokens and the end of a generation; `cancelled` is given how many tokens there are so far."""
    tokens: list[int] = []
    for event in generator.generate(request, lambda: cancelled(len(tokens))):
        if isinstance(event, TokenGenerated):
            tokens.append(event.token)
    assert isinstance(event, GenerationFinished)
    return tokens, event


def asked(
    prompt: Sequence[int],
    count: int,
    constraint: Callable[[], Constraint | None] = lambda: None,
    **sampling: Any,
) -> GenerationRequest:
    parameters = SamplingParameters(**{"temperature": 0, **sampling})
    return GenerationRequest(tuple(prompt), count, frozenset(), parameters, constraint=constraint)


def everything(state: SequenceState) -> dict[str, np.ndarray]:
    return {**state.segment(0, state.length), **state.recurrent()}


def assert_cold(model: Qwen3Next, tokens: Sequence[int], state: SequenceState) -> None:
    """The state is, to 1e-5 of each part's largest value, that of a prefill of its tokens."""
    cold = model.state()
    mx.eval(model.hidden(mx.array([list(tokens)]), cold))
    assert state.length == cold.length == len(tokens)
    ours = everything(state)
    for name, array in everything(cold).items():
        np.testing.assert_allclose(ours[name], array, atol=1e-5 * max(1.0, np.abs(array).max()), err_msg=name)
