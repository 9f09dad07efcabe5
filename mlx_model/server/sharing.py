"""Who computes next, where several requests are under way: the decision alone.

Work comes in pieces: a chunk of one prompt, or a step of all replies together. After each piece it is decided
anew, so that a short prompt waits for at most the chunk that runs when it arrives:

- Of several prompts, the one with the fewest tokens left goes first, but others pass the oldest by at most
  `passing` tokens between two of its chunks.
- Replies go on while prompts are processed: a chunk earns them steps by its length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

PASSING_TOKENS = 2048
"""Prompt tokens of others between two chunks of the oldest prompt: the largest chunk."""
TOKENS_A_STEP = 256
"""Prompt tokens that earn the replies one step. A guess at what takes about as long, which leaves the replies
half of the time at most; not measured on a Mac."""


@dataclass(frozen=True, slots=True)
class Row:
    """A request under way: prompt tokens `left` (0: it decodes), and those of its next `chunk`. `leaving`: its
    client is gone, so its next step only ends it."""

    left: int
    chunk: int = 0
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next chunk of this row's prompt."""

    row: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step of these rows' replies, together if there are several."""

    rows: tuple[int, ...]


class Sharing:
    """Decides for one sequence of pieces of work."""

    def __init__(self) -> None:
        self._passed = 0
        self._earned = 0

    def next(self, rows: Sequence[Row]) -> Chunk | Step:
        """The next piece of work of `rows`, in the order of their arrival, at least one; it is taken to be
        done."""
        replies = tuple(index for index, row in enumerate(rows) if not row.left)
        prompts = [index for index, row in enumerate(rows) if row.left]
        if not prompts or (replies and self._earned > 0):
            self._earned = max(0, self._earned - 1)
            return Step(replies)
        chosen = self._prompt(rows, prompts)
        tokens = rows[chosen].chunk
        self._passed = 0 if chosen == prompts[0] else self._passed + tokens
        # A reply begins at once when its prompt is complete.
        decoding = replies or tokens == rows[chosen].left
        self._earned = max(1, tokens // TOKENS_A_STEP) if decoding else 0
        return Chunk(chosen)

    def _prompt(self, rows: Sequence[Row], prompts: Sequence[int]) -> int:
        leaving = next((index for index in prompts if rows[index].leaving), None)
        if leaving is not None:
            return leaving
        shortest = min(prompts, key=lambda index: rows[index].left)
        return prompts[0] if self._passed >= PASSING_TOKENS else shortest
