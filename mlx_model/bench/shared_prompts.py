"""States for a bench's generations that start from the same prompts again and again."""

from collections.abc import Sequence

from typing_extensions import override

from mlx_model.decode.language_model import StateKeeper
from mlx_model.model import Qwen3Next
from mlx_model.state.prefix_store import PrefixStore
from mlx_model.state.sequence import SequenceState

SNAPSHOT_BYTES = 1 << 30
"""Snapshots kept during the bench, in bytes: they hold its prompts'."""


class SharedPrompts(StateKeeper[SequenceState]):
    """A StateKeeper for generations that run side by side: a prompt is computed once, by the first of them."""

    def __init__(self, model: Qwen3Next) -> None:
        self._model = model
        self._store = PrefixStore(SNAPSHOT_BYTES)

    @override
    def begin(self, prompt: Sequence[int]) -> SequenceState:
        state = self._model.state()
        known = self._store.lookup(prompt)
        if known is not None:
            state.restore(known)
        return state

    @override
    def begin_further(self, prompt: Sequence[int], length: int) -> SequenceState | None:
        return None

    @override
    def snapshot(self, tokens: Sequence[int], state: SequenceState) -> None:
        self._store.store(tokens, state)

    @override
    def keep(self, tokens: Sequence[int], state: SequenceState) -> None:
        self.snapshot(tokens, state)

    @override
    def keep_interrupted(self, tokens: Sequence[int], state: SequenceState) -> None:
        pass  # no generation of a bench is cancelled
