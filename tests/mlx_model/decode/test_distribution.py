"""With drafts, sampled replies have exactly the distribution of plain sampling."""

from dataclasses import replace
from itertools import product
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from mlx_model.decode.drafting import Drafting, Plan
from mlx_model.decode.loop import DecodingLoop, Run
from mlx_model.decode.request import GenerationRequest, SamplingParameters
from mlx_model.decode.sampling import Sampler
from mlx_model.decode.verify import accepted_count

VOCABULARY = 6
RULES = {
    "temperature": SamplingParameters(temperature=1.4, top_k=0, top_p=1.0),
    "top-k": SamplingParameters(temperature=1.0, top_k=3, top_p=1.0),
    "top-p": SamplingParameters(temperature=1.0, top_k=0, top_p=0.8),
    "min-p": SamplingParameters(temperature=1.0, top_k=0, top_p=1.0, min_p=0.15),
    "all, with a penalty": SamplingParameters(
        temperature=0.9, top_k=5, top_p=0.95, min_p=0.02, repetition_penalty=1.5
    ),
}
# What follows each token: by the model, and by a drafter that is fairly good at it.
MODEL = (1.2 * np.random.default_rng(8).standard_normal((VOCABULARY, VOCABULARY))).astype(np.float32)
DRAFTER = (MODEL + 2.0 * np.random.default_rng(9).standard_normal(MODEL.shape)).astype(np.float32)
DRAWS = 200_000


def law(parameters: SamplingParameters, first: int, history: tuple[int, ...], length: int) -> np.ndarray:
    """The exact probability of each text of `length` tokens after `first`, by plain sampling."""
    probabilities = np.zeros((VOCABULARY,) * length)
    for text in product(range(VOCABULARY), repeat=length):
        chance = 1.0
        for place, token in enumerate(text):
            seen = (*history, first, *text[:place])
            logits = mx.array(MODEL[seen[-1]])[None]
            chance *= float(np.array(Sampler(parameters, VOCABULARY, seen).distributions(logits))[0, token])
        probabilities[text] = chance
    return probabilities


def deviates(counts: np.ndarray, expected: np.ndarray) -> bool:
    """Whether the counts are not of this distribution, by Pearson's chi-squared: a statistic of mean `degrees`
    and variance twice that. The seeds are fixed, so this never flickers."""
    if counts[expected == 0].any():
        return True
    expected = expected * counts.sum()
    rare = expected < 5
    observed = np.append(counts[~rare], counts[rare].sum())
    wanted = np.append(expected[~rare], expected[rare].sum())
    possible = wanted > 0
    statistic = ((observed - wanted)[possible] ** 2 / wanted[possible]).sum()
    degrees = possible.sum() - 1
    return bool(statistic > degrees + 5 * (2 * degrees) ** 0.5)


def drawn(parameters: SamplingParameters, drafts_are: str) -> tuple[np.ndarray, np.ndarray]:
    """How often each pair of tokens came, over DRAWS blocks of one draft: the choices at both positions,
    the draft before the second one, and the rule. Then the first tokens alone, were 2 % of the rejected drafts
    taken all the same."""
    first = 2
    # Rows of a call are positions, with a noise each: here, all of them first positions of a block.
    sampler = Sampler(replace(parameters, seed=3), VOCABULARY, (first,))
    chosen = sampler.choose(rows(first))
    if drafts_are == "certain":
        drafts = mx.full((DRAWS,), 4, dtype=chosen.dtype)
    else:
        drafts = sampler.choose(rows(first, DRAFTER))
    # The second positions after each token, with that token in their history.
    after = np.stack(
        [
            np.array(Sampler(replace(parameters, seed=4), VOCABULARY, (first, token)).choose(rows(token)))
            for token in range(VOCABULARY)
        ],
        axis=1,
    )
    drafted = np.array(drafts)
    second = np.take_along_axis(after, drafted[:, None], axis=1)[:, 0]
    block = mx.stack([chosen, mx.array(second)], axis=1)
    accepted = np.array(accepted_count(block, drafts[:, None])) == 1
    tokens = np.where(accepted, drafted, np.array(chosen))
    # What was rejected goes on in the next block, with the noise of its second position.
    following = np.where(accepted, second, np.take_along_axis(after, tokens[:, None], axis=1)[:, 0])
    pairs = np.zeros((VOCABULARY, VOCABULARY))
    np.add.at(pairs, (tokens, following), 1)
    forced = np.random.default_rng(7).random(DRAWS) < 0.02
    return pairs, np.bincount(np.where(forced, drafted, tokens), minlength=VOCABULARY)


def rows(token: int, table: np.ndarray = MODEL) -> mx.array:
    return mx.broadcast_to(mx.array(table[token]), (DRAWS, VOCABULARY))


