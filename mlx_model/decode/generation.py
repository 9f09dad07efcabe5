"""One request under way, piece by piece: a chunk of its prompt, then token by token, so that others can be
served in between."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic

import mlx.core as mx
from typing_extensions import override

from mlx_model.decode.batch import Batch
from mlx_model.decode.drafting import Drafting
from mlx_model.decode.language_model import LanguageModel, StateKeeper, StateT
from mlx_model.decode.loop import DecodingLoop, Run
from mlx_model.decode.request import GenerationEvent, GenerationPort, GenerationRequest

SNAPSHOT_EVERY = 4096
"""Tokens of a long prefill between two snapshots, beside those at message boundaries."""

REPLY_ROOM = 1024
"""Tokens of a reply that room is made for with the prompt's: few replies are longer, and room takes memory."""


@dataclass(slots=True)
class Shared(Generic[StateT]):
    """What the generations of one model share. `chunk`: prompt tokens computed at once."""

    model: LanguageModel[StateT]
    states: StateKeeper[StateT]
    chunk: int
    context_length: int
    batch: Batch[StateT] | None = None
    """None where the model computes one sequence at a time."""
    drafts_for: object = None
    """The generation that has the drafters, which follow one conversation at a time."""
    computed_last: object = None
    """The generation that computed last."""


