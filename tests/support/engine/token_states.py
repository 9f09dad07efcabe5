"""Conversation states that are a function of their tokens, so that any answer of a store can be judged."""

from dataclasses import dataclass

import numpy as np

from mlx_model.state.prefix_state import Arrays, PrefixState


@dataclass(frozen=True)
class TokenSource:
    """A sequence that has seen `tokens`; its recurrent part has `floats` numbers."""

    tokens: tuple[int, ...]
    floats: int = 100

    def segment(self, start: int, stop: int) -> Arrays:
        return {"keys": np.array(self.tokens[start:stop], dtype=np.int64)}

    def recurrent(self) -> Arrays:
        return recurrent_of(self.tokens, self.floats)


def recurrent_of(tokens: tuple[int, ...], floats: int = 100) -> Arrays:
    """The recurrent part that belongs to these tokens and to no others."""
    seed = np.random.default_rng([len(tokens), *tokens])
    return {"state": seed.standard_normal(floats), "window": np.array(tokens[-3:], dtype=np.float32)}


def assert_is_state_of(state: PrefixState, tokens: tuple[int, ...], floats: int = 100) -> None:
    """The state is that of the tokens up to its position, in every byte."""
    prefix = tokens[: state.position]
    assert tuple(np.concatenate([segment.arrays["keys"] for segment in state.segments])) == prefix
    expected = recurrent_of(prefix, floats)
    assert state.recurrent.keys() == expected.keys()
    for name, value in expected.items():
        assert np.array_equal(state.recurrent[name], value)
