"""Decoding several replies together: one pass of the model computes the next token of each.

A pass over few tokens takes little longer than one over a single token, because it reads the same weights.
Replies join and leave between two passes. Nothing is drafted meanwhile: a pass that verifies drafts is one over
several tokens already.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, Protocol

import mlx.core as mx

from mlx_model.decode.language_model import LanguageModel, StateT
from mlx_model.decode.loop import DecodingLoop
from mlx_model.decode.request import TokenGenerated


class BatchingModel(LanguageModel[StateT], Protocol[StateT]):
    """A model that can compute the next token of several sequences in one pass."""

    def side_by_side(self, states: Sequence[StateT]) -> Callable[[mx.array], mx.array]:
        """A pass over the next token of each state, as often as it is called: tokens [n] → hidden states
        [1, n, hidden]; advances the states. Not to be used again once one of them was advanced otherwise."""
        ...

    def head(self, hidden: mx.array) -> mx.array:
        """Logits [..., vocabulary] from hidden states [..., hidden]."""
        ...


class Batch(Generic[StateT]):
    """The passes of one model."""

    def __init__(self, model: BatchingModel[StateT]) -> None:
        self._model = model
        self._states: tuple[StateT, ...] = ()
        self._lengths: list[int] = []
        self._pass: Callable[[mx.array], mx.array] | None = None

    def step(
        self, loops: Sequence[DecodingLoop[StateT]]
    ) -> Iterator[tuple[DecodingLoop[StateT], TokenGenerated | Exception]]:
        """One token of each reply, or what went wrong with that reply. As alone, the tokens are read only after
        the pass for the next ones has been launched. Raises what goes wrong in the pass itself."""
        going = [loop for loop in loops if loop.room]
        if going:
            hidden = self._pass_over([loop.run.state for loop in going])(
                mx.concatenate([loop.chosen for loop in going])
            )
            self._lengths = [state.length for state in self._states]
            logits = self._model.head(hidden)[0]
            mx.async_eval(logits)  # type: ignore[no-untyped-call]
            for row, loop in enumerate(going):
                loop.look_ahead(logits[row], hidden[:, row : row + 1])
        for loop in loops:
            try:
                for event in loop.read():
                    yield loop, event
            except Exception as error:  # noqa: BLE001 (it is handed on, and must not end the other replies)
                yield loop, error

    def forget(self) -> None:
        """Drops the states of the last pass: one of the replies has ended."""
        self._states, self._pass = (), None

    def _pass_over(self, states: Sequence[StateT]) -> Callable[[mx.array], mx.array]:
        same = len(states) == len(self._states) and all(
            state is known and state.length == length
            for state, known, length in zip(states, self._states, self._lengths, strict=True)
        )
        if self._pass is None or not same:
            self._states = tuple(states)
            self._pass = self._model.side_by_side(states)
        return self._pass
