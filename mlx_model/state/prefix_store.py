"""Finding the longest prefix whose state is known, in memory or on disk, and keeping new states in both."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Protocol

from mlx_model.state.prefix_state import (
    ROOT,
    PrefixState,
    Segment,
    StateSource,
    Tokens,
    as_tokens,
    prefix_digests,
)
from mlx_model.state.prefix_tree import PrefixTree


class DurableTier(Protocol):
    """Snapshots that outlive the process. Nothing here raises for what a disk may do: a failure is a miss."""

    def positions(self, limit: int) -> Sequence[int]:
        """The positions up to `limit` at which there is a whole snapshot, ascending."""
        ...

    def __contains__(self, digest: bytes) -> bool:
        """Whether a whole snapshot of this prefix is believed to be here."""
        ...

    def load(self, digest: bytes, held: Callable[[bytes], Sequence[Segment]]) -> PrefixState | None:
        """Read a snapshot, but for the segments that `held` gives for a prefix; None when it cannot be read."""
        ...

    def touch(self, state: PrefixState) -> None:
        """The snapshot was used."""
        ...

    def save(self, state: PrefixState) -> None:
        """Write what is missing of it, in the background."""
        ...

    def flush(self) -> None:
        """Wait until everything saved so far is written."""
        ...

    def close(self) -> None:
        """Finish writing."""
        ...


class PrefixStore:
    """The states of past prefixes. Used from the engine's thread only.

    Finding a prefix costs one hash over the prompt and one small step for each distinct position up to its
    length at which any snapshot lies, never a walk through the store.
    """

    def __init__(self, budget_bytes: int, durable: DurableTier | None = None) -> None:
        self._tree = PrefixTree(budget_bytes)
        self._durable = durable

    @property
    def memory_bytes(self) -> int:
        """Bytes held in memory by snapshots."""
        return self._tree.nbytes

    def lookup(self, prompt: Sequence[int] | Tokens, beyond: int = 0) -> PrefixState | None:
        """The deepest known state of a proper prefix of the prompt: at least one token is left to compute,
        because logits are not kept. None unless it has seen more than `beyond` tokens."""
        tokens = _tokens(prompt)
        limit = len(tokens) - 1
        positions = self._positions(limit)
        positions = positions[bisect_right(positions, beyond) :]
        for digest in reversed(prefix_digests(tokens, positions)):
            if digest in self._tree:
                state = self._tree.get(digest)
                if self._durable is not None and digest in self._durable:
                    self._durable.touch(state)
                elif self._durable is not None:
                    self._durable.save(state)
                return state
            if self._durable is not None and digest in self._durable:
                read = self._durable.load(digest, self._tree.chain)
                if read is not None:
                    self._tree.insert(read)
                    return read
        return None

    def store(self, prefix: Sequence[int] | Tokens, source: StateSource) -> None:
        """Keep the state of `source`, which has seen exactly the tokens of `prefix`, at least one. Only what no
        shallower snapshot holds is copied out of it."""
        tokens = _tokens(prefix)
        if len(tokens) == 0:
            raise ValueError("a snapshot needs at least one token")
        positions = [*self._tree.positions(len(tokens) - 1), len(tokens)]
        digests = prefix_digests(tokens, positions)
        digest = digests[-1]
        if digest in self._tree:
            self._tree.get(digest)
            return
        segments = self._tree.chain(digest)
        if not segments:
            start, parent = 0, ROOT
            for position, candidate in zip(reversed(positions[:-1]), reversed(digests[:-1]), strict=True):
                if self._tree.has_segment(candidate):
                    start, parent = position, candidate
                    segments = self._tree.chain(candidate)
                    break
            segments = (*segments, Segment(digest, parent, len(tokens), source.segment(start, len(tokens))))
        state = PrefixState(segments, source.recurrent())
        self._tree.insert(state)
        if self._durable is not None:
            self._durable.save(state)

    def shrink(self, budget_bytes: int) -> None:
        """Give memory back now, down to `budget_bytes`; the budget itself stays."""
        self._tree.shrink(budget_bytes)

    def flush(self) -> None:
        """Wait until everything kept so far is on disk. Safe from any thread."""
        if self._durable is not None:
            self._durable.flush()

    def close(self) -> None:
        """Finish writing to disk."""
        if self._durable is not None:
            self._durable.close()

    def _positions(self, limit: int) -> list[int]:
        if limit < 1:
            return []
        durable = self._durable.positions(limit) if self._durable is not None else ()
        return sorted({*self._tree.positions(limit), *durable})


def _tokens(tokens: Sequence[int] | Tokens) -> Tokens:
    return as_tokens(tokens) if isinstance(tokens, Sequence) else tokens
