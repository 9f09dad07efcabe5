"""Samplers against transformers' own, and against what they say they draw from."""

from typing import Any

import mlx.core as mx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_model.decode.request import SamplingParameters
from mlx_model.decode.sampling import Sampler

torch = pytest.importorskip("torch", reason="the oracle is not installed (ORACLE=0)")
process = pytest.importorskip("transformers.generation.logits_process", reason="the oracle is not installed")


def of_transformers(logits: np.ndarray, history: list[int], parameters: SamplingParameters) -> np.ndarray:
    """The distribution that transformers' generation samples from."""
    steps: list[Any] = [process.RepetitionPenaltyLogitsProcessor(parameters.repetition_penalty)]
    steps.append(process.TemperatureLogitsWarper(parameters.temperature))
    if parameters.top_k:
        steps.append(process.TopKLogitsWarper(parameters.top_k))
    if parameters.top_p < 1:
        steps.append(process.TopPLogitsWarper(parameters.top_p))
    if parameters.min_p:
        steps.append(process.MinPLogitsWarper(parameters.min_p))
    scores = torch.tensor(logits)[None]
    for step in steps:
        scores = step(torch.tensor([history]), scores)
    return np.asarray(torch.softmax(scores, dim=-1)[0])


PARAMETERS = st.builds(
    SamplingParameters,
    temperature=st.sampled_from([0.3, 0.7, 1.0, 1.8]),
    top_p=st.sampled_from([0.05, 0.5, 0.9, 1.0]),
    top_k=st.sampled_from([0, 1, 5, 40, 500]),
    min_p=st.sampled_from([0.0, 0.05, 0.5]),
    repetition_penalty=st.sampled_from([0.8, 1.0, 1.3]),
)


@given(parameters=PARAMETERS, seed=st.integers(0, 999))
@settings(max_examples=80, deadline=None)
def test_the_distribution_is_that_of_transformers(parameters: SamplingParameters, seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = (3 * random.standard_normal(60)).astype(np.float32)
    history = [int(token) for token in random.integers(0, 60, 10)]
    ours = np.array(Sampler(parameters, 60, history).distributions(mx.array(logits)[None])[0])
    theirs = of_transformers(logits, history, parameters)
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


@pytest.mark.parametrize("filters", [{}, {"top_k": 0, "top_p": 1.0}, {"top_k": 0, "min_p": 0.1}])
def test_next_to_no_temperature_is_greedy_and_keeps_to_what_is_allowed(filters: dict[str, Any]) -> None:
    logits = 5 * mx.random.normal((4, 50), key=mx.random.key(1))
    allowed = mx.arange(50) % 3 == mx.array([[0], [1], [2], [0]])
    greedy = Sampler(SamplingParameters(temperature=0), 50).choose(logits, allowed=allowed)
    for temperature in (1e-20, 1e-39, 1e-300):
        sampler = Sampler(SamplingParameters(temperature=temperature, seed=1, **filters), 50)
        assert sampler.choose(logits, allowed=allowed).tolist() == greedy.tolist()
        assert sampler.distributions(logits).max(axis=-1).tolist() == [1.0] * 4


@pytest.mark.parametrize(
    "parameters",
    [
        SamplingParameters(seed=1, top_p=1.0, top_k=0),
        SamplingParameters(seed=2, temperature=0.7, top_p=0.8, top_k=12),
        SamplingParameters(seed=3, min_p=0.1, top_p=1.0, top_k=0),
    ],
    ids=["plain", "top-k and top-p", "min-p"],
)
def test_tokens_are_drawn_from_the_distribution_that_is_told(parameters: SamplingParameters) -> None:
    logits = mx.array((2 * np.random.default_rng(0).standard_normal(30)).astype(np.float32))
    sampler = Sampler(parameters, 30)
    draws = 4000
    counts = np.bincount([int(sampler(logits).item()) for _ in range(draws)], minlength=30)
    expected = np.array(sampler.distributions(logits[None])[0]) * draws
    assert (counts[expected == 0] == 0).all()
    possible = expected > 0
    deviation = ((counts - expected)[possible] ** 2 / expected[possible]).sum()
    degrees = possible.sum() - 1
    # Chi-squared: mean `degrees`, variance 2 · degrees; the seeds are fixed, so this never flickers.
    assert deviation < degrees + 5 * (2 * degrees) ** 0.5


def test_equal_seeds_give_equal_tokens_and_others_do_not() -> None:
    logits = mx.zeros(1000)

    def tokens(seed: int | None) -> list[int]:
        sampler = Sampler(SamplingParameters(seed=seed), 1000)
        return [int(sampler(logits).item()) for _ in range(8)]

    assert tokens(7) == tokens(7) != tokens(8)
    assert tokens(None) != tokens(None)


@given(
    st.lists(st.integers(0, 5), max_size=6),
    st.lists(st.integers(0, 5), max_size=4),
    st.floats(-2, 2),
    st.floats(-2, 2),
)
@settings(max_examples=40, deadline=None)
def test_penalties_and_biases_are_those_of_openai_at_each_position(
    reply: list[int], drafts: list[int], presence: float, frequency: float
) -> None:
    parameters = SamplingParameters(
        1.0,
        1.0,
        0,
        presence_penalty=presence,
        frequency_penalty=frequency,
        logit_bias=((4, -100.0), (1, 2.0)),
    )
    sampler = Sampler(parameters, 6, [2])  # the prompt does not count
    for token in reply:
        sampler.take(mx.array([token]))
    logits = np.linspace(-1, 1, 6, dtype=np.float32)
    ours = np.array(
        sampler.distributions(mx.array(np.tile(logits, (len(drafts) + 1, 1))), mx.array(drafts, dtype=mx.int32))
    )
    for place, row in enumerate(ours):
        counts = np.bincount([*reply, *drafts[:place]], minlength=6)
        scores = logits + np.array([0, 2, 0, 0, -100, 0]) - presence * (counts > 0) - frequency * counts
        expected = np.exp(scores - scores.max())
        np.testing.assert_allclose(row, expected / expected.sum(), atol=1e-5)


def test_greedy_takes_the_most_likely_token_that_the_penalty_leaves() -> None:
    sampler = Sampler(SamplingParameters(temperature=0, repetition_penalty=2.0), 4, [2])
    logits = mx.array([0.5, 1.6, 3.0, -1.0])
    assert [int(sampler(logits).item()) for _ in range(2)] == [1, 2]
    np.testing.assert_array_equal(np.array(sampler.distributions(logits[None])[0]), [0, 0, 1, 0])
