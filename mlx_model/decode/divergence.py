"""Taking tokens back: where a reply has come to what its constraint refuses, such as an edit that changes
nothing, it goes on from where it would most likely have been another.

Of all continuations that are not the one refused, greedy decoding looks for the most probable first difference:
the position t at which p(x_1) ... p(x_t-1) p(a) is largest, with x the refused tokens and a the best token in
the place of x_t that leads elsewhere; p is the model's own distribution under the grammar.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self, TypeVar, runtime_checkable

import mlx.core as mx
import numpy as np
from numpy.typing import NDArray

from mlx_model.decode.language_model import LanguageModel, State, StateT
from mlx_model.decode.request import Constraint, TokenGenerated

_CHUNK = 256
"""Tokens computed anew in one pass: their logits are all in memory, 0.6 MB each with 151,936 tokens."""
_CANDIDATES = 16
"""The most likely tokens of a position that are tried: most others than the refused one lead elsewhere, but
some spell the same text in other pieces."""


@runtime_checkable
class RefusingConstraint(Constraint, Protocol):
    """A constraint that can refuse what the last tokens amount to."""

    @property
    def undecided(self) -> bool:
        """Whether the tokens from here on may be refused later, and must not be told yet."""
        ...

    @property
    def refused(self) -> bool:
        """Whether, with the last token, those taken in while it was `undecided` are refused."""
        ...

    def copy(self) -> Self:
        """Independent of this one from now on."""
        ...


StateT_contra = TypeVar("StateT_contra", bound=State, contravariant=True)


class LastLogits(Protocol[StateT_contra]):
    """What computes tokens [1, n] into the logits [vocabulary] of the token after the last."""

    def last_logits(self, tokens: mx.array, state: StateT_contra) -> mx.array:
        """Advances `state`."""
        ...


@dataclass(slots=True)
class Held:
    """Tokens that are not told yet. `start`: the number of the reply's tokens before them, after which
    `constraint` stands."""

    start: int
    constraint: RefusingConstraint
    events: list[TokenGenerated] = field(default_factory=list)


def replayed(
    model: LanguageModel[StateT], tokens: Sequence[int], skipped: int, state: StateT
) -> Iterator[NDArray[np.float32]]:
    """The logits [vocabulary] after each of the tokens but the first `skipped`; advances `state`."""
    for begin in range(0, len(tokens), _CHUNK):
        chunk = tokens[begin : begin + _CHUNK]
        rows = model.logits(mx.array([chunk]), state)[0, max(skipped - begin, 0) :].astype(mx.float32)
        mx.eval(rows, state.arrays())
        yield from np.array(rows)


def replay(model: LastLogits[StateT], tokens: Sequence[int], state: StateT) -> mx.array:
    """The logits [vocabulary] after all of the tokens; advances `state`."""
    logits: mx.array | None = None
    for begin in range(0, len(tokens), _CHUNK):
        logits = model.last_logits(mx.array([tokens[begin : begin + _CHUNK]]), state)
        mx.eval(state.arrays())
    assert logits is not None
    return logits


def likeliest_divergence(
    rows: Iterator[NDArray[np.float32]], refused: Sequence[int], constraint: RefusingConstraint
) -> tuple[int, int] | None:
    """The position among the `refused` tokens and the token in its place; None where nothing else fits. `rows`:
    the logits [vocabulary] at each position; `constraint` stands before the first, and is used up."""
    best: tuple[int, int] | None = None
    highest, together = -np.inf, 0.0
    for position, (row, token) in enumerate(zip(rows, refused, strict=False)):
        logits = np.where(constraint.mask(), row, -np.inf).astype(np.float64)
        total = float(np.logaddexp.reduce(logits))
        other = _other(logits, token, constraint.copy)
        if other is not None and together + logits[other] - total > highest:
            best, highest = (position, other), together + logits[other] - total
        together += logits[token] - total
        if together <= highest:
            break  # no later one can be more likely
        constraint.advance(token)
    return best


def _other(logits: NDArray[np.float64], token: int, fork: Callable[[], RefusingConstraint]) -> int | None:
    """The most likely token other than `token` after which nothing is undecided."""
    count = min(_CANDIDATES, logits.size)
    likely = np.argpartition(-logits, count - 1)[:count]
    for candidate in likely[np.argsort(-logits[likely], kind="stable")].tolist():
        if candidate == token or not np.isfinite(logits[candidate]):
            continue
        ahead = fork()
        ahead.advance(candidate)
        if not (ahead.undecided or ahead.refused):
            return int(candidate)
    return None
