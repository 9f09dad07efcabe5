"""What a source of drafts is to the loop that verifies them."""

from collections.abc import Hashable, Sequence
from typing import Protocol

import mlx.core as mx

from mlx_model.decode.sampling import Sampler


class Drafter(Protocol):
    """Proposes tokens that may follow. A wrong proposal costs time and nothing else: what is generated depends
    on the model alone. Called from the engine's thread only."""

    @property
    def name(self) -> str:
        """What a user calls this source."""
        ...

    @property
    def deepest(self) -> int:
        """The most tokens it proposes at once, 1 to 16."""
        ...

    def begin(self, tokens: Sequence[int], state: object) -> None:
        """A generation begins; `state` has seen the `tokens`. It may be one that this drafter has followed."""
        ...

    def learn(self, tokens: Sequence[int]) -> None:
        """The text goes on with these tokens, which the model may not have taken in yet. In order, each token
        of the text after those of `begin` once."""
        ...

    def follow(self, tokens: mx.array, hidden: mx.array) -> None:
        """The model took in tokens [n] of the text, which may still be pending, and made the hidden states
        [1, n, hidden] of them. In order, each token once; rejected drafts are not among them."""
        ...

    def skip(self, tokens: int) -> None:
        """The model took in so many tokens of the text whose hidden states will not be shown."""
        ...

    def settle(self) -> None:
        """The state is about to be kept, as it stands after what was followed."""
        ...

    def outlook(self) -> Hashable | None:
        """A class of situations in which drafts fare alike; None when there is nothing to propose. May be asked
        before the newest token is known."""
        ...

    def foreseen(self) -> int | None:
        """The token that it expects next, where that costs nothing to say: whether it comes tells how drafts
        fare without verifying any."""
        ...

    def propose(self, token: int, depth: int, sampler: Sampler) -> mx.array | None:
        """Up to `depth` tokens [n] after the newest one, `token`, which has been learned; None for none."""
        ...
