"""The prefix store against a plain dictionary of everything it was ever given."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlx_model.state.prefix_state import array_bytes
from mlx_model.state.prefix_store import PrefixStore
from tests.support.engine.token_states import TokenSource, assert_is_state_of, recurrent_of

RECURRENT_BYTES = array_bytes(recurrent_of((1, 2, 3)))

# Few tokens and few lengths, so that prefixes are shared, branch early, and end inside one another.
conversations = st.lists(st.integers(0, 1), min_size=1, max_size=12).map(tuple)
operations = st.lists(st.tuples(st.sampled_from(["store", "look up"]), conversations), max_size=60)


@given(operations)
@settings(max_examples=150, deadline=None)
def test_finds_the_deepest_prefix_ever_stored(steps: list[tuple[str, tuple[int, ...]]]) -> None:
    store = PrefixStore(budget_bytes=1 << 40)
    stored: dict[tuple[int, ...], bool] = {}
    for action, tokens in steps:
        if action == "store":
            store.store(tokens, TokenSource(tokens))
            stored[tokens] = True
            continue
        expected = max((size for size in range(1, len(tokens)) if tokens[:size] in stored), default=0)
        found = store.lookup(tokens)
        assert (found.position if found else 0) == expected
        if found:
            assert_is_state_of(found, tokens)


@given(operations, st.integers(0, 6))
@settings(max_examples=150, deadline=None)
def test_eviction_forgets_but_never_lies_and_keeps_what_was_used_last(
    steps: list[tuple[str, tuple[int, ...]]], room: int
) -> None:
    budget = room * RECURRENT_BYTES
    store = PrefixStore(budget_bytes=budget)
    stored: dict[tuple[int, ...], bool] = {}
    for action, tokens in steps:
        if action == "store":
            store.store(tokens, TokenSource(tokens))
            stored[tokens] = True
            if len(tokens) * 8 + RECURRENT_BYTES <= budget:
                kept = store.lookup((*tokens, 7))
                assert kept is not None
                assert kept.position == len(tokens)
        assert store.memory_bytes <= budget
        found = store.lookup(tokens)
        if found:
            assert tokens[: found.position] in stored
            assert_is_state_of(found, tokens)


def test_keys_and_values_are_held_once_however_many_snapshots_share_them() -> None:
    store = PrefixStore(budget_bytes=1 << 40)
    system = tuple(range(1000))
    store.store(system, TokenSource(system))
    for user in range(20):
        tokens = (*system, 5000 + user, 6000)
        store.store(tokens, TokenSource(tokens))
    assert store.memory_bytes == 8 * (1000 + 20 * 2) + 21 * RECURRENT_BYTES


def test_least_recently_used_goes_first() -> None:
    store = PrefixStore(budget_bytes=3 * (RECURRENT_BYTES + 24))
    for token in (1, 2, 3):
        store.store((token, 0, 0), TokenSource((token, 0, 0)))
    assert store.lookup((1, 0, 0, 9)) is not None
    store.store((4, 0, 0), TokenSource((4, 0, 0)))
    assert store.lookup((2, 0, 0, 9)) is None
    assert all(store.lookup((token, 0, 0, 9)) for token in (1, 3, 4))


def test_an_empty_prefix_has_no_state() -> None:
    store = PrefixStore(budget_bytes=1 << 20)
    assert store.lookup(()) is None
    assert store.lookup((1,)) is None
    with pytest.raises(ValueError, match="at least one token"):
        store.store((), TokenSource(()))
