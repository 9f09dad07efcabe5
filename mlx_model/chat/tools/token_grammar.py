"""Masks of the tokens that a grammar admits, from the token that opens a tool call until the grammar ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from llguidance import LLMatcher
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from numpy.typing import NDArray

from mlx_model.chat.tools.exact_edits import EditCall, ExactEdits, Files

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Editing:
    """Constrains calls of `edit` to quote `files`; `texts`: the bytes of every token."""

    edits: ExactEdits
    texts: Sequence[bytes]
    files: Files


@dataclass(slots=True)
class _Call:
    """The beginning of a call, as the grammar has taken it in; `edit`: where files are known."""

    matcher: LLMatcher
    edit: EditCall | None


class GrammarConstraint:
    """Implements decode.request.Constraint for one reply."""

    def __init__(
        self,
        matcher: LLMatcher,
        opening: int,
        vocabulary: int,
        editing: Editing | None = None,
        required: bool = False,
    ) -> None:
        """`matcher`: at its start; a copy of it starts after each token `opening`. With `required` the first
        token can only be `opening`."""
        self._fresh = matcher
        self._opening = opening
        self._vocabulary = vocabulary
        self._editing = editing
        self._call: _Call | None = None
        self._awaits_call = required

    @property
    def active(self) -> bool:
        return self._awaits_call or self._call is not None

    def advance(self, token: int) -> None:
        self._awaits_call = False
        self._call, _ = self._after(self._call, token)

    def mask(self) -> Mask:
        return self._only_opening() if self._awaits_call else self._mask(self._call)

    def check(self, drafts: Sequence[int]) -> tuple[int, Mask | None]:
        call = None if self._call is None else _Call(self._call.matcher.deep_copy(), self._call.edit)
        rows = [self.mask()]
        constrained = self.active
        for token in drafts:
            if not rows[-1][token]:
                break
            call, fits = self._after(call, token)
            if not fits:
                break
            rows.append(self._mask(call))
            constrained = constrained or call is not None
        return len(rows) - 1, np.stack(rows) if constrained else None

    def _after(self, call: _Call | None, token: int) -> tuple[_Call | None, bool]:
        if call is None:
            return (self._begun() if token == self._opening else None), True
        # Fewer taken than given: the token does not fit, and the matcher stays as it was.
        matcher, edit = call.matcher, call.edit
        if matcher.try_consume_tokens([token]) != 1:
            return call, False
        # The call is closed, or the matcher has reached its limits: then the rest is unconstrained.
        if matcher.is_error() or matcher.is_stopped() or matcher.is_accepting():
            return None, True
        if edit is not None and self._editing is not None:
            edit = edit.after(self._editing.texts[token])
        return _Call(matcher, edit), True

    def _only_opening(self) -> Mask:
        mask = np.zeros(self._vocabulary, dtype=np.bool_)
        mask[self._opening] = True
        return mask

    def _begun(self) -> _Call:
        return _Call(self._fresh.deep_copy(), None if self._editing is None else EditCall(self._editing.files))

    def _mask(self, call: _Call | None) -> Mask:
        if call is None:
            return np.ones(self._vocabulary, dtype=np.bool_)
        if call.edit is not None and call.edit.quotation is not None:
            return call.edit.quotation.mask()
        bits: NDArray[Any] = allocate_token_bitmask(1, self._vocabulary)
        fill_next_token_bitmask(call.matcher, bits)
        mask = np.unpackbits(bits.view(np.uint8)[0], bitorder="little")[: self._vocabulary].astype(np.bool_)
        if call.edit is not None and self._editing is not None:
            self._editing.edits.narrow(mask, call.edit)
        return mask
