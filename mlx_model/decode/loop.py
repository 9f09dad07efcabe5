"""Decoding one reply: token by token where nothing is drafted, by verified blocks where something is.

It goes on pass by pass, and between two passes it may change its company: alone (`step`), or together with
other replies, whose next tokens are computed in one pass (mlx_model/decode/batch.py).
"""

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
    in the cache; `kept`: length of the state when it was last stored; `shared`: tokens decoded together
    with those of other replies."""

    request: GenerationRequest
    state: StateT
    started: float
    cached: int = 0
    kept: int = 0
    prompt_ms: float = 0.0
    tokens: list[int] = field(default_factory=list)
    shared: int = 0
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

    def _costs(self) -> tuple[int, int, float, int, float, tuple[SourceDrafts, ...], int]:
        return (
            self.cached,
            len(self.request.prompt),
            self.prompt_ms,
            len(self.tokens),
            self.elapsed_ms() - self.prompt_ms,
            tuple(self.drafts.values()),
            self.shared,
        )


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The next token [1], and its chances where the request wants them."""

    token: mx.array
    chances: Chances | None = None


class DecodingLoop(Generic[StateT]):
    """Decodes one reply. Whenever it has yielded a token, even if it is closed there, the state has seen
    exactly a prefix of the prompt and the yielded tokens. Between two passes it has seen all of them, and the
    next token, which it has not seen, is chosen."""

    def __init__(
        self,
        model: LanguageModel[StateT],
        drafting: Drafting[Any] | None,
        run: Run[StateT],
        limit: int,
        cancelled: Callable[[], bool],
    ) -> None:
        """At most `limit` tokens are decoded; `cancelled` is asked after each."""
        self._model = model
        self.drafting = drafting
        """May be set between two passes."""
        self.run = run
        self.ended = False
        self._limit = limit
        self._cancelled = cancelled
        self._sampler = Sampler(run.request.sampling, model.vocabulary, run.request.prompt)
        self._constraint = run.request.constraint()
        self._released = 0
        self._chosen: _Chosen | None = None
        # Whether the next token is on the host already, so that reading it stalls nothing.
        self._known = False
        self._ahead: mx.array | None = None
        self._following: _Chosen | None = None

    def begin(self, logits: mx.array) -> None:
        """Chooses the first token from the logits [vocabulary] after the prompt."""
        self._take(self._choose(logits))

    @property
    def room(self) -> int:
        """How many tokens may follow the next one."""
        return self._limit - len(self.run.tokens) - 1

    @property
    def chosen(self) -> mx.array:
        """The next token [1], perhaps still pending on the device."""
        assert self._chosen is not None
        return self._chosen.token

    def step(self) -> Iterator[TokenGenerated]:
        """The tokens of one pass, alone. Plain passes are pipelined: each token is read only after the pass for
        the next one has been launched, so that the device never waits."""
        assert self._chosen is not None
        run, drafting, chosen, room = self.run, self.drafting, self._chosen, self.room
        model = drafting or self._model
        stalls = drafting is not None and (self._known or drafting.worth_stalling(room))
        self._known = False
        ahead: mx.array | None = None
        following: _Chosen | None = None
        if room and not stalls:
            ahead = model.last_logits(chosen.token[None], run.state)
            mx.async_eval(ahead)  # type: ignore[no-untyped-call]
            following = None if self._constrained else self._choose(ahead)
        value = cast(int, chosen.token.item())
        if drafting is not None:
            drafting.token_read(value, under_way=ahead is not None)
        yield from self._emit(value, chosen.chances)
        if self.ended:
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
                self._known = True
            else:
                following = self._choose(model.last_logits(chosen.token[None], run.state))
        self._take(following)

    def look_ahead(self, logits: mx.array, hidden: mx.array) -> None:
        """A pass together with others has computed the next token, into logits [vocabulary] and hidden
        [1, 1, hidden]: chooses the token after it. `read` must follow."""
        if self.drafting is not None:
            self.drafting.follow(self.chosen, hidden)
        self._ahead = logits
        self._following = None if self._constrained else self._choose(logits)

    def read(self) -> Iterator[TokenGenerated]:
        """Reads the next token, in a pass together with others; the last one of a reply needs no pass."""
        assert self._chosen is not None
        chosen, ahead, following = self._chosen, self._ahead, self._following
        self._ahead = self._following = None
        self._known = False
        value = cast(int, chosen.token.item())
        if self.drafting is not None:
            self.drafting.token_shared(value)
        self.run.shared += 1
        yield from self._emit(value, chosen.chances)
        if ahead is not None and not self.ended and (following is None or self._constrained):
            following = self._choose(ahead)
        self._take(following)

    def _take(self, following: _Chosen | None) -> None:
        """The pass is over, and this is the next token."""
        if self.ended:
            return
        if following is not None:
            self._sampler.take(following.token)
            self._chosen = following
        if len(self.run.tokens) >= self._limit:
            self.run.reason = "length"
            self.ended = True

    @property
    def _constrained(self) -> bool:
        return self._constraint is not None and self._constraint.active

    def _choose(self, logits: mx.array) -> _Chosen:
        """The token that the sampler would take of logits [vocabulary], under the constraint."""
        allowed = None
        if self._constraint is not None and self._constrained:
            allowed = mx.array(self._constraint.mask())[None]
        token = self._sampler.choose(logits[None], allowed=allowed)
        found = self._chances(logits[None], token)
        # Evaluated with the token: later they would wait for the pass after it, and the loop with them.
        mx.async_eval(token, *([] if found is None else found.arrays()))  # type: ignore[no-untyped-call]
        return _Chosen(token, found)

    def _chances(self, logits: mx.array, tokens: mx.array) -> Chances | None:
        top = self.run.request.logprobs
        return None if top is None else chances(logits, tokens, top)

    def _proposal(self, token: int, room: int) -> tuple[Proposal, mx.array | None] | None:
        """The drafts that the constraint admits, and its masks [drafts + 1, vocabulary] for verification."""
        if self.drafting is None:
            return None
        proposal = self.drafting.propose(token, self._sampler, room)
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
        assert self.drafting is not None
        run, drafting = self.run, self.drafting
        verified = drafting.verify(run.state, self._sampler, token, proposal, allowed)
        run.judged(proposal.source, proposal.tokens.size, len(verified.accepted))
        chosen = mx.array([*verified.accepted, verified.following])
        block = self._chances(verified.logits[: chosen.size], chosen)
        emitted = 0
        try:
            for draft in verified.accepted:
                emitted += 1
                yield from self._emit(draft, block, emitted - 1)
                if self.ended:
                    return None
        finally:
            drafting.keep(run.state, self._sampler, token, verified, emitted)
        return _Chosen(chosen[-1:], None if block is None else block.last())

    def _emit(self, token: int, chances: Chances | None, position: int = 0) -> Iterator[TokenGenerated]:
        """Yields the token, whose chances are at this position; the reply may have ended with it."""
        run = self.run
        run.tokens.append(token)
        if self._constraint is not None:
            self._constraint.advance(token)
            if self._constraint.active:
                # A reply interrupted inside a tool call is continued from the text before the call.
                run.state.freeze_rollback_points()
        yield TokenGenerated(token, run.costs(), None if chances is None else chances.at(position))
        if token in run.request.stop_tokens:
            run.reason = "stop"
            self.ended = True
        elif self._cancelled():
            self.ended = True
        elif len(run.tokens) - self._released >= _RELEASE_EVERY:
            self._released = len(run.tokens)
            mx.clear_cache()
