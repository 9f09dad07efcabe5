"""Where a generation's state comes from and where it stays: the prefix store, for Qwen3-Next."""

from collections.abc import Sequence

from mlx_model.model import Qwen3Next
from mlx_model.state.prefix_store import PrefixStore
from mlx_model.state.sequence import SequenceState


class StoredStates:
    """A StateKeeper over a prefix store. The state of the last generation is at hand besides, so that a
    conversation that goes on copies nothing out of the store."""

    def __init__(self, model: Qwen3Next, store: PrefixStore) -> None:
        self._model = model
        self._store = store
        self._last: tuple[Sequence[int], SequenceState] | None = None

    def begin(self, prompt: Sequence[int]) -> SequenceState:
        """The state after the longest prefix of the prompt that is known."""
        # Let go first: when it is of no use, its memory is needed for another.
        last, self._last = self._last, None
        if last is not None and not _goes_on(prompt, *last):
            last = None
        known = self._store.lookup(prompt, beyond=last[1].length if last else 0)
        if known is None and last is not None:
            return last[1]
        del last
        state = self._model.state()
        if known is not None:
            state.restore(known)
        return state

    def keep(self, tokens: Sequence[int], state: SequenceState) -> None:
        """Copies what the store lacks out of the state."""
        self._store.store(tokens, state)
        self._last = tokens, state


def _goes_on(prompt: Sequence[int], tokens: Sequence[int], state: SequenceState) -> bool:
    """Whether the prompt goes on from `tokens`, and the state has seen just these: a generation that failed may
    have left it anywhere."""
    size = len(tokens)
    seen = state.whole and state.length == size < len(prompt)
    return seen and tuple(prompt[:size]) == tuple(tokens)
