"""Where a generation's state comes from and where it stays: the prefix store, for Qwen3-Next."""

from collections.abc import Sequence

from mlx_model.model import Qwen3Next
from mlx_model.state.prefix_store import PrefixStore
from mlx_model.state.sequence import SequenceState


class StoredStates:
    """A StateKeeper over a prefix store."""

    def __init__(self, model: Qwen3Next, store: PrefixStore) -> None:
        self._model = model
        self._store = store

    def begin(self, prompt: Sequence[int]) -> SequenceState:
        """The state after the longest prefix of the prompt that the store knows."""
        state = self._model.state()
        known = self._store.lookup(prompt)
        if known is not None:
            state.restore(known)
        return state

    def keep(self, tokens: Sequence[int], state: SequenceState) -> None:
        """Copies what the store lacks out of the state."""
        self._store.store(tokens, state)
