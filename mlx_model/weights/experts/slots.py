"""Which experts of a layer are in memory, and which goes when another must come: counting only, no bytes.

An expert's worth is how often tokens were routed to it, decayed, so that what was asked for long ago fades.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Tokens after which a use counts half.
_HALF_LIFE = 1024
# A chunk of a prompt counts as so many tokens at most: one odd prompt shall not turn everything over.
_CHUNK_COUNTS_AS = 32

Frequencies = NDArray[np.float64]
Experts = NDArray[np.intp]


class ExpertSlots:
    """`slot_of` [experts] is where each expert is, -1 for nowhere; `expert_in` [slots] the inverse."""

    def __init__(self, experts: int, slots: int, frequencies: Frequencies | None = None) -> None:
        self.slot_of: Experts = np.full(experts, -1, dtype=np.intp)
        self.expert_in: Experts = np.full(slots, -1, dtype=np.intp)
        self.frequencies = np.zeros(experts) if frequencies is None else frequencies.copy()

    def note(self, needed: Experts, counts: NDArray[np.intp], tokens: int) -> None:
        """`tokens` tokens were routed, `counts` of them to each expert of `needed`."""
        kept = 0.5 ** (min(tokens, _CHUNK_COUNTS_AS) / _HALF_LIFE)
        self.frequencies *= kept
        self.frequencies[needed] += (1 - kept) * counts / tokens

    def coldest(self, count: int, keep: Experts) -> Experts:
        """Up to `count` slots to fill: empty ones first, then those of the least used experts, and none of an
        expert in `keep`."""
        worth = np.where(self.expert_in < 0, -1.0, self.frequencies[self.expert_in])
        candidates = np.flatnonzero(~np.isin(self.expert_in, keep) | (self.expert_in < 0))
        return candidates[np.argsort(worth[candidates], kind="stable")][:count]

    def empty(self, slots: Experts) -> None:
        """Nothing is in these slots any more."""
        held = self.expert_in[slots]
        self.slot_of[held[held >= 0]] = -1
        self.expert_in[slots] = -1

    def fill(self, slot: int, expert: int) -> None:
        """The expert is in the slot now."""
        self.expert_in[slot] = expert
        self.slot_of[expert] = slot

    def hottest(self, count: int) -> Experts:
        """The slots that hold the most used experts, at most `count`, in ascending order."""
        held = np.flatnonzero(self.expert_in >= 0)
        by_worth = held[np.argsort(-self.frequencies[self.expert_in[held]], kind="stable")]
        return np.sort(by_worth[:count])

    def favourites(self) -> Sequence[int]:
        """The experts worth having first, as many as there are slots, of those ever used."""
        best = np.argsort(-self.frequencies, kind="stable")[: self.expert_in.size]
        return [int(expert) for expert in best if self.frequencies[expert] > 0]
