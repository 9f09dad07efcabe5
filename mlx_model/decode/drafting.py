"""Drafters under one policy: which of them proposes, and how many tokens."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol

import mlx.core as mx

from mlx_model.decode.drafts.drafter import Drafter
from mlx_model.decode.sampling import Sampler
from mlx_model.decode.verify import DEEPEST, ReplayableT, Verified, VerifyingModel, verify

Outlooks = Mapping[str, Hashable]
"""What each drafter that has something to propose says of its drafts."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A drafter by name, and how many tokens it shall propose."""

    source: str
    depth: int


@dataclass(frozen=True, slots=True)
class Step:
    """One pass of the model in decoding, drafts of `source` verified in it or none: `accepted` of `drafted`
    tokens; `outlook` is what the drafter said before. `seconds` it took, drafting included. A plain pass has
    `waited` where it was asked for only after the token that goes into it was known, lest drafts follow it."""

    source: str | None
    outlook: Hashable | None
    drafted: int
    accepted: int
    seconds: float = 0.0
    waited: bool = False


class DraftPolicy(Protocol):
    """Chooses source and depth, step by step."""

    def awaits(self, outlooks: Outlooks, deepest: Mapping[str, int]) -> bool:
        """Whether the newest token is to be read before the next pass is asked for, because drafts are likely
        to follow it. That leaves the device idle meanwhile. `outlooks` and `deepest` as for `plan`, before the
        token is known."""
        ...

    def plan(self, outlooks: Outlooks, deepest: Mapping[str, int]) -> Plan | None:
        """What to do next, `deepest` being the most tokens each source can propose now; None: a plain pass."""
        ...

    def record(self, step: Step) -> None:
        """What a pass came to."""
        ...

    def judge(self, source: str, outlook: Hashable, foresaw: bool) -> None:
        """Nothing was drafted here; `source`, whose outlook it was, `foresaw` the next token or did not."""
        ...

    def follows(self, source: str) -> bool:
        """Whether this drafter shall see what the model makes of the tokens it now decodes, which costs time
        and serves drafts in the near future."""
        ...


@dataclass(frozen=True, slots=True)
class Proposal:
    """Drafts [n] for what follows the newest token, whose they are, and what the drafter said before."""

    source: str
    outlook: Hashable
    tokens: mx.array


class Drafting(Generic[ReplayableT]):
    """A model with its drafters, as the decoding loop sees them: what the model takes in here, they follow. One
    generation at a time."""

    def __init__(
        self,
        model: VerifyingModel[ReplayableT],
        drafters: Sequence[Drafter],
        policy: DraftPolicy,
        clock: Callable[[], float] = time.perf_counter,
        watch: Callable[[Step], None] = lambda _step: None,
    ) -> None:
        """`watch` is told of every pass that was measured."""
        self._model = model
        self._drafters = {drafter.name: drafter for drafter in drafters}
        self._policy = policy
        self._clock = clock
        self._watch = watch
        self._read_at = 0.0
        self._is_decoding = False
        self._pass: Step | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The drafters' names."""
        return tuple(self._drafters)

    def begin(self, tokens: Sequence[int], state: ReplayableT) -> None:
        """A generation begins; `state` has seen the tokens."""
        self._pass, self._is_decoding = None, False
        for drafter in self._drafters.values():
            drafter.begin(tokens, state)

    def learn(self, tokens: Sequence[int]) -> None:
        """The text goes on with these tokens."""
        for drafter in self._drafters.values():
            drafter.learn(tokens)

    def settle(self) -> None:
        """The state is about to be kept."""
        for drafter in self._drafters.values():
            drafter.settle()

    def last_logits(self, tokens: mx.array, state: ReplayableT) -> mx.array:
        """See LanguageModel."""
        hidden = self._model.hidden(tokens, state)
        self._follow(tokens[0], hidden)
        return self._model.head(hidden[:, -1])[0]

    def token_read(self, token: int, *, under_way: bool) -> None:
        """A token has become known, which ends the pass before it. The pass after it is `under_way` already,
        and a plain one; or it begins now."""
        now, self._is_decoding = self._clock(), True
        if self._pass is not None:
            step = replace(self._pass, seconds=now - self._read_at)
            self._policy.record(step)
            self._watch(step)
            if step.source is None:
                self._judge(token)
        self._read_at = now
        self._pass = Step(None, None, 0, 0, waited=not under_way)
        self.learn([token])

    def expected(self, room: int) -> bool:
        """Whether the next token should be read before anything else is computed, because drafts are likely to
        follow it. `room` is how many tokens may follow it."""
        possible = self._possible(room)
        return possible is not None and self._policy.awaits(*possible)

    def propose(self, token: int, sampler: Sampler, room: int) -> Proposal | None:
        """Drafts for what follows `token`, which leave room for the token after them."""
        possible = self._possible(room)
        plan = None if possible is None else self._policy.plan(*possible)
        if plan is None:
            return None
        drafter = self._drafters[plan.source]
        outlook = drafter.outlook()
        tokens = drafter.propose(token, plan.depth, sampler)
        return None if tokens is None else Proposal(plan.source, outlook, tokens)

    def verify(
        self,
        state: ReplayableT,
        sampler: Sampler,
        token: int,
        proposal: Proposal,
        allowed: mx.array | None = None,
    ) -> Verified:
        """See verify.verify."""
        verified = verify(self._model, state, sampler, token, proposal.tokens, allowed=allowed)
        drafted = proposal.tokens.size
        self._pass = Step(proposal.source, proposal.outlook, drafted, len(verified.accepted))
        return verified

    def keep(self, state: ReplayableT, sampler: Sampler, token: int, verified: Verified, accepted: int) -> None:
        """Of the verified block, `token` and the first so many accepted drafts shall have happened."""
        drafts = list(verified.accepted[:accepted])
        state.keep(1 + accepted)
        if drafts:
            sampler.take(mx.array(drafts))
            self.learn(drafts)
        self._follow(mx.array([token, *drafts]), verified.hidden[:, : 1 + accepted])

    def _follow(self, tokens: mx.array, hidden: mx.array) -> None:
        for name, drafter in self._drafters.items():
            # The prompt serves all drafts to come.
            if not self._is_decoding or self._policy.follows(name):
                drafter.follow(tokens, hidden)
            else:
                drafter.skip(tokens.size)

    def _judge(self, token: int) -> None:
        for name, drafter in self._drafters.items():
            foreseen = drafter.foreseen()
            if foreseen is not None:
                self._policy.judge(name, drafter.outlook(), foreseen == token)

    def _possible(self, room: int) -> tuple[Outlooks, Mapping[str, int]] | None:
        """What a policy chooses from; None where there is nothing."""
        if room < 2:
            return None
        outlooks = {
            name: outlook
            for name, drafter in self._drafters.items()
            if (outlook := drafter.outlook()) is not None
        }
        if not outlooks:
            return None
        return outlooks, {name: min(self._drafters[name].deepest, DEEPEST, room - 1) for name in outlooks}
