"""Choosing the draft source and depth of each pass, for the most tokens per second.

A pass that verifies drafts yields one token plus the accepted drafts. The acceptance rate comes from recent
drafts of the same class (see Drafter.outlook), the cost of each width from recent passes; the plan with the
most expected tokens per measured second is followed. Where that is a plain pass, drafting stops and is retried
later, at intervals that double as long as it does not pay. A source that predicts tokens at no cost is judged
by those predictions and needs no retry.

Drafting needs the newest token on the host, which stalls the pipeline; if no draft follows, the stall is pure
loss: it is measured and charged to drafting.
"""

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from statistics import median_low

from typing_extensions import override

from mlx_model.decode.drafting import DraftPolicy, Outlooks, Plan, Step
from mlx_model.decode.verify import DEEPEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """The controller's constants, chosen on the simulated machines of
    tests/mlx_model/decode/test_controller.py (a draft costs 2 to 60 % of a plain pass, acceptance rates are 0
    to 97 %) and not yet measured on a device, where `bench draft` shows their effect. Every rule pays in that
    simulation: of 60 runs, the worst loses 43 % of its speed without the stale costs' rule, 26 % without the
    doubt after a pause, 13 % without repeated plain passes, 9 % without the margin, and 3 % without longer and
    longer pauses."""

    cost_samples: int = 9
    """Recent passes of one width whose median is its cost: enough to drop an outlier, few enough to follow a
    growing context."""
    assumed_draft_cost: float = 0.15
    """Cost of one more draft in a pass, as a share of a plain pass, until any width is measured."""
    prior_rate: float = 0.7
    """Acceptance rate assumed of drafts not seen yet: high enough to be tried."""
    prior_weight: float = 2.0
    """How many judged drafts that assumption counts as."""
    decay: float = 0.97
    """What each judged draft leaves of the weight of those before it: about the last 30 count."""
    first_retry: int = 32
    """Plain passes until drafts that do not pay are retried, the first time; doubled after each failure."""
    last_retry: int = 1024
    """The most plain passes between two retries."""
    warm_up: int = 64
    """Plain passes before a retry from which on the source is shown the model's hidden states."""
    margin: float = 1.03
    """How many times the speed of plain passes drafting must promise: its own figures are estimates."""
    first_plain: int = 3
    """Plain passes measured before the first drafts."""
    plain_every: int = 256
    """Drafted passes after which one plain pass is measured again."""
    stale_passes: int = 3
    """Drafted passes in a row, each faster than `stale_share` of its predicted cost, that drop the cost
    table."""
    stale_share: float = 0.8


_VECTOR_QUERIES = 32
"""Query heads a key head times tokens that MLX's Metal backend (0.32) gives to its attention kernel for few
queries."""


def narrow_passes(query_heads: int, key_heads: int) -> int:
    """The most tokens of a pass that attention runs in the kernel for few queries, on Metal."""
    return _VECTOR_QUERIES * key_heads // query_heads


class _Typical:
    """The median of recent samples, in seconds; None before the first."""

    def __init__(self, samples: int) -> None:
        self._samples: deque[float] = deque(maxlen=samples)
        self.seconds: float | None = None

    def add(self, seconds: float) -> float:
        self._samples.append(seconds)
        self.seconds = max(median_low(self._samples), 1e-9)
        return self.seconds


