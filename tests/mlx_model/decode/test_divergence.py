"""Replies whose tokens are refused and taken back, on random models: they go on from the most likely first
difference, whatever drafts and whoever is decoded beside them, and nothing that was told is taken back."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_model.decode.drafting import Drafting
from mlx_model.decode.drafts.drafter import Drafter
from mlx_model.decode.drafts.lookup import LookupDrafter
from mlx_model.decode.drafts.mtp import MtpDrafter
from mlx_model.decode.generation import Generation
from mlx_model.decode.generator import Generator
from mlx_model.decode.language_model import NothingKept
from mlx_model.decode.request import GenerationRequest, TokenGenerated
from mlx_model.engine.state_keeper import StoredStates
from mlx_model.model import Qwen3Next
from mlx_model.state.prefix_store import PrefixStore
from tests.support.checkpoints import write_checkpoint
from tests.support.drafting import Depths, asked, assert_cold, drafting_generator, reply
from tests.support.models import load_tiny

VOCABULARY = 96
COUNT = 60
PENALTIES: dict[str, Any] = {"repetition_penalty": 1.2, "frequency_penalty": 0.4}


class NotThese:
    """A RefusingConstraint: the reply's tokens from `begin` on may not be `refused`."""

    def __init__(self, begin: int, refused: Sequence[int], taken: Sequence[int] = ()) -> None:
        self._begin, self._not, self._taken = begin, list(refused), list(taken)

    def _since(self) -> list[int]:
        return self._taken[self._begin :]

    @property
    def active(self) -> bool:
        return len(self._taken) >= self._begin - 5  # as a call is, whose beginning is held to its form

    @property
    def undecided(self) -> bool:
        since = self._since()
        is_begun = len(self._taken) >= self._begin
        return is_begun and len(since) < len(self._not) and self._not[: len(since)] == since

    @property
    def refused(self) -> bool:
        return self._since() == self._not

    def copy(self) -> "NotThese":
        return NotThese(self._begin, self._not, self._taken)

    def advance(self, token: int) -> None:
        self._taken.append(token)

    def mask(self) -> Any:
        return np.ones(VOCABULARY, dtype=np.bool_)

    def check(self, drafts: Sequence[int]) -> tuple[int, None]:
        return len(drafts), None


class Case:
    """A random model, its free reply, and what it has to reply where a part of that is refused."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.model = load_tiny(write_checkpoint(directory, seed=seed, mtp=True, vocab_size=VOCABULARY))
        self.prompt = tuple((seed * 31 + place * place) % VOCABULARY for place in range(40 + seed))
        self.begin, self.length = 9 + seed, 20
        self.plain, _ = reply(drafting_generator(self.model), asked(self.prompt, COUNT))
        self.refused = self.plain[self.begin : self.begin + self.length]
        at, other = self._likeliest()
        kept = [*self.plain[:at], other]
        rest, _ = reply(drafting_generator(self.model), asked([*self.prompt, *kept], COUNT - len(kept)))
        self.expected = [*kept, *rest]

    def _likeliest(self) -> tuple[int, int]:
        """By the definition, from a cold prefill: the place of the first difference, and the token there."""
        tokens = [*self.prompt, *self.plain]
        logits = self.model.logits(mx.array([tokens]), self.model.state())[0].astype(mx.float32)
        chances = np.array(logits - mx.logsumexp(logits, axis=-1, keepdims=True))
        found: dict[float, tuple[int, int]] = {}
        for at in range(self.begin, self.begin + self.length):
            rows = chances[len(self.prompt) - 1 + self.begin : len(self.prompt) - 1 + at]
            before = math.fsum(row[token] for row, token in zip(rows, self.plain[self.begin : at], strict=True))
            here = chances[len(self.prompt) - 1 + at].copy()
            here[self.plain[at]] = -np.inf
            found[before + float(here.max())] = (at, int(here.argmax()))
        return found[max(found)]

    def request(self, **sampling: Any) -> GenerationRequest:
        return asked(self.prompt, COUNT, lambda: NotThese(self.begin, self.refused), **sampling)


@pytest.fixture(scope="module", params=[1, 2, 3])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("model"), request.param)


def drafters(model: Qwen3Next) -> dict[str, list[Drafter]]:
    return {"none": [], "lookup": [LookupDrafter()], "mtp": [MtpDrafter(model, 5)]}


@pytest.mark.parametrize("source", ["none", "lookup", "mtp"])
def test_the_reply_goes_on_from_the_most_likely_first_difference(case: Case, source: str) -> None:
    states = StoredStates(case.model, PrefixStore(1 << 26))
    generator = drafting_generator(case.model, *drafters(case.model)[source], states=states)
    tokens, finished = reply(generator, case.request())
    assert tokens == case.expected != case.plain
    assert finished.generated_tokens == COUNT
    # What is kept of it is what a prefill of prompt and reply gives.
    going_on = (*case.prompt, *tokens, 5)
    state = states.begin(going_on)
    assert state.length >= len(case.prompt)
    assert_cold(case.model, going_on[: state.length], state)


@pytest.mark.parametrize("sampling", [{"temperature": 1.0, "seed": 3}, PENALTIES], ids=["drawn", "penalties"])
def test_drafts_do_not_change_it(case: Case, sampling: dict[str, Any]) -> None:
    free = asked(case.prompt, COUNT, **sampling)
    said, _ = reply(drafting_generator(case.model), free)
    refused = said[case.begin : case.begin + 8]
    request = asked(case.prompt, COUNT, lambda: NotThese(case.begin, refused), **sampling)
    found = {
        name: reply(drafting_generator(case.model, *some), request)[0]
        for name, some in drafters(case.model).items()
    }
    assert found["none"][: case.begin] == said[: case.begin]
    assert found["none"][case.begin : case.begin + 8] != refused
    assert found["none"] == found["lookup"] == found["mtp"]


def test_what_is_told_is_counted_in_order_and_held_back_tokens_are_told_at_an_end(case: Case) -> None:
    events = [event for event in drafting_generator(case.model).generate(case.request(), lambda: False)]
    told = [event.costs.generated_tokens for event in events if isinstance(event, TokenGenerated)]
    assert told == list(range(1, COUNT + 1))
    for count in (case.begin + 3, case.begin + case.length - 1):
        short = asked(case.prompt, count, lambda: NotThese(case.begin, case.refused))
        assert reply(drafting_generator(case.model), short)[0] == case.plain[:count]


def test_replies_decoded_together_are_those_decoded_alone(case: Case) -> None:
    generator = Generator(
        case.model, NothingKept(case.model), drafting=Drafting(case.model, [], Depths()), batching=case.model
    )
    requests = [case.request(), asked(case.prompt[:20], COUNT), case.request()]
    running: list[Generation[Any]] = [generator.begin(request, lambda: False) for request in requests]
    tokens: dict[int, list[int]] = {id(generation): [] for generation in running}
    for generation in running:
        while generation.prompt_left:
            list(generation.step())
    while any(not generation.ended for generation in running):
        for generation, event in generator.together([each for each in running if not each.ended]):
            assert not isinstance(event, Exception), event
            if isinstance(event, TokenGenerated):
                tokens[id(generation)].append(event.token)
    beside, _ = reply(drafting_generator(case.model), requests[1])
    assert [tokens[id(each)] for each in running] == [case.expected, beside, case.expected]
