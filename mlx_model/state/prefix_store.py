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
    array_bytes,
    as_tokens,
    prefix_digests,
)
from mlx_model.state.prefix_tree import PrefixTree

# What may always be copied to be written, however little memory keeps.
_PIECE_BYTES = 1 << 28


class DurableTier(Protocol):
    """Snapshots that outlive the process. Nothing here raises for what a disk may do: a failure is a miss."""

    def positions(self, limit: int) -> Sequence[int]:
        """The positions up to `limit` at which there is a whole snapshot, ascending."""
        ...

    def __contains__(self, digest: bytes) -> bool:
        """Whether a whole snapshot of this prefix is believed to be here."""
        ...

    def waiting(self, digest: bytes) -> Sequence[Segment]:
        """The segments of a snapshot that is not yet written, from where what is written ends."""
        ...

    def load(self, digest: bytes, held: Callable[[bytes], Sequence[Segment]]) -> PrefixState | None:
        """Read a snapshot, but for the segments that `held` gives for a prefix; None when it cannot be read."""
        ...

    def touch(self, state: PrefixState) -> None:
        """The snapshot was used."""
        ...

    def save(self, state: PrefixState) -> None:
        """Write what is missing of it, in the background. It may begin where another snapshot here ends."""
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
    length at which any snapshot lies, never a walk through the store. `adapter`, of both methods: see
    prefix_digests.
    """

    def __init__(self, budget_bytes: int, durable: DurableTier | None = None) -> None:
        self._budget = budget_bytes
        self._tree = PrefixTree(budget_bytes)
        self._durable = durable

    @property
    def memory_bytes(self) -> int:
        """Bytes held in memory by snapshots."""
        return self._tree.nbytes

    def lookup(
        self, prompt: Sequence[int] | Tokens, beyond: int = 0, *, adapter: bytes = b""
    ) -> PrefixState | None:
        """The deepest known state of a proper prefix of the prompt: at least one token is left to compute,
        because logits are not kept. None unless it has seen more than `beyond` tokens."""
        tokens = _tokens(prompt)
        limit = len(tokens) - 1
        positions = self._positions(limit)
        positions = positions[bisect_right(positions, beyond) :]
        for digest in reversed(prefix_digests(tokens, positions, adapter)):
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

    def store(self, prefix: Sequence[int] | Tokens, source: StateSource, *, adapter: bytes = b"") -> None:
        """Keep the state of `source`, which has seen exactly the tokens of `prefix`, at least one. Only what no
        shallower snapshot holds is copied out of it.

        What begins on disk, or is too large for memory by itself, goes to disk alone. It is not kept where that
        is impossible, or where the deepest known prefix is further back than what memory may hold."""
        tokens = _tokens(prefix)
        length = len(tokens)
        if length == 0:
            raise ValueError("a snapshot needs at least one token")
        before = self._positions(length - 1)
        digests = prefix_digests(tokens, [*before, length], adapter)
        digest = digests[-1]
        if digest in self._tree:
            self._tree.get(digest)
            return
        if self._durable is not None and digest in self._durable:
            return
        token_bytes = array_bytes(source.segment(length - 1, length))
        recurrent = source.recurrent()
        fits = self._tree.fits(length * token_bytes + array_bytes(recurrent))
        segments = self._tree.chain(digest)
        if not segments:
            start, parent, known = self._deepest(before, digests)
            piece = (length - start) * token_bytes
            if not fits and (self._durable is None or piece > max(self._budget, _PIECE_BYTES)):
                return
            segments = (*known, Segment(digest, parent, length, source.segment(start, length)))
        state = PrefixState(segments, recurrent)
        if segments[0].parent == ROOT:
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

    def _deepest(
        self, positions: Sequence[int], digests: Sequence[bytes]
    ) -> tuple[int, bytes, Sequence[Segment]]:
        """The deepest of these prefixes that is here: its position, its digest, and its segments, from token 0
        or from where what is written on disk ends."""
        for position, digest in zip(reversed(positions), reversed(digests[: len(positions)]), strict=True):
            segments = self._tree.chain(digest)
            if segments:
                return position, digest, segments
            if self._durable is not None and digest in self._durable:
                return position, digest, self._durable.waiting(digest)
        return 0, ROOT, ()

    def _positions(self, limit: int) -> list[int]:
        if limit < 1:
            return []
        durable = self._durable.positions(limit) if self._durable is not None else ()
        return sorted({*self._tree.positions(limit), *durable})


def _tokens(tokens: Sequence[int] | Tokens) -> Tokens:
    return as_tokens(tokens) if isinstance(tokens, Sequence) else tokens
