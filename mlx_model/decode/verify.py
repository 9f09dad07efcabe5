"""Verifying drafts: one pass of the model over a token and what was proposed to follow it.

The model's own choice is made at every position of the block, with the noise that plain decoding would have
used there (see sampling). A draft is accepted where it is that choice; at the first difference the choice
itself is the next token. So every token is drawn from exactly the distribution of plain sampling, given all
tokens before it, whatever was proposed: for proposals that are certain (lookup, greedy) this is rejection
sampling, which accepts x with probability p(x); for sampled ones it is its variant with shared noise (arXiv
2408.07978), under which even the reply itself is the one that plain decoding gives for the same seed. The price
of that: where drafter and model are at a total variation distance d, a sampled draft is accepted with a
probability of at least (1 - d) / (1 + d), while at best it could be 1 - d.

All this rests on logits that do not depend on how many tokens go in at once. On CPUs they are the same; where
kernels round otherwise for another width, the choice between two almost equally likely tokens may turn.
"""

from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

import mlx.core as mx

from mlx_model.decode.language_model import LanguageModel, State
from mlx_model.decode.sampling import Sampler

DEEPEST = 16
"""The most drafts that one pass verifies."""


class ReplayableState(State, Protocol):
    """A state that can be cut back within its last block."""

    def record(self, on: bool) -> None:
        """Whether the next block is kept so that `keep` can cut it."""
        ...

    def keep(self, tokens: int) -> None:
        """Only the first `tokens` of the last, recorded block shall have happened."""
        ...


ReplayableT = TypeVar("ReplayableT", bound=ReplayableState)


class VerifyingModel(LanguageModel[ReplayableT], Protocol[ReplayableT]):
    """A model whose hidden states drafters can follow, and whose state can be cut back."""

    def hidden(self, tokens: mx.array, state: ReplayableT) -> mx.array:
        """[1, n, hidden] from tokens [1, n]; `state` moves on by them."""
        ...

    def head(self, hidden: mx.array) -> mx.array:
        """Logits [..., vocabulary] from hidden states [..., hidden]."""
        ...


@dataclass(frozen=True, slots=True)
class Verified:
    """`accepted` drafts, and the token that the model chose after them, which it has not taken in. The state
    has taken in the whole block and waits for `keep`; hidden [1, block, hidden] and logits [block, vocabulary]
    are those of the block."""

    accepted: tuple[int, ...]
    following: int
    hidden: mx.array
    logits: mx.array


def verify(
    model: VerifyingModel[ReplayableT],
    state: ReplayableT,
    sampler: Sampler,
    token: int,
    drafts: mx.array,
    *,
    allowed: mx.array | None = None,
) -> Verified:
    """Takes in `token` and drafts [n]; `allowed` [n + 1, vocabulary] as for Sampler.choose. The sampler has not
    taken anything yet; the caller decides how many of the accepted drafts happened, and tells sampler (`take`)
    and state (`keep`, the token included)."""
    assert 1 <= drafts.size <= DEEPEST
    state.record(True)
    block = mx.concatenate([mx.array([token], dtype=drafts.dtype), drafts])
    hidden = model.hidden(block[None], state)
    state.record(False)
    logits = model.head(hidden)[0]
    chosen = sampler.choose(logits, drafts, allowed=allowed)
    count = accepted_count(chosen, drafts)
    mx.eval(chosen, count)
    taken = cast(list[int], chosen.tolist())
    accepted = cast(int, count.item())
    return Verified(tuple(taken[:accepted]), taken[accepted], hidden, logits)


def accepted_count(chosen: mx.array, drafts: mx.array) -> mx.array:
    """How many of drafts [..., n] come before the first that differs from the model's own choices
    [..., n + 1]."""
    return mx.cumprod((chosen[..., :-1] == drafts).astype(mx.int32), axis=-1).sum(axis=-1)
