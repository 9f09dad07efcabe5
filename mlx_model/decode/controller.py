"""Choosing source and depth, step by step, for the most tokens per second.

A pass that verifies drafts gives one token and those drafts that are accepted: how many to expect is known from
how drafts of the same class fared lately (see Drafter.outlook). What a pass of each width costs is measured on
the passes themselves. The plan with the most expected tokens per measured second is followed. Where that is a
plain pass, drafting stops, and is tried again after a while, less often each time it does not pay. A source
that foresees tokens at no cost is judged by those meanwhile, and need not be tried.

Where drafts may follow a token that is not known yet, it has to be read before the next pass is asked for, and
if none follow, the device has waited in vain. That too is measured, and has to be made good by those that do.
"""

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from statistics import median_low

from mlx_model.decode.drafting import Outlooks, Plan, Step
from mlx_model.decode.verify import DEEPEST

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
# So many passes with drafts in a row that took less than this share of what they were to take: the measurements
# are of a longer context, or of a machine that had other things to do. Those that took more tell by themselves.
_OUTDATED, _OUTDATED_SHARE = 3, 0.8


class _Typical:
    """Seconds that something takes, measured lately; None before that."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=_COSTS)
        self.seconds: float | None = None

    def add(self, seconds: float) -> float:
        self._samples.append(seconds)
        self.seconds = max(median_low(self._samples), 1e-9)
        return self.seconds


class _Costs:
    """Seconds of a pass by its width, measured lately."""

    def __init__(self) -> None:
        self._measured: dict[int, _Typical] = {}
        # The measured widths in order, and what they take.
        self._known: list[tuple[int, float]] = []
        # What was worked out since the last measurement, for this cost of a plain pass.
        self._plain = 0.0
        self._all: list[float] = []

    def add(self, width: int, seconds: float) -> None:
        before = dict(self._known)
        typical = self._measured.setdefault(width, _Typical()).add(seconds)
        if before.get(width) != typical:
            self._known = sorted({**before, width: typical}.items())
            self._all = []

    def guessed_plain(self) -> float | None:
        """What a plain pass may take, by the narrowest that was measured."""
        if not self._known:
            return None
        width, seconds = self._known[0]
        return seconds / (1 + _GUESSED_COST * (width - 1))

    def with_drafts(self, plain: float) -> list[float]:
        """Of passes with one draft, with two, and so on. Between measured widths along a straight line, beyond
        them along the one through all; a plain pass takes `plain` seconds, and no wider one takes less."""
        if not self._all or plain != self._plain:
            self._plain, self._all = plain, []
            last, seconds = 1, plain
            for width, measured in self._known:
                step = (measured - seconds) / (width - last)
                self._all += [max(plain, seconds + step * ahead) for ahead in range(1, width - last + 1)]
                last, seconds = width, measured
            step = max(0.0, (seconds - plain) / (last - 1)) if last > 1 else _GUESSED_COST * plain
            self._all += [max(plain, seconds + step * ahead) for ahead in range(1, DEEPEST + 2 - last)]
        return self._all


@dataclass(slots=True)
class _Class:
    """Drafts that fare alike: how many were judged and accepted, with fading weights; how often any come where
    they are waited for; and, if they do not pay, after how many plain passes in all they are tried again, and
    how long the wait was."""

    judged: float = _HOPED
    accepted: float = _HOPE * _HOPED
    come: float = 1.0
    again: int = _PATIENCE
    patience: int = _PATIENCE

    def judge(self, accepted: int, drafted: int) -> None:
        """What comes after the first rejected draft was not judged."""
        for kept in [1.0] * accepted + [0.0] * (accepted < drafted):
            self.judged = _REMEMBERED * self.judged + 1
            self.accepted = _REMEMBERED * self.accepted + kept

    def foresee(self, rightly: bool) -> None:
        """The first draft would have been the next token, or not. Only where it is do more follow."""
        self.judge(int(rightly), 1)
        self.come = _REMEMBERED * self.come + (1 - _REMEMBERED) * rightly

    def doubt(self) -> None:
        """The text may have changed since these were judged: what was seen counts little."""
        self.accepted *= min(1.0, _HOPED / self.judged)
        self.judged = min(self.judged, _HOPED)

    @property
    def rate(self) -> float:
        """At which each is accepted if those before it were."""
        return self.accepted / self.judged


@dataclass(frozen=True, slots=True)
class _Prospect:
    """What a plan is expected to come to."""

    plan: Plan
    tokens: float
    seconds: float

    @property
    def speed(self) -> float:
        return self.tokens / self.seconds


class Controller:
    """A DraftPolicy. With `may_stop` False it drafts whenever a source has something to propose."""

    def __init__(self, *, may_stop: bool = True) -> None:
        self._may_stop = may_stop
        self._plain = _Typical()
        self._waited = _Typical()
        self._plain_passes = 0
        self._measured_plain = 0
        self._since_plain = 0
        self._faster = 0
        self._costs: dict[str, _Costs] = {}
        self._classes: dict[tuple[str, Hashable], _Class] = {}

    def awaits(self, outlooks: Outlooks, deepest: Mapping[str, int]) -> bool:
        """Whether a source pays even though its drafts may not come, or is to be tried."""
        if not self._may_stop:
            return True
        return not self._wants_plain() and any(
            self._plain_passes >= self._class(source, outlook).again
            or self._pays(self._best(source, outlook, deepest[source]), self._class(source, outlook).come)
            for source, outlook in outlooks.items()
        )

    def plan(self, outlooks: Outlooks, deepest: Mapping[str, int]) -> Plan | None:
        """The plan with the most expected tokens per second."""
        if self._may_stop and self._wants_plain():
            return None
        prospects = [self._best(source, outlook, deepest[source]) for source, outlook in outlooks.items()]
        best = max(prospects, key=lambda prospect: prospect.speed)
        if not self._may_stop or self._pays(best):
            return best.plan
        # One draft tells as much of the rate as several, and costs least.
        tried = (
            source
            for source, outlook in outlooks.items()
            if self._plain_passes >= self._class(source, outlook).again
        )
        return next((Plan(source, 1) for source in tried), None)

    def record(self, step: Step) -> None:
        """Takes a pass into account: what it cost, and how its drafts fared."""
        if step.source is None:
            self._plain_passes += 1
            if step.waited:
                self._waited.add(step.seconds)
            else:
                self._plain.add(step.seconds)
                self._measured_plain += 1
                self._since_plain = 0
            return
        self._since_plain += 1
        self._check_costs(step)
        self._costs_of(step.source).add(1 + step.drafted, step.seconds)
        drafts = self._class(step.source, step.outlook)
        if self._plain_passes >= drafts.again:
            drafts.doubt()
        drafts.judge(step.accepted, step.drafted)
        if not self._may_stop:
            return
        if self._pays(self._best(step.source, step.outlook, step.drafted)):
            drafts.patience = _PATIENCE
        elif step.accepted < step.drafted:
            drafts.patience = min(2 * drafts.patience, _MOST_PATIENCE)
        else:
            return  # nothing speaks against trying once more
        drafts.again = self._plain_passes + drafts.patience

    def judge(self, source: str, outlook: Hashable, foresaw: bool) -> None:
        """Counts it among the source's drafts, which need not be tried the sooner."""
        drafts = self._class(source, outlook)
        drafts.foresee(foresaw)
        drafts.again = self._plain_passes + drafts.patience

    def follows(self, source: str) -> bool:
        """Whether it may be asked for drafts soon."""
        if not self._may_stop:
            return True
        classes = [drafts for (name, _), drafts in self._classes.items() if name == source]
        return not classes or any(drafts.again - self._plain_passes <= _WARM_UP for drafts in classes)

    def _check_costs(self, step: Step) -> None:
        """Forgets all of them where they are found to be outdated."""
        expected = self._costs_of(str(step.source)).with_drafts(self._plain_cost())[step.drafted - 1]
        self._faster = self._faster + 1 if step.seconds < _OUTDATED_SHARE * expected else 0
        if self._faster == _OUTDATED:
            self._plain, self._waited, self._costs = _Typical(), _Typical(), {}
            self._measured_plain = self._faster = 0

    def _wants_plain(self) -> bool:
        return self._measured_plain < _FIRST_PLAIN or self._since_plain >= _PLAIN_EVERY

    def _best(self, source: str, outlook: Hashable, deepest: int) -> _Prospect:
        """The depth with the most tokens per second."""
        rate, plain = self._class(source, outlook).rate, self._plain_cost()
        depth, best, spent = 0, 1.0, plain
        tokens = chance = 1.0
        for drafts, seconds in enumerate(self._costs_of(source).with_drafts(plain)[:deepest], 1):
            chance *= rate
            tokens += chance
            if not depth or tokens * spent > best * seconds:
                depth, best, spent = drafts, tokens, seconds
        return _Prospect(Plan(source, depth), best, spent)

    def _pays(self, prospect: _Prospect, comes: float = 1.0) -> bool:
        """Whether it is faster than plain passes, if it comes true so often and the device else waits in
        vain."""
        plain = self._plain_cost()
        vain = max(plain, self._waited.seconds or plain)
        gained = comes * prospect.tokens + (1 - comes)
        return gained * plain > _MARGIN * (comes * prospect.seconds + (1 - comes) * vain)

    def _plain_cost(self) -> float:
        """Where nothing is measured, any unit will do."""
        if self._plain.seconds is not None:
            return self._plain.seconds
        guesses = (costs.guessed_plain() for costs in self._costs.values())
        return min((guess for guess in guesses if guess is not None), default=1.0)

    def _costs_of(self, source: str) -> _Costs:
        return self._costs.setdefault(source, _Costs())

    def _class(self, source: str, outlook: Hashable) -> _Class:
        return self._classes.setdefault((source, outlook), _Class())
