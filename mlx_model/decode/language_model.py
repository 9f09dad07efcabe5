"""What decoding needs of a model and of the states it runs on."""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import mlx.core as mx


class State(Protocol):
    """What a model remembers of the tokens it has seen; `length` counts them."""

    length: int

    def arrays(self) -> list[mx.array]:
        """What has to be evaluated for the state to be up to date."""
        ...

    def hold(self) -> None:
        """Nobody will go on from what comes now: the lengths that it can be taken back to stay those of now."""
        ...


StateT = TypeVar("StateT", bound=State)


class LanguageModel(Protocol[StateT]):
    """A model that reads tokens [1, n] and moves a state on by them."""

    @property
    def vocabulary(self) -> int:
        """How many tokens there are."""
        ...

    @property
    def context_length(self) -> int:
        """How many positions the model is good for."""
        ...

    def state(self) -> StateT:
        """The state before the first token."""
        ...

    def logits(self, tokens: mx.array, state: StateT) -> mx.array:
        """[1, n, vocabulary]: what follows each of the next n tokens."""
        ...

    def last_logits(self, tokens: mx.array, state: StateT) -> mx.array:
        """[vocabulary]: what follows the last of the next n tokens."""
        ...


class StateKeeper(Protocol[StateT]):
    """Where a generation gets its state from, and where it leaves it for those that follow."""

    def begin(self, prompt: Sequence[int]) -> StateT:
        """A state that has seen a proper prefix of the prompt, as long a one as is known."""
        ...

    def keep(self, tokens: Sequence[int], state: StateT) -> None:
        """`state` has seen exactly `tokens`; it may be running still."""
        ...

    def keep_broken_off(self, tokens: Sequence[int], state: StateT) -> None:
        """`state` has seen exactly `tokens` and goes no further; the last few of them may be unread, because
        whoever asked for them has gone."""
        ...


class NothingKept(Generic[StateT]):
    """Every generation starts from the first token."""

    def __init__(self, model: LanguageModel[StateT]) -> None:
        self._model = model

    def begin(self, prompt: Sequence[int]) -> StateT:  # noqa: ARG002
        """A fresh state."""
        return self._model.state()

    def keep(self, tokens: Sequence[int], state: StateT) -> None:
        """Forgets it."""

    def keep_broken_off(self, tokens: Sequence[int], state: StateT) -> None:
        """Forgets it."""
