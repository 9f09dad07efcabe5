"""The lookup drafter: the longest suffix that occurred before, at a bounded price."""

import random
import tracemalloc

import mlx.core as mx
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


def test_the_index_of_a_long_context_stays_small() -> None:
    """Lines of a limited vocabulary, some of them quoted again: like a conversation about code."""
    choice = random.Random(1)
    lines = [[choice.randrange(5000) for _ in range(choice.randrange(3, 14))] for _ in range(2500)]
    text = [token for _ in range(8000) for token in lines[min(2499, int(choice.expovariate(0.002)))]][:32_768]
    tracemalloc.start()
    automaton = SuffixAutomaton()
    for token in text:
        automaton.append(token)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert automaton.tokens.tolist() == text
    assert held / len(text) < 400


def test_drafts_fit_the_depth() -> None:
    drafter = LookupDrafter()
    drafter.begin([*range(40), *range(20)], None)
    drafts = drafter.propose(19, 6, GREEDY)
    assert isinstance(drafts, mx.array)
    assert drafts.tolist() == [20, 21, 22, 23, 24, 25]
