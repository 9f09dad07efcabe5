"""Which task the range gives."""

import secrets

from app.practice.model import PracticeTask
from app.practice.tasks import generate

_SEEDS_APART = 20
_FIRST = 1
"""Seeds of the split "test", which no training has seen, are this and every so many after it."""
_REJECTING = 3
"""One task of so many has a second change in it, which is to be rejected."""
_MOST = 50_000


def fresh_seed() -> int:
    """A seed by chance to begin with: of a task with nothing to reject, and the next has nothing either."""
    return _FIRST + _SEEDS_APART * _REJECTING * secrets.randbelow(_MOST)


def next_seed(seed: int) -> int:
    """The seed after `seed` that no training has seen."""
    return seed + _SEEDS_APART - (seed - _FIRST) % _SEEDS_APART


def range_task(seed: int, kind: str | None = None) -> PracticeTask:
    """The task of `seed`, with a bug of `kind` if one is named. Raises NoSuchTask."""
    teaches_rejecting = kind is None and seed // _SEEDS_APART % _REJECTING == _REJECTING - 1
    return generate(seed, kind, "reject" if teaches_rejecting else "range")
