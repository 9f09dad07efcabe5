"""Choosing source and depth, step by step, for the most tokens per second.

A pass that verifies drafts gives one token and those drafts that are accepted: how many to expect is known from
how drafts of the same class fared lately (see Drafter.outlook). What a pass of each width costs is measured on
the passes themselves. The plan with the most expected tokens per measured second is followed. Where that is a
plain pass, drafting stops, and is tried again after a while, less often each time it does not pay.
"""

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from statistics import median_low

from mlx_model.decode.drafting import Outlooks, Plan, Step

# Passes of one kind whose median cost counts: enough to forget an outlier, few enough to follow a context.
_COSTS = 9
# Before a width is measured, each draft is taken to cost this share of a plain pass.
_GUESSED_COST = 0.15
# What is assumed of drafts that nobody has seen yet, as if two had been judged: worth a try.
_HOPE, _HOPED = 0.7, 2.0
# What is left of a judgement's weight at the next one: about the last thirty count.
_REMEMBERED = 0.97
# Plain passes before drafts that do not pay are tried again: at first, and at most.
_PATIENCE, _MOST_PATIENCE = 32, 1024
# A source that is not to be tried before so many plain passes need not see what passes before that.
_WARM_UP = 64
# Drafting has to promise this much more than plain passes: what is expected of it is an estimate.
_MARGIN = 1.03
# Plain passes measured before the first drafts, and passes with drafts after which one is measured again.
_FIRST_PLAIN, _PLAIN_EVERY = 3, 256


class _Costs:
    """Seconds of a pass by its width, measured lately."""

    def __init__(self) -> None:
        self._samples: dict[int, deque[float]] = {}
        self._typical: dict[int, float] = {}

    def add(self, width: int, seconds: float) -> None:
        samples = self._samples.setdefault(width, deque(maxlen=_COSTS))
        samples.append(seconds)
        self._typical[width] = median_low(samples)

    def of(self, width: int, plain: float) -> float:
        """Between measured widths along a straight line, beyond them along the one through all; a plain pass
        takes `plain` seconds, and no wider one takes less."""
        return max(plain, self._measured(width, plain))

    def _measured(self, width: int, plain: float) -> float:
        known = {1: plain, **self._typical}
        if width in known:
            return known[width]
        low = max(at for at in known if at < width)
        high = min((at for at in known if at > width), default=None)
        if high is not None:
            return known[low] + (known[high] - known[low]) * (width - low) / (high - low)
        slope = (known[low] - plain) / (low - 1) if low > 1 else _GUESSED_COST * plain
        return known[low] + max(0.0, slope) * (width - low)


@dataclass(slots=True)
class _Class:
    """Drafts that fare alike: how many were judged and accepted, with fading weights; and, if they do not pay,
    after how many plain passes in all they are tried again, and how long the wait was."""

    judged: float = _HOPED
    accepted: float = _HOPE * _HOPED
    again: int = _PATIENCE
    patience: int = _PATIENCE

    def judge(self, accepted: int, drafted: int) -> None:
        """What comes after the first rejected draft was not judged."""
        for kept in [1.0] * accepted + [0.0] * (accepted < drafted):
            self.judged = _REMEMBERED * self.judged + 1
            self.accepted = _REMEMBERED * self.accepted + kept

    def doubt(self) -> None:
        """The text may have changed since these were judged: what was seen counts little."""
        self.accepted *= min(1.0, _HOPED / self.judged)
        self.judged = min(self.judged, _HOPED)

    def expected(self, depth: int) -> float:
        """Tokens from a pass with so many drafts: each is accepted if those before it were, at one rate."""
        rate = self.accepted / self.judged
        return sum(rate**place for place in range(depth + 1))


class Controller:
    """A DraftPolicy. With `may_stop` False it drafts whenever a source has something to propose."""

    def __init__(self, *, may_stop: bool = True) -> None:
        self._may_stop = may_stop
        self._plain: deque[float] = deque(maxlen=_COSTS)
        self._plain_passes = 0
        self._since_plain = 0
        self._costs: dict[str, _Costs] = {}
        self._classes: dict[tuple[str, Hashable], _Class] = {}

    def plan(self, outlooks: Outlooks, deepest: Mapping[str, int]) -> Plan | None:
        """The plan with the most expected tokens per second."""
        if self._may_stop and (len(self._plain) < _FIRST_PLAIN or self._since_plain >= _PLAIN_EVERY):
            return None
        plans = [
            (*self._best(source, outlook, deepest[source]), self._class(source, outlook))
            for source, outlook in outlooks.items()
        ]
        speed, plan, _ = max(plans, key=lambda candidate: candidate[0])
        if not self._may_stop or self._pays(speed):
            return plan
        # One draft tells as much of the rate as several, and costs least.
        tried = (plan for _, plan, drafts in plans if self._plain_passes >= drafts.again)
        return next((Plan(plan.source, 1) for plan in tried), None)

    def record(self, step: Step) -> None:
        """Takes a pass into account: what it cost, and how its drafts fared."""
        if step.source is None:
            self._plain.append(step.seconds)
            self._plain_passes += 1
            self._since_plain = 0
            return
        self._since_plain += 1
        self._costs.setdefault(step.source, _Costs()).add(1 + step.drafted, step.seconds)
        drafts = self._class(step.source, step.outlook)
        if self._plain_passes >= drafts.again:
            drafts.doubt()
        drafts.judge(step.accepted, step.drafted)
        if not self._may_stop:
            return
        if self._pays(self._best(step.source, step.outlook, step.drafted)[0]):
            drafts.patience = _PATIENCE
        elif step.accepted < step.drafted:
            drafts.patience = min(2 * drafts.patience, _MOST_PATIENCE)
        else:
            return  # nothing speaks against trying once more
        drafts.again = self._plain_passes + drafts.patience

    def follows(self, source: str) -> bool:
        """Whether it may be asked for drafts soon."""
        if not self._may_stop:
            return True
        classes = [drafts for (name, _), drafts in self._classes.items() if name == source]
        return not classes or any(drafts.again - self._plain_passes <= _WARM_UP for drafts in classes)

    def _best(self, source: str, outlook: Hashable, deepest: int) -> tuple[float, Plan]:
        """The depth with the most tokens per second, and how many those are."""
        drafts = self._class(source, outlook)
        costs = self._costs.setdefault(source, _Costs())
        plain = self._plain_cost()
        return max(
            (
                (drafts.expected(depth) / costs.of(1 + depth, plain), Plan(source, depth))
                for depth in range(1, deepest + 1)
            ),
            key=lambda candidate: candidate[0],
        )

    def _pays(self, speed: float) -> bool:
        return speed > _MARGIN / self._plain_cost()

    def _plain_cost(self) -> float:
        """Where nothing is measured, any unit will do."""
        return max(median_low(self._plain), 1e-9) if self._plain else 1.0

    def _class(self, source: str, outlook: Hashable) -> _Class:
        return self._classes.setdefault((source, outlook), _Class())
