"""Decoding: token by token where nothing is drafted, by verified blocks where something is."""

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, cast

import mlx.core as mx

from mlx_model.decode.drafting import Drafting, Proposal
from mlx_model.decode.language_model import LanguageModel, StateT
from mlx_model.decode.logprobs import Chances, chances
from mlx_model.decode.request import (
    GenerationCosts,
    GenerationFinished,
    GenerationRequest,
    PromptProcessed,
    SourceDrafts,
    TokenGenerated,
)
from mlx_model.decode.sampling import Sampler

_RELEASE_EVERY = 256
"""Decoded tokens between two releases of the buffers that MLX caches for reuse, as mlx-lm does."""


@dataclass(slots=True)
class Run(Generic[StateT]):
    """The progress of one generation. `started`: time.perf_counter() in seconds; `cached`: prompt tokens found
    in the cache; `kept`: length of the state when it was last stored."""

    request: GenerationRequest
    state: StateT
    started: float
    cached: int = 0
    kept: int = 0
    prompt_ms: float = 0.0
    tokens: list[int] = field(default_factory=list)
    drafts: dict[str, SourceDrafts] = field(default_factory=dict)
    reason: Literal["stop", "length", "cancelled"] = "cancelled"

    def elapsed_ms(self) -> float:
        """Milliseconds since the start."""
        return 1000.0 * (time.perf_counter() - self.started)

    def processed(self) -> PromptProcessed:
        """The prompt's progress."""
        return PromptProcessed(len(self.request.prompt), self.cached, self.state.length, self.elapsed_ms())

    def costs(self) -> GenerationCosts:
        """The costs so far."""
        return GenerationCosts(*self._costs())

    def finished(self) -> GenerationFinished:
        """The last event."""
        return GenerationFinished(*self._costs(), reason=self.reason)

    def judged(self, source: str, drafted: int, accepted: int) -> None:
        """Counts verified drafts of a source."""
        before = self.drafts.get(source, SourceDrafts(source, 0, 0))
        self.drafts[source] = SourceDrafts(source, before.drafted + drafted, before.accepted + accepted)

    def _costs(self) -> tuple[int, int, float, int, float, tuple[SourceDrafts, ...]]:
        return (
            self.cached,
            len(self.request.prompt),
            self.prompt_ms,
            len(self.tokens),
            self.elapsed_ms() - self.prompt_ms,
            tuple(self.drafts.values()),
        )


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The next token [1], and its chances where the request wants them."""

    token: mx.array
    chances: Chances | None = None


class DecodingLoop(Generic[StateT]):
    """Decodes one reply. Whenever it has yielded a token, even if it is closed there, the state has seen
    exactly a prefix of the prompt and the yielded tokens."""

    def __init__(
        self,
        model: LanguageModel[StateT],
        drafting: Drafting[Any] | None,
        run: Run[StateT],
        limit: int,
        cancelled: Callable[[], bool],
    ) -> None:
        """At most `limit` tokens are decoded; `cancelled` is asked after each."""
        self._model = drafting or model
        self._drafting = drafting
        self._run = run
        self._limit = limit
        self._cancelled = cancelled
        self._sampler = Sampler(run.request.sampling, model.vocabulary, run.request.prompt)
        self._constraint = run.request.constraint()
        self._released = 0

    def tokens(self, logits: mx.array) -> Iterator[TokenGenerated]:
        """The reply, from the logits [vocabulary] after the prompt. Plain passes are pipelined: each token is
        read only after the pass for the next one has been launched, so that the device never waits."""
        run, drafting = self._run, self._drafting
        chosen = self._choose(logits)
        self._sampler.take(chosen.token)
        known = False
        while len(run.tokens) < self._limit:
            room = self._limit - len(run.tokens) - 1
            # A token that verification gave is on the host already: reading it stalls nothing.
            stalls = drafting is not None and (known or drafting.worth_stalling(room))
            known = False
            ahead: mx.array | None = None
            following: _Chosen | None = None
            if room and not stalls:
                ahead = self._model.last_logits(chosen.token[None], run.state)
                mx.async_eval(ahead)  # type: ignore[no-untyped-call]
                following = None if self._constrained else self._choose(ahead)
            value = cast(int, chosen.token.item())
            if drafting is not None:
                drafting.token_read(value, under_way=ahead is not None)
            if (yield from self._emit(value, chosen.chances)):
                return
            if ahead is not None and (following is None or self._constrained):
                # The constraint's mask depends on the token, which has only now been read.
                following = self._choose(ahead)
            elif ahead is None and room:
                proposal = self._proposal(value, room)
                if proposal is not None:
                    following = yield from self._verified(value, *proposal)
                    if following is None:
                        return
                    known = True
                else:
                    following = self._choose(self._model.last_logits(chosen.token[None], run.state))
            if following is not None:
                self._sampler.take(following.token)
                chosen = following
        run.reason = "length"

    @property
    def _constrained(self) -> bool:
        return self._constraint is not None and self._constraint.active

    def _choose(self, logits: mx.array) -> _Chosen:
        """The token that the sampler would take of logits [vocabulary], under the constraint."""
        allowed = None
        if self._constraint is not None and self._constrained:
            allowed = mx.array(self._constraint.mask())[None]
        token = self._sampler.choose(logits[None], allowed=allowed)
        mx.async_eval(token)  # type: ignore[no-untyped-call]
        return _Chosen(token, self._chances(logits[None], token))

    def _chances(self, logits: mx.array, tokens: mx.array) -> Chances | None:
        top = self._run.request.logprobs
        return None if top is None else chances(logits, tokens, top)

    def _proposal(self, token: int, room: int) -> tuple[Proposal, mx.array | None] | None:
        """The drafts that the constraint admits, and its masks [drafts + 1, vocabulary] for verification."""
        if self._drafting is None:
            return None
        proposal = self._drafting.propose(token, self._sampler, room)
        if proposal is None or self._constraint is None:
            return None if proposal is None else (proposal, None)
        fitting, allowed = self._constraint.check(cast(list[int], proposal.tokens.tolist()))
        if not fitting:
            return None
        proposal = replace(proposal, tokens=proposal.tokens[:fitting])
        return proposal, None if allowed is None else mx.array(allowed)

    def _verified(
        self, token: int, proposal: Proposal, allowed: mx.array | None
    ) -> Generator[TokenGenerated, None, _Chosen | None]:
        """Yields the accepted drafts and returns the token that the model chose after them, which the sampler
        has not taken yet; None if the reply ended among them."""
        assert self._drafting is not None
        run, drafting = self._run, self._drafting
        verified = drafting.verify(run.state, self._sampler, token, proposal, allowed)
        run.judged(proposal.source, proposal.tokens.size, len(verified.accepted))
        chosen = mx.array([*verified.accepted, verified.following])
        block = self._chances(verified.logits[: chosen.size], chosen)
        emitted = 0
        try:
            for draft in verified.accepted:
                emitted += 1
                if (yield from self._emit(draft, block, emitted - 1)):
                    return None
        finally:
            drafting.keep(run.state, self._sampler, token, verified, emitted)
        return _Chosen(chosen[-1:], None if block is None else block.last())

    def _emit(
        self, token: int, chances: Chances | None, position: int = 0
    ) -> Generator[TokenGenerated, None, bool]:
        """Yields the token, whose chances are at this position, and returns whether the reply ends with it."""
        run = self._run
        run.tokens.append(token)
        if self._constraint is not None:
            self._constraint.advance(token)
            if self._constraint.active:
                # A reply interrupted inside a tool call is continued from the text before the call.
                run.state.freeze_rollback_points()
        yield TokenGenerated(token, run.costs(), None if chances is None else chances.at(position))
        if token in run.request.stop_tokens:
            run.reason = "stop"
            return True
        if self._cancelled():
            return True
        if len(run.tokens) - self._released >= _RELEASE_EVERY:
            self._released = len(run.tokens)
            mx.clear_cache()
        return False
