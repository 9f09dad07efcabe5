"""Drafts by the multi-token-prediction layer, which looks at the model's hidden states.

Its keys and values cover pairs (hidden state of token t, token t + 1). They are filled as the model takes
tokens in, chunk by chunk in a long prefill, else when drafts are next wanted: one pass over all that has
gathered. Where a conversation goes on from the state of the last generation, so does the layer. Where it goes
on from a stored snapshot, which has no hidden states, the layer begins anew there: it looks at what came since,
which costs acceptance at first and nothing else. Rotary positions are relative: it may count from anywhere.
"""

import weakref
from collections.abc import Sequence
from typing import Protocol

import mlx.core as mx

from mlx_model.decode.sampling import Sampler
from mlx_model.layers.mtp import MultiTokenPrediction
from mlx_model.state.kv import KVBuffer

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
        self._state: weakref.ref[object] | None = None
        self._kv = model.mtp_kv()
        self._seen = 0
        self._first = 0
        self._last: mx.array | None = None
        self._ahead = False
        self._tokens: list[mx.array] = []
        self._hidden: list[mx.array] = []
        self._gathered = 0

    def begin(self, tokens: Sequence[int], state: object) -> None:
        """Goes on if it has followed this very state, which may have been taken back since."""
        followed = self._state is not None and self._state() is state
        self._state = weakref.ref(state)
        if followed and self._seen == len(tokens):
            return
        if self._tokens and followed:
            mx.async_eval(self._take_in())  # type: ignore[no-untyped-call]
        pairs = len(tokens) - self._first - 1
        if followed and len(tokens) < self._seen and pairs > 0:
            # The state was taken back. The hidden state of its last token is gone: one pair will be missing.
            self._kv.truncate(min(pairs, self._kv.length))
            self._first += 1
        else:
            self._kv, self._first = self._model.mtp_kv(), len(tokens)
            self._tokens, self._hidden, self._gathered = [], [], 0
        self._last, self._ahead, self._seen = None, False, len(tokens)

    def learn(self, tokens: Sequence[int]) -> None:
        """Only what the model has taken in counts."""

    def follow(self, tokens: mx.array, hidden: mx.array) -> None:
        """Gathers the pairs that these complete."""
        # The pair of the newest token may have been needed, and taken in, before the model took in the token.
        before, first = hidden[:, :-1], 1
        if self._last is not None and not self._ahead:
            before, first = mx.concatenate([self._last, before], axis=1), 0
        if tokens.size > first:
            self._tokens.append(tokens[first:])
            self._hidden.append(before)
            self._gathered += tokens.size - first
        # A copy: a view would keep the states of the whole block alive.
        self._last = mx.contiguous(hidden[:, -1:])
        self._ahead = False
        self._seen += tokens.size
        if self._gathered >= _GATHERED:
            mx.async_eval(self._take_in())  # type: ignore[no-untyped-call]

    def outlook(self) -> int | None:
        """One class: there is always something to propose once a token has been followed."""
        return None if self._last is None else 0

    def propose(self, token: int, depth: int, sampler: Sampler) -> mx.array | None:
        """A chain of up to four tokens, each from the layer's own state for the one before."""
        if self._last is None:
            return None
        assert not self._ahead, "one proposal for each newest token"
        self._tokens.append(mx.array([token]))
        self._hidden.append(self._last)
        self._gathered += 1
        self._ahead = True
        state = self._take_in()
        known = self._kv.length
        drafts = mx.zeros((0,), dtype=mx.uint32)
        for place in range(depth):
            if place:
                state = self._layer(self._model.embed(drafts[None, -1:]), state, self._kv)
            chosen = sampler.choose(self._model.head(state[:, -1]), drafts, place)
            drafts = mx.concatenate([drafts, chosen.astype(mx.uint32)])
        self._kv.truncate(known)
        return drafts

    def _take_in(self) -> mx.array:
        """Runs the layer over what has gathered; its state [1, 1, hidden] for the newest pair."""
        tokens, hidden = mx.concatenate(self._tokens), mx.concatenate(self._hidden, axis=1)
        self._tokens, self._hidden, self._gathered = [], [], 0
        return self._layer(self._model.embed(tokens[None]), hidden, self._kv)[:, -1:]
