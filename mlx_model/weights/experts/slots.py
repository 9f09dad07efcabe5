"""Which experts of a layer are in which slot, and which is evicted for another: bookkeeping without any data.

The least frequently used expert is evicted first; frequencies decay, so that old uses fade.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_HALF_LIFE = 1024
"""Tokens after which a use counts half."""
_CHUNK_COUNTS_AS = 32
"""The most tokens that a chunk of a prompt counts as, so that one unusual prompt does not evict everything."""

Frequencies = NDArray[np.float64]
Experts = NDArray[np.intp]


class ExpertSlots:
    """`slot_of` [experts]: each expert's slot, -1 for none; `expert_in` [slots]: each slot's expert, -1 for
    none; `frequencies` [experts]: decayed share of tokens routed to each."""

    def __init__(self, experts: int, slots: int, frequencies: Frequencies | None = None) -> None:
        self.slot_of: Experts = np.full(experts, -1, dtype=np.intp)
        self.expert_in: Experts = np.full(slots, -1, dtype=np.intp)
        self.frequencies = np.zeros(experts) if frequencies is None else frequencies.copy()

    def note(self, needed: Experts, counts: NDArray[np.intp], tokens: int) -> None:
        """Counts `tokens` routed tokens, `counts` of them to each expert of `needed`."""
        kept = 0.5 ** (min(tokens, _CHUNK_COUNTS_AS) / _HALF_LIFE)
        self.frequencies *= kept
        self.frequencies[needed] += (1 - kept) * counts / tokens

    def coldest(self, count: int, keep: Experts) -> Experts:
        """Up to `count` slots to fill: empty ones first, then those of the least used experts outside
        `keep`."""
        worth = np.where(self.expert_in < 0, -1.0, self.frequencies[self.expert_in])
        candidates = np.flatnonzero(~np.isin(self.expert_in, keep) | (self.expert_in < 0))
        return candidates[np.argsort(worth[candidates], kind="stable")][:count]

    def empty(self, slots: Experts) -> None:
        """Marks slots as empty."""
        held = self.expert_in[slots]
        self.slot_of[held[held >= 0]] = -1
        self.expert_in[slots] = -1

    def fill(self, slot: int, expert: int) -> None:
        """Marks the slot as holding the expert."""
        self.expert_in[slot] = expert
        self.slot_of[expert] = slot

    def hottest(self, count: int) -> Experts:
        """The slots of the most used experts in memory, at most `count`, ascending."""
        held = np.flatnonzero(self.expert_in >= 0)
        by_worth = held[np.argsort(-self.frequencies[self.expert_in[held]], kind="stable")]
        return np.sort(by_worth[:count])

    def favourites(self) -> Sequence[int]:
        """The most used experts, most used first; at most as many as there are slots, none that was never
        used."""
        best = np.argsort(-self.frequencies, kind="stable")[: self.expert_in.size]
        return [int(expert) for expert in best if self.frequencies[expert] > 0]
