"""Constraints of a reply that begins with a thought."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from mlx_model.decode.request import Constraint


class AfterThought(Constraint):
    """A constraint that holds from the end of a thought on."""

    def __init__(self, constraint: Constraint, close: int) -> None:
        """`close`: the token that ends the thought, which the reply begins in."""
        self._constraint = constraint
        self._close = close
        self._thinks = True

    @property
    @override
    def active(self) -> bool:
        return not self._thinks and self._constraint.active

    @override
    def advance(self, token: int) -> None:
        if self._thinks:
            self._thinks = token != self._close
        else:
            self._constraint.advance(token)

    @override
    def mask(self) -> NDArray[np.bool_]:
        return self._constraint.mask()

    @override
    def check(self, drafts: Sequence[int]) -> tuple[int, NDArray[np.bool_] | None]:
        if not self._thinks:
            return self._constraint.check(drafts)
        # What follows the end of the thought may be constrained, so no draft reaches beyond.
        return (drafts.index(self._close) if self._close in drafts else len(drafts)), None
