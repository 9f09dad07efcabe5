"""Drafts never change the reply, nor the state that it leaves, whatever is proposed and wherever it ends."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_model.decode.generator import Generator
from mlx_model.decode.request import DraftMode, GenerationRequest, SamplingParameters
from mlx_model.engine.loading import load_dflash, ways
from mlx_model.engine.state_keeper import StoredStates
from mlx_model.model import Qwen3Next
from mlx_model.state.prefix_store import PrefixStore
from mlx_model.state.sequence import SequenceState
from tests.support.engine.drafting import Depths, Oracle, asked, assert_cold, drafting_generator, reply
from tests.support.weights.checkpoints import write_checkpoint
from tests.support.weights.drafters import write_drafter
from tests.support.weights.models import load_tiny

VOCABULARY = 256
PROMPT = tuple(int(token) for token in np.random.default_rng(1).integers(0, VOCABULARY, 70))
LENGTH = 250

SAMPLED: dict[str, dict[str, Any]] = {
    "greedy": {},
    "greedy with penalties": {
        "repetition_penalty": 1.2,
        "presence_penalty": 0.2,
        "frequency_penalty": 0.1,
        "logit_bias": ((7, 0.5),),
    },
    "plain": {"temperature": 1.0, "top_k": 0, "top_p": 1.0},
    "top-k, top-p": {"temperature": 0.8, "top_k": 12, "top_p": 0.9},
    "min-p and a penalty": {
        "temperature": 1.3,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.1,
        "repetition_penalty": 1.3,
    },
}


class Last:
    """A StateKeeper that shows what was left."""

    def __init__(self, model: Qwen3Next) -> None:
        self._model = model
        self.tokens: tuple[int, ...] = ()
        self.state: SequenceState | None = None

    def begin(self, prompt: Sequence[int]) -> SequenceState:  # noqa: ARG002
        return self._model.state()

    def begin_further(self, prompt: Sequence[int], length: int) -> SequenceState | None:  # noqa: ARG002
        return None

    def snapshot(self, tokens: Sequence[int], state: SequenceState) -> None:
        pass

    def keep(self, tokens: Sequence[int], state: SequenceState) -> None:
        self.tokens, self.state = tuple(tokens), state

    def keep_interrupted(self, tokens: Sequence[int], state: SequenceState) -> None:
        self.keep(tokens, state)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Qwen3Next:
    return load_tiny(write_checkpoint(tmp_path_factory.mktemp("model"), seed=11))


@pytest.fixture(scope="module")
def headed(tmp_path_factory: pytest.TempPathFactory) -> Qwen3Next:
    model = load_tiny(write_checkpoint(tmp_path_factory.mktemp("headed"), seed=12, mtp=True))
    model.dflash = load_dflash(write_drafter(tmp_path_factory.mktemp("drafter") / "published"), model)
    return model


@pytest.fixture(scope="module")
def headed_text(headed: Qwen3Next) -> list[int]:
    return reply(drafting_generator(headed), asked(PROMPT, 120))[0]


class Plain(dict[str, list[int]]):
    """What is generated without any drafts, by way of sampling."""

    def __init__(self, model: Qwen3Next) -> None:
        self._generator = drafting_generator(model)

    def __missing__(self, name: str) -> list[int]:
        self[name] = reply(self._generator, request(name))[0]
        return self[name]


@pytest.fixture(scope="module")
def plain(model: Qwen3Next) -> dict[str, list[int]]:
    return Plain(model)


def request(name: str, count: int = LENGTH, prompt: tuple[int, ...] = PROMPT) -> GenerationRequest:
    return asked(prompt, count, **{"seed": 5, **SAMPLED[name]})


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in ("plain", "greedy with a penalty") else [])
        for name in SAMPLED
    ],
)
def test_thousands_of_tokens_are_those_of_plain_decoding(
    model: Qwen3Next, plain: dict[str, list[int]], name: str
) -> None:
    for seed, most in ((1, 16), (2, 2)):
        policy = Depths(most, seed)
        oracle = Oracle([*PROMPT, *plain[name]], VOCABULARY, seed)
        tokens, finished = reply(drafting_generator(model, oracle, policy=policy), request(name))
        assert tokens == plain[name]
        drafts = [step for step in policy.steps if step.drafted]
        assert len({step.drafted for step in drafts}) > most / 2
        assert {step.accepted for step in drafts} >= {0, 1, min(most, 4)}
        assert 0 < finished.accepted_tokens < finished.drafted_tokens


@given(seed=st.integers(0, 999), count=st.integers(1, 60), end=st.data())
@settings(max_examples=10)
def test_wherever_it_ends_the_state_is_that_of_a_cold_prefill(
    model: Qwen3Next, plain: dict[str, list[int]], seed: int, count: int, end: st.DataObject
) -> None:
    text = plain["greedy"]
    stop = end.draw(st.sampled_from([None, *text[:20]]))
    cancelled_at = end.draw(st.integers(1, 60))
    states = Last(model)
    oracle = Oracle([*PROMPT, *text], VOCABULARY, seed)
    generator = drafting_generator(model, oracle, policy=Depths(seed=seed), states=states)
    tokens, finished = reply(
        generator,
        GenerationRequest(
            PROMPT, count, frozenset() if stop is None else frozenset({stop}), SamplingParameters(temperature=0)
        ),
        lambda so_far: so_far >= cancelled_at,
    )
    expected = text[: min(count, cancelled_at, text.index(stop) + 1 if stop is not None else LENGTH)]
    assert tokens == expected
    assert finished.generated_tokens == len(expected)
    assert states.state is not None
    assert states.tokens == (*PROMPT, *tokens)[: len(states.tokens)]
    assert len(states.tokens) >= len(PROMPT) + len(tokens) - 1
    assert_cold(model, states.tokens, states.state)


def test_conversations_that_are_cancelled_and_go_on_again_and_again_end_the_same(
    model: Qwen3Next, plain: dict[str, list[int]]
) -> None:
    text = plain["greedy"]
    states = StoredStates(model, PrefixStore(1 << 28))
    oracle = Oracle([*PROMPT, *text], VOCABULARY, 4)
    generator = drafting_generator(model, oracle, states=states, chunk=32)
    prompt = PROMPT
    while len(prompt) < len(PROMPT) + 200:
        ending = 1 + len(prompt) % 41
        tokens, _ = reply(generator, asked(prompt, 80), lambda count, ending=ending: count == ending)
        prompt = (*prompt, *tokens)
    assert prompt == (*PROMPT, *text)[: len(prompt)]
    left = states.begin((*prompt, 1))
    assert_cold(model, prompt[: left.length], left)


@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_however_a_conversation_is_drafted_broken_off_and_gone_on_with_it_says_the_same(
    headed: Qwen3Next, headed_text: list[int], data: st.DataObject
) -> None:
    """With the real drafters, request by request in any way, and snapshots that may have gone meanwhile."""
    store = PrefixStore(data.draw(st.sampled_from([1 << 18, 1 << 28]), label="bytes for snapshots"))
    states = StoredStates(headed, store)
    generator = Generator(
        headed, states, ways=ways(headed, headed), chunk=data.draw(st.sampled_from([16, 100]))
    )
    text, prompt = [*PROMPT, *headed_text], PROMPT
    for _ in range(4):
        request = replace(
            asked(prompt, 30),
            draft=data.draw(st.sampled_from(get_args(DraftMode)), label="draft"),
            boundaries=tuple(data.draw(st.lists(st.integers(1, len(prompt)), max_size=2).map(sorted))),
        )
        end = data.draw(st.integers(1, 40), label="broken off after, if it goes so far")
        tokens, _ = reply(generator, request, lambda count, end=end: count >= end)
        prompt = (*prompt, *tokens)
        # What was said last may be taken back, and another conversation may come in between.
        prompt = prompt[
            : max(len(PROMPT), len(prompt) - data.draw(st.sampled_from([0, 0, 3]), label="taken back"))
        ]
        if data.draw(st.booleans(), label="another conversation"):
            reply(generator, asked(PROMPT[::-1], 3))
        assert list(prompt) == text[: len(prompt)]
    left = states.begin((*prompt, 1))
    if left.length:  # else all that was stored is gone
        assert_cold(headed, prompt[: left.length], left)


def test_a_reply_that_nobody_reads_to_its_end_leaves_a_whole_state(
    model: Qwen3Next, plain: dict[str, list[int]]
) -> None:
    class Mine(Last):
        def begin(self, prompt: Sequence[int]) -> SequenceState:
            self.state = super().begin(prompt)
            return self.state

    states = Mine(model)
    oracle = Oracle([*PROMPT, *plain["greedy"]], VOCABULARY, 4)
    events: Any = drafting_generator(model, oracle, states=states).generate(asked(PROMPT, 50), lambda: False)
    for _ in range(25):
        next(events)
    events.close()
    assert states.state is not None
    assert_cold(model, (*PROMPT, *plain["greedy"])[: states.state.length], states.state)
