"""Tokens that a grammar admits, from the token that opens a part of the reply until the grammar has ended."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from llguidance import LLMatcher
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


class GrammarConstraint:
    """Follows one reply. See request.Constraint."""

    def __init__(self, matcher: LLMatcher, opening: int, vocabulary: int) -> None:
        """The `matcher` has seen nothing; it begins behind each token `opening`."""
        self._fresh = matcher
        self._opening = opening
        self._vocabulary = vocabulary
        self._matcher: LLMatcher | None = None

    @property
    def active(self) -> bool:
        """Whether the next token is constrained."""
        return self._matcher is not None

    def advance(self, token: int) -> None:
        """The reply goes on with this token."""
        self._matcher, _ = self._after(self._matcher, token)

    def mask(self) -> Mask:
        """Which tokens [vocabulary] may come next."""
        return self._mask(self._matcher)

    def check(self, drafts: Sequence[int]) -> tuple[int, Mask | None]:
        """How many of the drafts may come, one after another; and what may come instead of each of these and
        after them, [drafts that may + 1, vocabulary], None where anything may."""
        matcher = None if self._matcher is None else self._matcher.deep_copy()
        rows = [self._mask(matcher)]
        constrained = matcher is not None
        for token in drafts:
            matcher, fits = self._after(matcher, token)
            if not fits:
                break
            rows.append(self._mask(matcher))
            constrained = constrained or matcher is not None
        return len(rows) - 1, np.stack(rows) if constrained else None

    def _after(self, matcher: LLMatcher | None, token: int) -> tuple[LLMatcher | None, bool]:
        if matcher is None:
            return (self._fresh.deep_copy() if token == self._opening else None), True
        # Fewer taken than given: the token does not fit, and the matcher stays as it was.
        if matcher.try_consume_tokens([token]) != 1:
            return matcher, False
        # The call is closed; or the matcher has met its limits, and lets go rather than end the reply.
        done = matcher.is_error() or matcher.is_stopped() or matcher.is_accepting()
        return (None if done else matcher), True

    def _mask(self, matcher: LLMatcher | None) -> Mask:
        if matcher is None:
            return np.ones(self._vocabulary, dtype=np.bool_)
        bits: NDArray[Any] = allocate_token_bitmask(1, self._vocabulary)
        fill_next_token_bitmask(matcher, bits)
        return np.unpackbits(bits.view(np.uint8)[0], bitorder="little")[: self._vocabulary].astype(np.bool_)
