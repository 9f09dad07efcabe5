"""The interface between a draft source and the loop that verifies its drafts."""

from collections.abc import Hashable, Sequence
from typing import Protocol

import mlx.core as mx

from mlx_model.decode.sampling import Sampler


class Drafter(Protocol):
    """Proposes tokens that may follow. A wrong proposal costs time only: the reply depends on the model alone.
    Called from the engine's thread only."""

    @property
    def name(self) -> str:
        """The source's name, as the user sees it."""
        ...

    @property
    def deepest(self) -> int:
        """The most tokens it proposes at once, 1 to verify.DEEPEST."""
        ...

    def begin(self, tokens: Sequence[int], state: object) -> None:
        """A generation begins after `tokens`, which `state` has seen. The drafter may have followed that state
        in an earlier generation."""
        ...

    def learn(self, tokens: Sequence[int]) -> None:
        """Appends tokens to the text, before the model may have processed them. Called in order, once for each
        token after those of `begin`."""
        ...

    def follow(self, tokens: mx.array, hidden: mx.array) -> None:
        """The model processed tokens [n] of the text into hidden states [1, n, hidden], either of which may
        still be pending on the device. Called in order, once for each token; rejected drafts are left out."""
        ...

    def skip(self, tokens: int) -> None:
        """In place of `follow`: the model processed `tokens` tokens whose hidden states are not shown."""
        ...

    def settle(self) -> None:
        """Brings the drafter's part of the state up to date with what was followed: the state is to be
        stored."""
        ...

    def outlook(self) -> Hashable | None:
        """The class of situations that the next drafts belong to; drafts of one class have similar acceptance
        rates. None when there is nothing to propose. May be asked before the newest token is known."""
        ...

    def foreseen(self) -> int | None:
        """The token expected next, where that costs nothing to say; whether it comes tells the acceptance rate
        without verifying any draft. None where it would cost a pass."""
        ...

    def propose(self, token: int, depth: int, sampler: Sampler) -> mx.array | None:
        """Up to `depth` draft tokens [n] after the newest one, `token`, which has been learned; None for
        none."""
        ...