class Generation(GenerationPort, Generic[StateT]):
    """A GenerationPort. It borrows the drafters from its beginning to its end; where another has them, it
    borrows them as soon as it decodes alone."""

    def __init__(
        self,
        request: GenerationRequest,
        cancelled: Callable[[], bool],
        shared: Shared[StateT],
        drafting: Drafting[Any] | None,
    ) -> None:
        """`drafting`: how the reply is drafted, when the drafters are free."""
        self._request = request
        self._cancelled = cancelled
        self._shared = shared
        self._wished = drafting
        self._drafting: Drafting[Any] | None = None
        self._run: Run[StateT] | None = None
        self._cuts: list[int] = []
        self.loop: DecodingLoop[StateT] | None = None
        """The reply's, once the prompt is processed."""
        self._ended = False

    @property
    @override
    def ended(self) -> bool:
        return self._ended

    @property
    @override
    def prompt_left(self) -> int:
        if self.loop is not None or self._ended:
            return 0
        return len(self._request.prompt) - (self._run.state.length if self._run is not None else 0)

    @property
    @override
    def next_chunk(self) -> int:
        if self._run is None or self.loop is not None:
            return 0
        return self._cuts[0] - self._run.state.length

    @override
    def step(self) -> Iterator[GenerationEvent]:
        shared, interrupted = self._shared, self._shared.computed_last is not self
        shared.computed_last = self
        try:
            if self._run is None:
                yield from self._begin()
            elif self.loop is None:
                # Another's work came between, and the client may have left meanwhile.
                if interrupted and self._cancelled():
                    yield from self.finish()
                else:
                    if interrupted and self._run.state.length == self._run.cached:
                        self._begin_further(self._run)
                    yield from self._read_chunk(self._run)
            else:
                self._borrow_drafters(interrupted)
                yield from self.loop.step()
                if self.loop.ended:
                    yield from self.finish()
        except BaseException:
            self.close()
            raise

    def finish(self) -> Iterator[GenerationEvent]:
        """Stores the state and yields the last event."""
        run = self._run
        assert run is not None
        if self.loop is None:  # it was cancelled within its prompt
            run.prompt_ms = run.elapsed_ms()
        finished = run.finished()
        # Without a reply, later requests continue from the last boundary, which is stored already.
        if run.state.length and (self._request.max_tokens or run.reason == "cancelled"):
            interrupted = run.tokens and run.reason == "cancelled"
            keep = self._shared.states.keep_interrupted if interrupted else self._shared.states.keep
            keep(self._settled(run), run.state)
        self.close()
        yield finished

    @override
    def close(self) -> None:
        self._ended = True
        self._cuts, self.loop, self._run, self._drafting = [], None, None, None
        shared = self._shared
        if shared.drafts_for is self:
            shared.drafts_for = None
        if shared.computed_last is self:
            shared.computed_last = None
        if shared.batch is not None:
            shared.batch.forget()

    def _begin(self) -> Iterator[GenerationEvent]:
        request, shared, started = self._request, self._shared, time.perf_counter()
        run = self._run = Run(request, shared.states.begin(request.prompt), started)
        self._start(run)
        self._borrow_drafters(False)
        yield run.processed()

    def _begin_further(self, run: Run[StateT]) -> None:
        """Others have computed since this began, perhaps a prompt with the same beginning."""
        state = self._shared.states.begin_further(self._request.prompt, run.cached)
        if state is None:
            return
        run.state = state
        self._start(run)
        if self._drafting is not None:
            self._drafting.begin(self._request.prompt[: run.cached], state)

    def _start(self, run: Run[StateT]) -> None:
        """Sets off from where the state is."""
        run.cached = run.kept = run.state.length
        expected = len(self._request.prompt) + min(self._request.max_tokens, REPLY_ROOM)
        run.state.reserve(min(expected, self._shared.context_length))
        self._cuts = self._cut(run.cached)

    def _cut(self, start: int) -> list[int]:
        """Where the chunks of the rest of the prompt end: at the chunk size and at the request's boundaries."""
        total = len(self._request.prompt)
        boundaries = {boundary for boundary in self._request.boundaries if start < boundary < total}
        return sorted({total, *range(start + self._shared.chunk, total, self._shared.chunk), *boundaries})

    def _read_chunk(self, run: Run[StateT]) -> Iterator[GenerationEvent]:
        request, drafting, end = self._request, self._drafting, self._cuts.pop(0)
        tokens = request.prompt[run.state.length : end]
        logits = (drafting or self._shared.model).last_logits(mx.array([tokens]), run.state)
        if drafting is not None:
            mx.async_eval(run.state.arrays())  # type: ignore[no-untyped-call]
            drafting.learn(tokens)
        if self._cuts:
            # MLX is lazy: logits that are never evaluated cost nothing.
            del logits
            mx.eval(run.state.arrays())
            mx.clear_cache()
            if run.state.length in request.boundaries or run.state.length - run.kept >= SNAPSHOT_EVERY:
                self._shared.states.snapshot(self._settled(run), run.state)
                run.kept = run.state.length
            yield run.processed()
            if self._cancelled():
                yield from self.finish()
            return
        mx.eval(logits)
        run.prompt_ms = run.elapsed_ms()
        yield run.processed()
        if self._cancelled():
            yield from self.finish()
            return
        limit = min(request.max_tokens, self._shared.context_length - len(request.prompt))
        self.loop = DecodingLoop(self._shared.model, drafting, run, limit, self._cancelled)
        self.loop.begin(logits)
        if self.loop.ended:
            yield from self.finish()

    def _settled(self, run: Run[StateT]) -> tuple[int, ...]:
        """The tokens that the state has seen: a prefix of the prompt, or all but the last one. The drafters'
        part of the state is up to date with them."""
        if self._drafting is not None:
            self._drafting.settle()
        return (*self._request.prompt, *run.tokens)[: run.state.length]

    def _borrow_drafters(self, interrupted: bool) -> None:
        """Takes the drafters, if they are free. `interrupted`: another generation has computed meanwhile."""
        if self._drafting is not None:
            if interrupted:
                self._drafting.interrupted()
            return
        if self._wished is None or self._shared.drafts_for is not None:
            return
        run = self._run
        assert run is not None
        self._shared.drafts_for = self
        self._drafting = self._wished
        self._drafting.begin((*self._request.prompt, *run.tokens)[: run.state.length], run.state)
        if self.loop is not None:
            self.loop.drafting = self._drafting
