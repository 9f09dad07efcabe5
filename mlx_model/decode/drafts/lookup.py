"""Drafts by lookup: what followed the longest suffix of the text when it occurred before.

The text is the whole context: the prompt with the files and results in it, and the reply so far. So whatever an
edit quotes is found wherever it was read, the place met last preferred. Nothing gains by knowing besides which
texts are files, and when one is being edited: over 34,000 tokens of edits as real commits make them, to prefer
places in what tools had returned, or to judge those apart, gave 1 to 2 % fewer tokens a pass.
"""

from collections.abc import Sequence

import mlx.core as mx

from mlx_model.decode.drafts.suffix_automaton import SuffixAutomaton
from mlx_model.decode.sampling import Sampler

# Shorter matches are chance more often than not.
SHORTEST = 2
# Match lengths that fare alike: 2, 3, 4 to 7, 8 to 15, 16 and more.
_CLASSES = (3, 4, 8, 16)


class LookupDrafter:
    """See Drafter. The index of the last conversation is kept, and grows with it when it goes on."""

    name = "lookup"
    deepest = 16

    def __init__(self) -> None:
        self._index = SuffixAutomaton()

    def begin(self, tokens: Sequence[int], state: object) -> None:  # noqa: ARG002
        """The index of these tokens."""
        known = len(self._index.tokens)
        if known <= len(tokens) and tuple(tokens[:known]) == tuple(self._index.tokens):
            self.learn(tokens[known:])
        else:
            self._index = SuffixAutomaton()
            self.learn(tokens)

    def learn(self, tokens: Sequence[int]) -> None:
        """Adds them to the index."""
        for token in tokens:
            self._index.append(token)

    def follow(self, tokens: mx.array, hidden: mx.array) -> None:
        """Hidden states are not looked at."""

    def skip(self, tokens: int) -> None:
        """Hidden states are not looked at."""

    def settle(self) -> None:
        """No state depends on this."""

    def outlook(self) -> int | None:
        """How long the match is, by classes."""
        matched = self._index.matched
        return None if matched < SHORTEST else sum(matched >= least for least in _CLASSES)

    def foreseen(self) -> int | None:
        """The first token of what followed."""
        return None if self._index.matched < SHORTEST else self._index.tokens[self._index.follows]

    def propose(self, token: int, depth: int, sampler: Sampler) -> mx.array | None:  # noqa: ARG002
        """What followed."""
        if self._index.matched < SHORTEST:
            return None
        start = self._index.follows
        found = self._index.tokens[start : start + depth]
        return mx.array(found.tolist()) if found else None
