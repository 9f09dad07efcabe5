"""Constraints of a reply that may begin with a thought: its budget, and what holds once it has ended."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from mlx_model.chat.thoughts import ThoughtTokens
from mlx_model.decode.request import Constraint


class HeldThought(Constraint):
    """Ends the thought by its closing token once its budget is spent, and constrains what follows."""

    def __init__(
        self,
        tokens: ThoughtTokens,
        vocabulary: int,
        *,
        thinks: bool,
        budget: int | None = None,
        after: Constraint | None = None,
    ) -> None:
        """`vocabulary`: the model's number of logits. `thinks`: the reply begins in a thought; else it may open
        one with its first token. `budget`: in tokens, without those around the thought; None: as many as the
        model wants. `after`: holds from the thought's end on."""
        self._open, self._close = tokens.open, tokens.close
        self._thinks = thinks
        self._has_answered = False
        self._left = budget
        self._after = after
        self._closing = np.zeros(vocabulary, dtype=np.bool_)
        self._closing[tokens.close] = True

    @property
    def _is_spent(self) -> bool:
        return self._thinks and self._left is not None and self._left <= 0

    @property
    @override
    def active(self) -> bool:
        if self._thinks:
            return self._is_spent
        return self._after is not None and self._after.active

    @override
    def advance(self, token: int) -> None:
        if token == self._open and not self._has_answered:
            self._thinks = True
        elif self._thinks:
            self._thinks = token != self._close
            if self._left is not None:
                self._left -= self._thinks
        else:
            self._has_answered = True
            if self._after is not None:
                self._after.advance(token)

    @override
    def mask(self) -> NDArray[np.bool_]:
        if self._thinks or self._after is None:
            return self._closing
        return self._after.mask()

    @override
    def check(self, drafts: Sequence[int]) -> tuple[int, NDArray[np.bool_] | None]:
        if self._thinks:
            # What follows the end of the thought may be constrained, so no draft reaches beyond. Nor may the
            # token after the drafts be beyond the budget.
            end = drafts.index(self._close) if self._close in drafts else len(drafts)
            return (end if self._left is None else max(0, min(end, self._left - 1))), None
        if not self._has_answered and self._open in drafts:
            drafts = drafts[: drafts.index(self._open)]
        if self._after is None:
            return len(drafts), None
        return self._after.check(drafts)