class _Costs:
    """Recent seconds of a pass by its width (tokens that go in)."""

    def __init__(self, tuning: Tuning, narrow: int) -> None:
        self._tuning = tuning
        self._narrow = narrow
        self._measured: dict[int, _Typical] = {}
        # (width, seconds) of the measured widths, ascending.
        self._known: list[tuple[int, float]] = []
        # The table made since the last measurement, and the cost of a plain pass that it was made for.
        self._plain = 0.0
        self._table: list[float] = []

    def add(self, width: int, seconds: float) -> None:
        before = dict(self._known)
        typical = self._measured.setdefault(width, _Typical(self._tuning.cost_samples)).add(seconds)
        if before.get(width) != typical:
            self._known = sorted({**before, width: typical}.items())
            self._table = []

    def guessed_plain(self) -> float | None:
        """The cost of a plain pass, derived from the narrowest measured width."""
        if not self._known:
            return None
        width, seconds = self._known[0]
        return seconds / (1 + self._tuning.assumed_draft_cost * (width - 1))

    def with_drafts(self, plain: float) -> list[float]:
        """Seconds of passes with 1, 2, … DEEPEST drafts, given those of a plain pass. Linear between measured
        widths and extrapolated beyond them, never less than a plain pass; from the last narrow width to the
        first measured one beyond it costs may jump, so there each side is extrapolated by itself."""
        if not self._table or plain != self._plain:
            self._plain, self._table = plain, []
            last, seconds = 1, plain
            for width, measured in self._known:
                if last <= self._narrow < width:
                    self._extrapolate(last, seconds, self._narrow)
                    self._table += [measured] * (width - self._narrow)
                else:
                    step = (measured - seconds) / (width - last)
                    self._table += [max(plain, seconds + step * ahead) for ahead in range(1, width - last + 1)]
                last, seconds = width, measured
            self._extrapolate(last, seconds, DEEPEST + 1)
        return self._table

    def _extrapolate(self, last: int, seconds: float, end: int) -> None:
        """Continues the table from width `last`, which takes `seconds`, to width `end`."""
        assumed = self._tuning.assumed_draft_cost * self._plain
        step = max(0.0, (seconds - self._plain) / (last - 1)) if last > 1 else assumed
        self._table += [max(self._plain, seconds + step * ahead) for ahead in range(1, end - last + 1)]


class _Class:
    """Drafts with one outlook: how many were judged and accepted (decayed), how often drafts came where the
    pipeline was stalled for them, and after how many plain passes in all they are retried."""

    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self._judged = tuning.prior_weight
        self._accepted = tuning.prior_rate * tuning.prior_weight
        self.arrival_rate = 1.0
        self.retry_at = tuning.first_retry
        self.retry_after = tuning.first_retry

    def judge(self, accepted: int, drafted: int) -> None:
        """Drafts after the first rejected one say nothing."""
        decay = self._tuning.decay
        for kept in [1.0] * accepted + [0.0] * (accepted < drafted):
            self._judged = decay * self._judged + 1
            self._accepted = decay * self._accepted + kept

    def predicted(self, rightly: bool) -> None:
        """The first draft would have been the next token, or not; more drafts follow only where it is."""
        decay = self._tuning.decay
        self.judge(int(rightly), 1)
        self.arrival_rate = decay * self.arrival_rate + (1 - decay) * rightly

    def doubt(self) -> None:
        """Cuts the weight of what was judged to that of the prior: the text may have changed since."""
        weight = self._tuning.prior_weight
        self._accepted *= min(1.0, weight / self._judged)
        self._judged = min(self._judged, weight)

    @property
    def rate(self) -> float:
        """The probability that a draft is accepted if those before it were."""
        return self._accepted / self._judged


@dataclass(frozen=True, slots=True)
class _Prospect:
    """A plan with its expected tokens and seconds."""

    plan: Plan
    tokens: float
    seconds: float

    @property
    def speed(self) -> float:
        return self.tokens / self.seconds


