"""Where a generation's state comes from and where it stays: the prefix store, for Qwen3-Next."""

from collections.abc import Sequence

import numpy as np

from mlx_model.model import Qwen3Next
from mlx_model.state.prefix_state import Tokens, as_tokens
from mlx_model.state.prefix_store import PrefixStore
from mlx_model.state.sequence import SequenceState

_UNREAD = 4
"""Tokens that a generation may run on after its reader broke it off."""


class StoredStates:
    """A StateKeeper over a prefix store. The state of the last generation is at hand besides, so that a
    conversation that goes on copies nothing out of the store."""

    def __init__(self, model: Qwen3Next, store: PrefixStore) -> None:
        self._model = model
        self._store = store
        self._last: tuple[Tokens, SequenceState] | None = None

    def begin(self, prompt: Sequence[int]) -> SequenceState:
        """The state after the longest prefix of the prompt that is known."""
        # Let go first: when it is of no use, its memory is needed for another.
        last, self._last = self._last, None
        tokens = as_tokens(prompt)
        shared = _shared(tokens, *last) if last is not None else 0
        known = self._store.lookup(tokens, beyond=shared)
        if known is None and last is not None and shared:
            last[1].rewind(shared)
            return last[1]
        del last
        state = self._model.state()
        if known is not None:
            state.restore(known)
        return state

    @property
    def held_bytes(self) -> int:
        """Bytes of what is at hand. `begin` goes on from it or lets it go, so the next generation has them."""
        return 0 if self._last is None else self._last[1].nbytes

    def keep(self, tokens: Sequence[int], state: SequenceState) -> None:
        """Copies what the store lacks out of the state."""
        seen = as_tokens(tokens)
        self._store.store(seen, state)
        self._last = seen, state

    def keep_broken_off(self, tokens: Sequence[int], state: SequenceState) -> None:
        """Keeps the state as it was a few tokens ago, which is where the conversation will go on from."""
        length = state.held(len(tokens) - _UNREAD)
        if length:
            state.rewind(length)
        self.keep(tokens[: length or len(tokens)], state)


def _shared(prompt: Tokens, tokens: Tokens, state: SequenceState) -> int:
    """How much of the prompt, at least its last token excepted, a state has seen that saw `tokens` and perhaps
    more: the longest prefix that it can still be taken back to. 0 where a generation failed midway."""
    if not state.whole:
        return 0
    size = min(len(prompt) - 1, len(tokens))
    different = np.flatnonzero(prompt[:size] != tokens[:size])
    return state.held(int(different[0]) if different.size else size)
