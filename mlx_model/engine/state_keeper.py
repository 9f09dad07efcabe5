"""The StateKeeper of Qwen3-Next: states come from the prefix store and go back to it."""

from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from mlx_model.decode.language_model import StateKeeper
from mlx_model.model import Qwen3Next
from mlx_model.state.prefix_state import Tokens, as_tokens
from mlx_model.state.prefix_store import PrefixStore
from mlx_model.state.sequence import SequenceState

_UNREAD = 4
"""Tokens that a generation may run on after its client disconnected: one in flight, and some in the sockets."""


class StoredStates(StateKeeper[SequenceState]):
    """A StateKeeper over a prefix store. It also keeps the state of the last generation itself, so that a
    conversation that continues copies nothing out of the store. Generations
    under way have their states to themselves."""

    def __init__(self, model: Qwen3Next, store: PrefixStore) -> None:
        self._model = model
        self._store = store
        self._adapter = b""
        self._last: tuple[Tokens, SequenceState] | None = None

    def computed_under(self, adapter: bytes) -> None:
        """From now on states are computed under the adapter with this key, empty for none; those of others are
        neither given nor replaced. Called only while no generation is under way."""
        self._adapter, self._last = adapter, None

    @override
    def begin(self, prompt: Sequence[int]) -> SequenceState:
        # Dropped first: if it is of no use, its memory is needed for another.
        last, self._last = self._last, None
        tokens = as_tokens(prompt)
        shared = _shared(tokens, *last) if last is not None else 0
        known = self._store.lookup(tokens, beyond=shared, adapter=self._adapter)
        if known is None and last is not None and shared:
            last[1].roll_back(shared)
            return last[1]
        del last
        state = self._model.state()
        if known is not None:
            state.restore(known)
        return state

    @override
    def begin_further(self, prompt: Sequence[int], length: int) -> SequenceState | None:
        known = self._store.lookup(as_tokens(prompt), beyond=length, adapter=self._adapter)
        if known is None:
            return None
        state = self._model.state()
        state.restore(known)
        return state

    @property
    def held_bytes(self) -> int:
        """Bytes of the state of the last generation that ended. `begin` reuses or drops it, so the next
        generation has them."""
        return 0 if self._last is None else self._last[1].nbytes

    @override
    def snapshot(self, tokens: Sequence[int], state: SequenceState) -> None:
        self._store.store(as_tokens(tokens), state, adapter=self._adapter)

    @override
    def keep(self, tokens: Sequence[int], state: SequenceState) -> None:
        seen = as_tokens(tokens)
        self._store.store(seen, state, adapter=self._adapter)
        self._last = seen, state

    @override
    def keep_interrupted(self, tokens: Sequence[int], state: SequenceState) -> None:
        """Rolls the state back some tokens first, to a prefix that the client has received."""
        length = state.rollback_length(len(tokens) - _UNREAD)
        if length:
            state.roll_back(length)
        self.keep(tokens[: length or len(tokens)], state)


def _shared(prompt: Tokens, tokens: Tokens, state: SequenceState) -> int:
    """The longest proper prefix of the prompt, in tokens, that a state can be rolled back to; it has seen
    `tokens`, and perhaps more since. 0 where a generation failed midway."""
    if not state.whole:
        return 0
    size = min(len(prompt) - 1, len(tokens))
    different = np.flatnonzero(prompt[:size] != tokens[:size])
    return state.rollback_length(int(different[0]) if different.size else size)