@pytest.mark.parametrize("drafts_are", ["certain", "sampled"])
@pytest.mark.parametrize("rule", RULES)
def test_the_rule_leaves_the_distribution_and_a_bias_of_two_percent_shows(rule: str, drafts_are: str) -> None:
    expected = law(RULES[rule], 2, (), 2)
    pairs, biased = drawn(RULES[rule], drafts_are)
    assert not deviates(pairs, expected)
    assert not deviates(pairs.sum(axis=1), expected.sum(axis=1))
    assert deviates(biased, expected.sum(axis=1))


class Chain:
    """A model whose next token depends on the last one alone; its hidden states are the tokens."""

    vocabulary, context_length = VOCABULARY, 1 << 20

    def state(self) -> "ChainState":
        return ChainState()

    def hidden(self, tokens: mx.array, state: "ChainState") -> mx.array:
        state.length += tokens.shape[1]
        state.recorded = tokens.shape[1]
        return tokens[..., None]

    def head(self, hidden: mx.array) -> mx.array:
        return mx.array(MODEL)[hidden[..., 0]]

    def logits(self, tokens: mx.array, state: "ChainState") -> mx.array:
        return self.head(self.hidden(tokens, state))

    def last_logits(self, tokens: mx.array, state: "ChainState") -> mx.array:
        return self.logits(tokens, state)[0, -1]


class ChainState:
    length = 0
    recorded = 0

    def arrays(self) -> list[mx.array]:
        return []

    def reserve(self, length: int) -> None:
        pass

    def freeze_rollback_points(self) -> None:
        pass

    def record(self, on: bool) -> None:
        pass

    def keep(self, tokens: int) -> None:
        self.length -= self.recorded - tokens


class Guesses:
    """Proposes by its own idea of the chain, with the noise of the positions or with none."""

    name, deepest = "guesses", 3

    def __init__(self, sampled: bool) -> None:
        self._sampled = sampled

    def begin(self, tokens: Any, state: object) -> None:
        pass

    def learn(self, tokens: Any) -> None:
        pass

    def follow(self, tokens: mx.array, hidden: mx.array) -> None:
        pass

    def skip(self, tokens: int) -> None:
        pass

    def settle(self) -> None:
        pass

    def outlook(self) -> int:
        return 0

    def foreseen(self) -> int | None:
        return None

    def propose(self, token: int, depth: int, sampler: Sampler) -> mx.array:
        drafts = mx.zeros((0,), dtype=mx.uint32)
        for place in range(depth):
            logits = mx.array(DRAFTER[token])[None]
            chosen = sampler.choose(logits, drafts, place) if self._sampled else mx.argmax(logits, axis=-1)
            drafts = mx.concatenate([drafts, chosen.astype(mx.uint32)])
            token = int(chosen.item())
        return drafts


class Always:
    def worth_stalling(self, outlooks: Any, deepest: Any) -> bool:  # noqa: ARG002
        return True

    def plan(self, outlooks: Any, deepest: Any) -> Plan | None:  # noqa: ARG002
        return Plan("guesses", deepest["guesses"])

    def record(self, step: Any) -> None:
        pass

    def judge(self, source: str, outlook: Any, foresaw: bool) -> None:
        pass

    def follows(self, source: str) -> bool:  # noqa: ARG002
        return True


def replies(parameters: SamplingParameters, sampled: bool, draws: int, length: int) -> np.ndarray:
    """How often each text came, of replies made by the decoding loop itself."""
    model = Chain()
    counts = np.zeros((VOCABULARY,) * length)
    accepted = 0
    for seed in range(draws):
        run = Run(
            GenerationRequest((2,), length, frozenset(), replace(parameters, seed=seed)),
            model.state(),
            0.0,
        )
        drafting = Drafting(model, [Guesses(sampled)], Always())
        logits = drafting.last_logits(mx.array([[2]]), run.state)
        loop = DecodingLoop(model, drafting, run, length, lambda: False)
        loop.begin(logits)
        while not loop.ended:
            list(loop.step())
        counts[tuple(run.tokens)] += 1
        accepted += run.costs().accepted_tokens
    assert accepted > draws / 10
    return counts


@pytest.mark.parametrize("sampled", [False, True], ids=["certain", "sampled"])
def test_whole_replies_have_the_distribution_of_plain_sampling(sampled: bool) -> None:
    rule = RULES["all, with a penalty"]
    assert not deviates(replies(rule, sampled, 400, 3), law(rule, 2, (), 3))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("sampled", [False, True], ids=["certain", "sampled"])
@pytest.mark.parametrize("rule", RULES)
def test_two_hundred_thousand_tokens_have_it(rule: str, sampled: bool) -> None:
    assert not deviates(replies(RULES[rule], sampled, DRAWS // 5, 5), law(RULES[rule], 2, (), 5))
