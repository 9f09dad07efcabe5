"""Drafts by the multi-token-prediction (MTP) layer, which reads the model's hidden states.

The layer's keys and values belong to the conversation's state (see PairMemory): they are rolled back with it
and stored in its snapshots. Pairs are collected while the model processes tokens and run through the layer in
one pass, per chunk of a long prefill or when drafts are next wanted. A conversation that continues from a state
made without the layer starts with an empty cache, which lowers acceptance at first and has no other effect:
rotary positions are relative, so they may count from anywhere.
"""

from collections.abc import Sequence
from typing import Protocol, cast

import mlx.core as mx
from typing_extensions import override

from mlx_model.decode.drafts.drafter import Drafter
from mlx_model.decode.drafts.lookup import SHORTEST, LookupDrafter
from mlx_model.decode.sampling import Sampler
from mlx_model.decode.verify import DEEPEST
from mlx_model.layers.decoder import FEW_TOKENS
from mlx_model.layers.drafters.mtp import MultiTokenPrediction
from mlx_model.state.kv import KVBuffer
from mlx_model.state.pairs import PairMemory
from mlx_model.state.sequence import SequenceState

_LONG_MATCH = 8
"""Tokens of a match of lookup from which on it counts as long."""
_GATHERED = 256
"""Pairs collected before they are run through the layer: each keeps a hidden state in memory."""


class PredictingModel(Protocol):
    """A model with an MTP layer."""

    mtp: MultiTokenPrediction | None
    compiles: bool
    """Whether graphs over a few tokens are compiled."""

    def embed(self, tokens: mx.array) -> mx.array:
        """[1, n] → [1, n, hidden]."""
        ...

    def head(self, hidden: mx.array) -> mx.array:
        """[..., hidden] → logits [..., vocabulary]."""
        ...

    def mtp_kv(self) -> KVBuffer:
        """An empty buffer for the layer's keys and values."""
        ...


class MtpDrafter(Drafter):
    """A Drafter. Drafts are sampled from the layer's logits with the sampler's parameters and noise, as the
    model's own tokens are."""

    name = "mtp"

    def __init__(self, model: PredictingModel, deepest: int = 3, lookup: LookupDrafter | None = None) -> None:
        """By default four tokens are verified at once, the newest one included: with eight query heads a key
        head, the most that MLX's attention kernel for few queries takes (see Controller). `lookup`: goes on
        behind the first draft where it finds that in the text, which costs nothing; somebody else has it
        learn."""
        assert model.mtp is not None
        self._deepest = deepest
        self._lookup = lookup
        self._model = model
        self._pairs = PairMemory(model.mtp_kv(), 0)

    @property
    @override
    def deepest(self) -> int:
        return self._deepest if self._lookup is None else DEEPEST

    @property
    def _layer(self) -> MultiTokenPrediction:
        """The model's at present: an adapter may bring its own."""
        assert self._model.mtp is not None
        return self._model.mtp

    @override
    def begin(self, tokens: Sequence[int], state: object) -> None:
        assert isinstance(state, SequenceState)
        if state.pairs is None or state.pairs.length != len(tokens):
            state.pairs = PairMemory(self._model.mtp_kv(), len(tokens))
        self._pairs = state.pairs

    @override
    def learn(self, tokens: Sequence[int]) -> None:
        pass  # a token is of use only with its hidden state

    @override
    def follow(self, tokens: mx.array, hidden: mx.array) -> None:
        self._pairs.follow(tokens, hidden)
        if self._pairs.gathered >= _GATHERED:
            mx.async_eval(self._take_in())  # type: ignore[no-untyped-call]

    @override
    def skip(self, tokens: int) -> None:
        self._pairs.skip(tokens)

    @override
    def settle(self) -> None:
        if self._pairs.gathered:
            self._take_in()

    @override
    def outlook(self) -> int | None:
        """One class for all drafts, as soon as one token has been followed; three where they may go on by
        lookup: behind no match of it, a short and a long one."""
        if self._pairs.last is None:
            return None
        matched = 0 if self._lookup is None else self._lookup.matched
        return (matched >= SHORTEST) + (matched >= _LONG_MATCH)

    @override
    def foreseen(self) -> None:
        return None  # it would cost a pass of the layer

    @override
    def propose(self, token: int, depth: int, sampler: Sampler) -> mx.array | None:
        """A chain: each draft comes from the layer's own state for the one before."""
        if self._pairs.last is None:
            return None
        self._pairs.look_ahead(token)
        state, kv = self._take_in(), self._pairs.kv
        known = kv.length
        drafts = mx.zeros((0,), dtype=mx.uint32)
        for position in range(depth if self._lookup is None else min(depth, self._deepest)):
            if position == 1 and self._lookup is not None:
                first = cast(int, drafts.item())
                found = self._lookup.behind(first, depth - 1)
                if found:
                    kv.truncate(known)
                    return mx.array([first, *found])
            if position:
                state = self._run(self._model.embed(drafts[None, -1:]), state)
            chosen = sampler.choose(self._model.head(state[:, -1]), drafts, position)
            drafts = mx.concatenate([drafts, chosen.astype(mx.uint32)])
        kv.truncate(known)
        # Computed while the graph of the pass that verifies them is built.
        mx.async_eval(drafts)  # type: ignore[no-untyped-call]
        return drafts

    def _take_in(self) -> mx.array:
        """Runs the layer over the collected pairs; its state [1, 1, hidden] for the newest one."""
        tokens, hidden = self._pairs.take()
        return self._run(self._model.embed(tokens[None]), hidden)[:, -1:]

    def _run(self, embeddings: mx.array, hidden: mx.array) -> mx.array:
        """The layer over pairs, as of MultiTokenPrediction."""
        compiles = self._model.compiles and embeddings.shape[1] <= FEW_TOKENS
        run = self._layer.step if compiles else self._layer
        return run(embeddings, hidden, self._pairs.kv)
