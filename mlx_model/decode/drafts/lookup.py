"""Prompt lookup: drafts are copied from where the longest suffix of the text occurred before.

The text is the whole context: the prompt with the files and tool results in it, and the reply so far. Text that
an edit quotes is therefore found wherever it was read; of several occurrences the latest is taken. Preferring
occurrences in tool results, or judging them as a class of their own, gave 1 to 2 % fewer tokens a pass over
34,000 tokens of edits taken from real commits, so all occurrences are treated alike.
"""

from collections.abc import Sequence

import mlx.core as mx
from typing_extensions import override

from mlx_model.decode.drafts.drafter import Drafter
from mlx_model.decode.drafts.suffix_automaton import SuffixAutomaton
from mlx_model.decode.sampling import Sampler

SHORTEST = 2
"""Tokens of the shortest match used: a single token matches by chance more often than not."""
_CLASSES = (3, 4, 8, 16)
"""Bounds, in tokens, between classes of match lengths: 2, 3, 4 to 7, 8 to 15, 16 and more."""


class LookupDrafter(Drafter):
    """A Drafter. The index of the last conversation is kept and extended when that conversation continues."""

    name = "lookup"
    deepest = 16

    def __init__(self) -> None:
        self._index = SuffixAutomaton()

    @override
    def begin(self, tokens: Sequence[int], state: object) -> None:
        known = len(self._index.tokens)
        if known <= len(tokens) and tuple(tokens[:known]) == tuple(self._index.tokens):
            self.learn(tokens[known:])
        else:
            self._index = SuffixAutomaton()
            self.learn(tokens)

    @override
    def learn(self, tokens: Sequence[int]) -> None:
        for token in tokens:
            self._index.append(token)

    @override
    def follow(self, tokens: mx.array, hidden: mx.array) -> None:
        pass  # hidden states are not used

    @override
    def skip(self, tokens: int) -> None:
        pass

    @override
    def settle(self) -> None:
        pass  # nothing of this is part of the state

    @override
    def outlook(self) -> int | None:
        """The class of the match's length."""
        matched = self._index.matched
        return None if matched < SHORTEST else sum(matched >= least for least in _CLASSES)

    @override
    def foreseen(self) -> int | None:
        return None if self._index.matched < SHORTEST else self._index.tokens[self._index.follows]

    @override
    def propose(self, token: int, depth: int, sampler: Sampler) -> mx.array | None:
        found = self._found(self._index.matched, self._index.follows, depth)
        return mx.array(found) if found else None

    @property
    def matched(self) -> int:
        """Tokens at the end of the text that occurred before."""
        return self._index.matched

    def behind(self, draft: int, depth: int) -> list[int]:
        """Up to `depth` draft tokens behind a draft for the next token."""
        return self._found(*self._index.behind(draft), depth)

    def _found(self, matched: int, start: int, depth: int) -> list[int]:
        return [] if matched < SHORTEST else self._index.tokens[start : start + depth].tolist()
