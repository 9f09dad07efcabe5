"""Holds a whole reply to JSON: only tokens that continue a value of the schema may come, and once the value is
complete, only those that end the reply."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from llguidance import LLMatcher
from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

WHITE_SPACE = r"(?: |\n[ \t]{0,64})?"
"""Between the parts of a value; bounded, so that no reply is spent on it."""


def json_grammar(schema: Mapping[str, Any], lenient: bool) -> str:
    """llguidance's grammar of a schema's values. `lenient`: keywords that it cannot express are left out."""
    options: dict[str, Any] = {"whitespace_pattern": WHITE_SPACE}
    if lenient:
        options |= {"lenient": True, "coerce_one_of": True}
    return LLMatcher.grammar_from_json_schema(json.dumps({**schema, "x-guidance": options}))


class JsonConstraint:
    """Implements decode.request.Constraint for one reply."""

    def __init__(self, matcher: LLMatcher, stop_tokens: Sequence[int], vocabulary: int) -> None:
        """`matcher`: of json_grammar, at its start. `stop_tokens`: at least one."""
        self._matcher = matcher
        self._stops = np.zeros(vocabulary, dtype=np.bool_)
        self._stops[list(stop_tokens)] = True

    @property
    def active(self) -> bool:
        return True

    def advance(self, token: int) -> None:
        self._matcher.try_consume_tokens([token])

    def mask(self) -> Mask:
        return self._mask(self._matcher)

    def check(self, drafts: Sequence[int]) -> tuple[int, Mask | None]:
        matcher = self._matcher.deep_copy()
        rows = [self._mask(matcher)]
        for token in drafts:
            if not rows[-1][token]:
                break
            if self._stops[token]:
                rows.append(self._stops)
                break
            matcher.try_consume_tokens([token])
            rows.append(self._mask(matcher))
        return len(rows) - 1, np.stack(rows)

    def _mask(self, matcher: LLMatcher) -> Mask:
        if matcher.is_stopped():
            return self._stops
        bits: NDArray[Any] = allocate_token_bitmask(1, self._stops.size)
        fill_next_token_bitmask(matcher, bits)
        mask = np.unpackbits(bits.view(np.uint8)[0], bitorder="little")[: self._stops.size].astype(np.bool_)
        return mask | self._stops if matcher.is_accepting() else mask & ~self._stops
