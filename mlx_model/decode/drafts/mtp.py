"""Drafts by the multi-token-prediction layer, which looks at the model's hidden states.

What it remembers belongs to the conversation's state (see PairMemory), is taken back with it and kept in its
snapshots. It is filled as the model takes tokens in, chunk by chunk in a long prefill, else when drafts are
next wanted: one pass over all that has gathered. Where a conversation goes on from a state that was made
without the layer, it begins anew: it looks at what came since, which costs acceptance at first and nothing
else. Rotary positions are relative: it may count from anywhere.
"""

from collections.abc import Sequence
from typing import Protocol

import mlx.core as mx

from mlx_model.decode.sampling import Sampler
from mlx_model.layers.mtp import MultiTokenPrediction
from mlx_model.state.kv import KVBuffer
from mlx_model.state.pairs import PairMemory
from mlx_model.state.sequence import SequenceState

# Pairs that may gather before they are taken in: each holds on to a hidden state.
_GATHERED = 256


class PredictingModel(Protocol):
    """A model with an MTP layer."""

    mtp: MultiTokenPrediction | None

    def embed(self, tokens: mx.array) -> mx.array:
        """[1, n] → [1, n, hidden]."""
        ...

    def head(self, hidden: mx.array) -> mx.array:
        """Logits from hidden states."""
        ...

    def mtp_kv(self) -> KVBuffer:
        """An empty buffer for the layer's keys and values."""
        ...


class MtpDrafter:
    """See Drafter. Drafts are sampled as the model's own tokens are, with the same noise, from what the layer
    predicts; greedy ones are its best guesses."""

    name = "mtp"
    deepest = 4

    def __init__(self, model: PredictingModel) -> None:
        assert model.mtp is not None
        self._model = model
        self._layer = model.mtp
        self._pairs = PairMemory(model.mtp_kv(), 0)

    def begin(self, tokens: Sequence[int], state: object) -> None:
        """Goes on where the state's pairs end."""
        assert isinstance(state, SequenceState)
        if state.pairs is None or state.pairs.length != len(tokens):
            state.pairs = PairMemory(self._model.mtp_kv(), len(tokens))
        self._pairs = state.pairs

    def learn(self, tokens: Sequence[int]) -> None:
        """Only what the model has taken in counts."""

    def follow(self, tokens: mx.array, hidden: mx.array) -> None:
        """Gathers the pairs that these complete."""
        self._pairs.follow(tokens, hidden)
        if self._pairs.gathered >= _GATHERED:
            mx.async_eval(self._take_in())  # type: ignore[no-untyped-call]

    def skip(self, tokens: int) -> None:
        """Their pairs will be missing."""
        self._pairs.skip(tokens)

    def settle(self) -> None:
        """Takes in what has gathered."""
        if self._pairs.gathered:
            self._take_in()

    def outlook(self) -> int | None:
        """One class: there is always something to propose once a token has been followed."""
        return None if self._pairs.last is None else 0

    def foreseen(self) -> None:
        """That takes a pass of the layer."""

    def propose(self, token: int, depth: int, sampler: Sampler) -> mx.array | None:
        """A chain of up to four tokens, each from the layer's own state for the one before."""
        if self._pairs.last is None:
            return None
        self._pairs.look_ahead(token)
        state, kv = self._take_in(), self._pairs.kv
        known = kv.length
        drafts = mx.zeros((0,), dtype=mx.uint32)
        for place in range(depth):
            if place:
                state = self._layer(self._model.embed(drafts[None, -1:]), state, kv)
            chosen = sampler.choose(self._model.head(state[:, -1]), drafts, place)
            drafts = mx.concatenate([drafts, chosen.astype(mx.uint32)])
        kv.truncate(known)
        return drafts

    def _take_in(self) -> mx.array:
        """Runs the layer over what has gathered; its state [1, 1, hidden] for the newest pair."""
        tokens, hidden = self._pairs.take()
        return self._layer(self._model.embed(tokens[None]), hidden, self._pairs.kv)[:, -1:]
