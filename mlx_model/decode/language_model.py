"""The interfaces between decoding, a model, and the states of sequences."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

import mlx.core as mx
from typing_extensions import override


class State(Protocol):
    """What a model holds of the tokens it has seen (KV, recurrent state); `length` counts them."""

    length: int

    def arrays(self) -> list[mx.array]:
        """The arrays that have to be evaluated for the state to be up to date."""
        ...

    def reserve(self, length: int) -> None:
        """Has the next tokens allocate room for `length` tokens in all."""
        ...

    def freeze_rollback_points(self) -> None:
        """Freezes the rollback points: tokens from here on add none."""
        ...


StateT = TypeVar("StateT", bound=State)


class LanguageModel(Protocol[StateT]):
    """A model that reads tokens [1, n] and advances a state by them."""

    @property
    def vocabulary(self) -> int:
        """The number of token ids, and of logits."""
        ...

    @property
    def context_length(self) -> int:
        """The most positions that the model supports."""
        ...

    def state(self) -> StateT:
        """A new, empty state."""
        ...

    def logits(self, tokens: mx.array, state: StateT) -> mx.array:
        """Tokens [1, n] → logits [1, n, vocabulary] of the token after each; advances `state`."""
        ...

    def last_logits(self, tokens: mx.array, state: StateT) -> mx.array:
        """Tokens [1, n] → logits [vocabulary] of the token after the last; advances `state`."""
        ...


class StateKeeper(Protocol[StateT]):
    """Gives each generation the state it starts from, and stores states for later ones."""

    def begin(self, prompt: Sequence[int]) -> StateT:
        """A state that has seen the longest proper prefix of the prompt that is stored, perhaps none of it."""
        ...

    def begin_further(self, prompt: Sequence[int], length: int) -> StateT | None:
        """A state that has seen a stored prefix of more than `length` tokens, which another generation may have
        stored since `begin`; None where there is none."""
        ...

    def snapshot(self, tokens: Sequence[int], state: StateT) -> None:
        """Stores a copy of a state that has seen exactly `tokens`. The generation goes on with the state."""
        ...

    def keep(self, tokens: Sequence[int], state: StateT) -> None:
        """Stores a state that has seen exactly `tokens`, at the end of its generation: the next one may go
        on with the state itself."""
        ...

    def keep_interrupted(self, tokens: Sequence[int], state: StateT) -> None:
        """As `keep`, for a generation that was cancelled: its client may lack the last few tokens, and continue
        from before them."""
        ...


class NothingKept(StateKeeper[StateT]):
    """A StateKeeper that stores nothing: every generation starts from the first token."""

    def __init__(self, model: LanguageModel[StateT]) -> None:
        self._model = model

    @override
    def begin(self, prompt: Sequence[int]) -> StateT:
        return self._model.state()

    @override
    def begin_further(self, prompt: Sequence[int], length: int) -> StateT | None:
        return None

    @override
    def snapshot(self, tokens: Sequence[int], state: StateT) -> None:
        pass

    @override
    def keep(self, tokens: Sequence[int], state: StateT) -> None:
        pass

    @override
    def keep_interrupted(self, tokens: Sequence[int], state: StateT) -> None:
        pass
