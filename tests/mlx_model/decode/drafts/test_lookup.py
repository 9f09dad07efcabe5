"""The lookup drafter: the longest suffix that occurred before, at a bounded price."""

import random
import tracemalloc

import mlx.core as mx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlx_model.decode.drafts.lookup import LookupDrafter
from mlx_model.decode.drafts.suffix_automaton import SuffixAutomaton
from mlx_model.decode.request import SamplingParameters
from mlx_model.decode.sampling import Sampler

GREEDY = Sampler(SamplingParameters(temperature=0), 10)


def longest_repeated_suffix(text: list[int]) -> int:
    """By trying all: the suffix may overlap its earlier occurrence."""
    for length in range(len(text) - 1, 0, -1):
        suffix = text[-length:]
        if any(text[at : at + length] == suffix for at in range(len(text) - length)):
            return length
    return 0


@given(st.lists(st.integers(0, 3), max_size=60) | st.lists(st.integers(0, 1), max_size=60))
def test_the_match_is_the_longest_and_where_it_says(text: list[int]) -> None:
    automaton = SuffixAutomaton()
    for count, token in enumerate(text, 1):
        automaton.append(token)
        if count < len(text):
            # What stands behind the next token, before the text has it.
            matched, follows = automaton.behind(text[count])
            assert matched == longest_repeated_suffix(text[: count + 1])
            assert not matched or text[follows - matched : follows] == text[count + 1 - matched : count + 1]
        assert automaton.matched == longest_repeated_suffix(text[:count])
        if automaton.matched:
            assert automaton.follows < count
            earlier = text[automaton.follows - automaton.matched : automaton.follows]
            assert earlier == text[count - automaton.matched : count]


def test_of_several_places_the_one_met_last_is_quoted() -> None:
    drafter = LookupDrafter()
    drafter.begin([1, 2, 3, 4, 9, 1, 2, 3, 5, 9, 1, 2, 3], None)
    assert drafter.propose(3, 2, GREEDY).tolist() == [5, 9]


def test_a_conversation_that_goes_on_is_indexed_once_and_another_one_afresh() -> None:
    drafter = LookupDrafter()
    drafter.begin([1, 2, 3, 4], None)
    drafter.begin([1, 2, 3, 4, 7, 1, 2], None)
    assert drafter.propose(2, 16, GREEDY).tolist() == [3, 4, 7, 1, 2]
    drafter.begin([5, 6, 1, 2], None)
    assert drafter.outlook() is None
    assert drafter.propose(2, 16, GREEDY) is None


class Counted(SuffixAutomaton):
    """Counts what it does: each look at a state's transitions, each transition set, each state made."""

    def __init__(self) -> None:
        super().__init__()
        self.work = 0

    def _step(self, state: int, token: int) -> int:
        self.work += 1
        return super()._step(state, token)

    def _connect(self, state: int, token: int, target: int) -> None:
        self.work += 1
        super()._connect(state, token, target)

    def _state(self, length: int, end: int) -> int:
        self.work += 1
        return super()._state(length, end)

    def size(self) -> tuple[int, int]:
        """States and transitions."""
        first = sum(token != -1 for token in self._first)
        return len(self._length), first + sum(len(more) for more in self._more.values())


def code(length: int) -> list[int]:
    """Lines of a limited vocabulary, some of them quoted again: like a conversation about code."""
    choice = random.Random(1)
    lines = [[choice.randrange(5000) for _ in range(choice.randrange(3, 14))] for _ in range(2500)]
    text: list[int] = []
    while len(text) < length:
        text += lines[min(2499, int(choice.expovariate(0.002)))]
    return text[:length]


def noise(length: int) -> list[int]:
    """Four different tokens at random: nearly the most states that a text can have."""
    choice = random.Random(2)
    return [choice.randrange(4) for _ in range(length)]


def fibonacci(length: int) -> list[int]:
    """Repeats itself at every scale."""
    before, text = [1], [0]
    while len(text) < length:
        before, text = text, text + before
    return text[:length]


TEXTS = {
    "code": code,
    "noise": noise,
    "fibonacci": fibonacci,
    "one token": lambda length: [7] * (length - 1) + [8],
    "a file read four times": lambda length: 4 * code(length // 4),
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("length", [4096, pytest.param(262_144, marks=pytest.mark.slow)])
def test_the_index_of_a_long_context_takes_the_same_of_every_token(text: str, length: int) -> None:
    """At 262,144 tokens as at 4,096: by what is done and held, not by the clock."""
    tokens, counted = TEXTS[text](length), Counted()
    halves: list[int] = []
    tracemalloc.start()
    for half in (tokens[: length // 2], tokens[length // 2 :]):
        before = counted.work
        for token in half:
            counted.append(token)
        halves.append(counted.work - before)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert counted.tokens.tolist() == tokens
    states, transitions = counted.size()
    assert states <= 2 * length and transitions <= 3 * length
    assert max(halves) / (length // 2) < 12
    assert held / length < 400


def test_drafts_fit_the_depth() -> None:
    drafter = LookupDrafter()
    drafter.begin([*range(40), *range(20)], None)
    drafts = drafter.propose(19, 6, GREEDY)
    assert isinstance(drafts, mx.array)
    assert drafts.tolist() == [20, 21, 22, 23, 24, 25]