class Controller(DraftPolicy):
    """A DraftPolicy. With `may_stop` False it drafts whenever a source has something to propose. `narrow`: the
    most tokens of a pass that run in another kernel than more do, so that their costs say nothing of each
    other (see `narrow_passes`)."""

    def __init__(
        self, tuning: Tuning | None = None, *, may_stop: bool = True, narrow: int = DEEPEST + 1
    ) -> None:
        self._narrow = narrow
        self._tuning = tuning or Tuning()
        self._may_stop = may_stop
        self._plain = _Typical(self._tuning.cost_samples)
        self._stalled = _Typical(self._tuning.cost_samples)
        self._plain_passes = 0
        self._measured_plain = 0
        self._since_plain = 0
        self._faster = 0
        self._costs: dict[str, _Costs] = {}
        self._classes: dict[tuple[str, Hashable], _Class] = {}

    @override
    def worth_stalling(self, outlooks: Outlooks, deepest: Mapping[str, int]) -> bool:
        if not self._may_stop:
            return True
        return not self._wants_plain() and any(
            self._plain_passes >= self._class(source, outlook).retry_at
            or self._pays(
                self._best(source, outlook, deepest[source]), self._class(source, outlook).arrival_rate
            )
            for source, outlook in outlooks.items()
        )

    @override
    def plan(self, outlooks: Outlooks, deepest: Mapping[str, int]) -> Plan | None:
        if self._may_stop and self._wants_plain():
            return None
        prospects = [self._best(source, outlook, deepest[source]) for source, outlook in outlooks.items()]
        best = max(prospects, key=lambda prospect: prospect.speed)
        if not self._may_stop or self._pays(best):
            return best.plan
        # One draft tells as much of the rate as several, and costs least.
        retried = (
            source
            for source, outlook in outlooks.items()
            if self._plain_passes >= self._class(source, outlook).retry_at
        )
        return next((Plan(source, 1) for source in retried), None)

    @override
    def record(self, step: Step) -> None:
        if step.source is None:
            self._plain_passes += 1
            if not step.measured:
                return
            if step.stalled:
                self._stalled.add(step.seconds)
            else:
                self._plain.add(step.seconds)
                self._measured_plain += 1
                self._since_plain = 0
            return
        self._since_plain += 1
        self._drop_stale_costs(step)
        self._costs_of(step.source).add(1 + step.drafted, step.seconds)
        drafts = self._class(step.source, step.outlook)
        if self._plain_passes >= drafts.retry_at:
            drafts.doubt()
        drafts.judge(step.accepted, step.drafted)
        if not self._may_stop:
            return
        if self._pays(self._best(step.source, step.outlook, step.drafted)):
            drafts.retry_after = self._tuning.first_retry
        elif step.accepted < step.drafted:
            drafts.retry_after = min(2 * drafts.retry_after, self._tuning.last_retry)
        else:
            return  # all accepted: try once more at once
        drafts.retry_at = self._plain_passes + drafts.retry_after

    @override
    def judge(self, source: str, outlook: Hashable, foresaw: bool) -> None:
        drafts = self._class(source, outlook)
        drafts.predicted(foresaw)
        drafts.retry_at = self._plain_passes + drafts.retry_after

    @override
    def follows(self, source: str) -> bool:
        if not self._may_stop:
            return True
        classes = [drafts for (name, _), drafts in self._classes.items() if name == source]
        return not classes or any(
            drafts.retry_at - self._plain_passes <= self._tuning.warm_up for drafts in classes
        )

    def _drop_stale_costs(self, step: Step) -> None:
        """If `stale_passes` drafted passes in a row run faster than `stale_share` times the prediction, the
        cost table is stale (of a longer context, or of a busier machine) and is dropped. Slower passes need no
        rule: they raise the median."""
        tuning = self._tuning
        expected = self._costs_of(str(step.source)).with_drafts(self._plain_cost())[step.drafted - 1]
        self._faster = self._faster + 1 if step.seconds < tuning.stale_share * expected else 0
        if self._faster == tuning.stale_passes:
            self._plain, self._stalled = _Typical(tuning.cost_samples), _Typical(tuning.cost_samples)
            self._costs = {}
            self._measured_plain = self._faster = 0

    def _wants_plain(self) -> bool:
        tuning = self._tuning
        return self._measured_plain < tuning.first_plain or self._since_plain >= tuning.plain_every

    def _best(self, source: str, outlook: Hashable, deepest: int) -> _Prospect:
        """The depth from 1 to `deepest` with the most tokens per second."""
        rate, plain = self._class(source, outlook).rate, self._plain_cost()
        depth, best, spent = 0, 1.0, plain
        tokens = chance = 1.0
        for drafts, seconds in enumerate(self._costs_of(source).with_drafts(plain)[:deepest], 1):
            chance *= rate
            tokens += chance
            if not depth or tokens * spent > best * seconds:
                depth, best, spent = drafts, tokens, seconds
        return _Prospect(Plan(source, depth), best, spent)

    def _pays(self, prospect: _Prospect, arrival_rate: float = 1.0) -> bool:
        """Whether it is faster than plain passes, if drafts come at `arrival_rate` and the pipeline is stalled
        in vain otherwise."""
        plain = self._plain_cost()
        stalled = max(plain, self._stalled.seconds or plain)
        missed = 1 - arrival_rate
        tokens = arrival_rate * prospect.tokens + missed
        return tokens * plain > self._tuning.margin * (arrival_rate * prospect.seconds + missed * stalled)

    def _plain_cost(self) -> float:
        """Seconds of a plain pass, measured or guessed; 1 where nothing is measured, for then only ratios
        count."""
        if self._plain.seconds is not None:
            return self._plain.seconds
        guesses = (costs.guessed_plain() for costs in self._costs.values())
        return min((guess for guess in guesses if guess is not None), default=1.0)

    def _costs_of(self, source: str) -> _Costs:
        return self._costs.setdefault(source, _Costs(self._tuning, self._narrow))

    def _class(self, source: str, outlook: Hashable) -> _Class:
        return self._classes.setdefault((source, outlook), _Class(self._tuning))
