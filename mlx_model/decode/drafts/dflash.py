"""Drafts by a DFlash drafter: a whole block in one pass of a small network (arXiv 2602.06036).

What the network knows of the conversation belongs to its state (see DraftContext): it is rolled back with it,
and its vectors are stored in the state's snapshots. The target's hidden states are always gathered, drafting or
not, which costs no operation, and go through the network's `fc` in blocks or when drafts are wanted. A
conversation that continues from a state made without this drafter starts with an empty context, which lowers
acceptance at first and has no other effect.
"""

from collections.abc import Sequence
from typing import Protocol

import mlx.core as mx
from typing_extensions import override

from mlx_model.decode.drafts.drafter import Drafter
from mlx_model.decode.sampling import Sampler
from mlx_model.decode.verify import DEEPEST
from mlx_model.layers.drafters.dflash import DFlash
from mlx_model.state.draft_context import DraftContext, WatchedLayers
from mlx_model.state.sequence import SequenceState

_GATHERED = 256
"""Tokens whose features are gathered before they go through the network: each has several hidden states."""
_REBUILT = 1024
"""Vectors of a restored context whose keys and values are computed at once."""


class EmbeddingModel(Protocol):
    """A target, whose embedding and head a drafter uses."""

    dflash: DFlash | None

    def embed(self, tokens: mx.array) -> mx.array:
        """[1, n] → [1, n, hidden]."""
        ...

    def head(self, hidden: mx.array) -> mx.array:
        """[..., hidden] → logits [..., vocabulary]."""
        ...


class DFlashDrafter(Drafter):
    """A Drafter. Each draft is sampled from the network's logits for its position, with the sampler's
    parameters and noise; that the drafts before it count as history is left out of account, for they are
    proposed at once."""

    name = "dflash"

    def __init__(self, model: EmbeddingModel) -> None:
        assert model.dflash is not None
        self._model = model
        self._network = model.dflash
        self._block = model.dflash.config.block_size
        self._watched = WatchedLayers(())
        self._context = DraftContext(self._network.name, 0)

    @property
    @override
    def deepest(self) -> int:
        return min(self._block - 1, DEEPEST)

    @override
    def begin(self, tokens: Sequence[int], state: object) -> None:
        assert isinstance(state, SequenceState)
        context = state.draft_context
        if context is None or context.drafter != self._network.name or context.length != len(tokens):
            context = DraftContext(self._network.name, len(tokens))
        if not context.kv:
            context.kv = self._network.buffers()
        if state.watched is None:
            state.watched = WatchedLayers(self._network.config.target_layer_ids)
        state.draft_context = self._context = context
        self._watched = state.watched

    @override
    def learn(self, tokens: Sequence[int]) -> None:
        pass  # a token is of use only with its hidden states

    @override
    def follow(self, tokens: mx.array, hidden: mx.array) -> None:
        self._gather(tokens.size)

    @override
    def skip(self, tokens: int) -> None:
        self._gather(tokens)

    def _gather(self, tokens: int) -> None:
        self._context.gather(self._watched.take(tokens))
        if self._context.gathered >= _GATHERED:
            self.settle()
            mx.async_eval(self._context.arrays())  # type: ignore[no-untyped-call]

    @override
    def settle(self) -> None:
        context = self._context
        if context.gathered:
            context.add(self._network.vectors(context.take()))
        vectors = context.without_keys()
        if vectors is None:
            return
        for start in range(0, vectors.shape[1], _REBUILT):
            position = context.first + context.kv[0].length
            self._network.extend(context.kv, vectors[:, start : start + _REBUILT], position)

    @override
    def outlook(self) -> int | None:
        """One class for all drafts, as soon as the context has a token."""
        return 0 if self._context.length > self._context.first else None

    @override
    def foreseen(self) -> None:
        return None  # it would cost a pass of the network

    @override
    def propose(self, token: int, depth: int, sampler: Sampler) -> mx.array | None:
        """The first `depth` of a whole block: the network was trained on whole ones."""
        self.settle()
        block = mx.array([[token] + [self._network.config.mask_token_id] * (self._block - 1)])
        hidden = self._network(self._model.embed(block), self._context.kv, self._context.length)
        drafts = sampler.choose(self._model.head(hidden[0, 1 : 1 + depth]))
        return drafts.astype(mx.uint32)
