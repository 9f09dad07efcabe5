"""Drafters under one policy, which decides who proposes and how many tokens."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol

import mlx.core as mx

from mlx_model.decode.drafts.drafter import Drafter
from mlx_model.decode.sampling import Sampler
from mlx_model.decode.verify import DEEPEST, ReplayableT, Verified, VerifyingModel, verify

Outlooks = Mapping[str, Hashable]
"""By drafter, for those that have something to propose: the class of situations it is in (Drafter.outlook)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A drafter by name, and how many tokens it is to propose (1 to DEEPEST)."""

    source: str
    depth: int


@dataclass(frozen=True, slots=True)
class Step:
    """One pass of the model in decoding, which verified drafts of `source` (None: a plain pass) and `accepted`
    so many of the `drafted` tokens. `outlook`: the drafter's, before it proposed. `seconds`: drafting included.
    `stalled`: this plain pass was not pipelined, because drafts might have followed. `measured`: whether
    `seconds` are those of this pass alone; not where pipelining begins or ends, for a CPU computes most of a
    pass while it is launched, and there that is one pass too many or too few."""

    source: str | None
    outlook: Hashable | None
    drafted: int
    accepted: int
    seconds: float = 0.0
    stalled: bool = False
    measured: bool = True


class DraftPolicy(Protocol):
    """Chooses source and depth, pass by pass."""

    def worth_stalling(self, outlooks: Outlooks, deepest: Mapping[str, int]) -> bool:
        """Whether to stall the pipeline: read the newest token before the next pass is launched, because drafts
        are likely to follow it. `outlooks` and `deepest` as for `plan`, before the token is known."""
        ...

    def plan(self, outlooks: Outlooks, deepest: Mapping[str, int]) -> Plan | None:
        """The next pass; None: a plain one. `deepest`: the most tokens each source can propose now."""
        ...

    def record(self, step: Step) -> None:
        """Takes a finished pass into account: its cost, and how its drafts fared."""
        ...

    def judge(self, source: str, outlook: Hashable, foresaw: bool) -> None:
        """A plain pass is over, of which `source`, with this outlook, `foresaw` the token or did not."""
        ...

    def follows(self, source: str) -> bool:
        """Whether this drafter is shown the hidden states of the tokens decoded now, which costs time and pays
        only if it drafts soon."""
        ...


@dataclass(frozen=True, slots=True)
class Proposal:
    """Draft `tokens` [n] after the newest token, their source, and the source's outlook before it proposed."""

    source: str
    outlook: Hashable
    tokens: mx.array


class Drafting(Generic[ReplayableT]):
    """A model with its drafters, as the decoding loop uses them. Everything the model computes here is shown to
    the drafters. One generation at a time."""

    def __init__(
        self,
        model: VerifyingModel[ReplayableT],
        drafters: Sequence[Drafter],
        policy: DraftPolicy,
        clock: Callable[[], float] = time.perf_counter,
        watch: Callable[[Step], None] = lambda _step: None,
    ) -> None:
        """`clock` in seconds; `watch` is called with every measured pass."""
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
        """A generation begins after `tokens`, which `state` has seen."""
        self._pass, self._is_decoding = None, False
        for drafter in self._drafters.values():
            drafter.begin(tokens, state)

    def learn(self, tokens: Sequence[int]) -> None:
        """Appends tokens to the text that drafters draft from."""
        for drafter in self._drafters.values():
            drafter.learn(tokens)

    def settle(self) -> None:
        """Has the drafters bring their part of the state up to date, before it is stored."""
        for drafter in self._drafters.values():
            drafter.settle()

    def last_logits(self, tokens: mx.array, state: ReplayableT) -> mx.array:
        """As LanguageModel.last_logits: tokens [1, n] → [vocabulary]."""
        hidden = self._model.hidden(tokens, state)
        self.follow(tokens[0], hidden)
        return self._model.head(hidden[:, -1])[0]

    def token_read(self, token: int, *, under_way: bool) -> None:
        """A token has been read, which ends the pass that made it. `under_way`: the next pass, a plain one, was
        launched before."""
        now, self._is_decoding = self._clock(), True
        if self._pass is not None:
            step = replace(self._pass, seconds=now - self._read_at)
            if step.source is None:
                step = replace(step, measured=step.stalled is not under_way)
            self._policy.record(step)
            self._watch(step)
            if step.source is None:
                self._judge(token)
        self._read_at = now
        self._pass = Step(None, None, 0, 0, stalled=not under_way)
        self.learn([token])

    def token_shared(self, token: int) -> None:
        """A token has been read that a pass together with other replies made: its cost says nothing of the
        passes of a reply alone."""
        self._pass, self._is_decoding = None, True
        self._judge(token)
        self.learn([token])

    def interrupted(self) -> None:
        """Other work came between the last pass and the next, whose cost is therefore not measured."""
        self._pass = None

    def worth_stalling(self, room: int) -> bool:
        """Whether to read the next token before the next pass is launched (see DraftPolicy). `room`: how many
        tokens may follow that token."""
        possible = self._possible(room)
        return possible is not None and self._policy.worth_stalling(*possible)

    def propose(self, token: int, sampler: Sampler, room: int) -> Proposal | None:
        """Drafts after `token`, at most `room` - 1 of them; None for a plain pass."""
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
        """Verifies a proposal in one pass; `allowed` as for verify.verify. `keep` must follow."""
        verified = verify(self._model, state, sampler, token, proposal.tokens, allowed=allowed)
        drafted = proposal.tokens.size
        self._pass = Step(proposal.source, proposal.outlook, drafted, len(verified.accepted))
        return verified

    def keep(self, state: ReplayableT, sampler: Sampler, token: int, verified: Verified, accepted: int) -> None:
        """Cuts the verified block back to `token` and its first `accepted` drafts, in state, sampler and
        drafters."""
        drafts = list(verified.accepted[:accepted])
        state.keep(1 + accepted)
        if drafts:
            sampler.take(mx.array(drafts))
            self.learn(drafts)
        self.follow(mx.array([token, *drafts]), verified.hidden[:, : 1 + accepted])

    def follow(self, tokens: mx.array, hidden: mx.array) -> None:
        """The model computed tokens [n] into hidden states [1, n, hidden]."""
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
        """The arguments of DraftPolicy.plan; None where nothing can be proposed."""
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
