"""One request after another through the model: prefill in chunks, then token by token."""

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Generic

import mlx.core as mx

from mlx_model.decode.drafting import Drafting
from mlx_model.decode.language_model import LanguageModel, StateKeeper, StateT
from mlx_model.decode.loop import DecodingLoop, Run
from mlx_model.decode.request import DraftMode, GenerationEvent, GenerationRequest
from mlx_model.errors import RequestError

# Tokens of a long prefill between two snapshots that no boundary asked for.
SNAPSHOT_EVERY = 4096


class Generator(Generic[StateT]):
    """A GeneratorPort over a language model. `chunk` is how many prompt tokens are computed at once.

    `states` says which prefix of a prompt need not be computed again; it is given states at the request's
    boundaries, every few thousand tokens of a long prefill, and where the reply ended.
    """

    def __init__(
        self,
        model: LanguageModel[StateT],
        states: StateKeeper[StateT],
        *,
        context_length: int | None = None,
        chunk: int = 2048,
        drafting: Drafting[Any] | None = None,
        ways: Mapping[DraftMode, Drafting[Any] | None] = MappingProxyType({}),
        cannot: Callable[[DraftMode], str] = "Replies cannot be drafted by {} here.".format,
    ) -> None:
        """`drafting` serves requests that do not say how they are drafted, `ways` those that do; `cannot` says
        why another way is out of the question."""
        self._model = model
        self._states = states
        self._chunk = chunk
        self._drafting = drafting
        self._ways = ways
        self._cannot = cannot
        self._context_length = context_length or model.context_length

    @property
    def context_length(self) -> int:
        """The longest prompt plus reply, in tokens."""
        return self._context_length

    def generate(self, request: GenerationRequest, cancelled: Callable[[], bool]) -> Iterator[GenerationEvent]:
        """See GeneratorPort. A reply also ends, with reason `length`, where the context is full."""
        check_request(request, self.context_length, self._model.vocabulary)
        drafting = self._drafting
        if request.draft is not None:
            if request.draft not in self._ways:
                raise RequestError(self._cannot(request.draft))
            drafting = self._ways[request.draft]
        return self._events(request, drafting, cancelled)

    def _events(
        self, request: GenerationRequest, drafting: Drafting[Any] | None, cancelled: Callable[[], bool]
    ) -> Iterator[GenerationEvent]:
        started = time.perf_counter()
        run = Run(request, self._states.begin(request.prompt), started)
        run.cached = run.kept = run.state.length
        if drafting is not None:
            drafting.begin(request.prompt[: run.cached], run.state)
        yield run.processed()
        logits: mx.array | None = None
        for chunk in self._chunks(run):
            tokens = request.prompt[chunk]
            logits = (drafting or self._model).last_logits(mx.array([tokens]), run.state)
            if drafting is not None:
                mx.async_eval(run.state.arrays())  # type: ignore[no-untyped-call]
                drafting.learn(tokens)
            if chunk.stop == len(request.prompt):
                mx.eval(logits)
                break
            # Logits that are not evaluated cost nothing.
            logits = None
            mx.eval(run.state.arrays())
            mx.clear_cache()
            if run.state.length in request.boundaries or run.state.length - run.kept >= SNAPSHOT_EVERY:
                self._keep(run, drafting)
            yield run.processed()
            if cancelled():
                break
        run.prompt_ms = run.elapsed_ms()
        if logits is not None:
            yield run.processed()
            if not cancelled():
                limit = min(request.max_tokens, self.context_length - len(request.prompt))
                yield from DecodingLoop(self._model, drafting, run, limit, cancelled).tokens(logits)
        finished = run.finished()
        # Where no reply was wanted, the last boundary is what others go on from.
        if request.max_tokens or run.reason == "cancelled":
            self._keep(run, drafting)
        yield finished

    def _chunks(self, run: Run[StateT]) -> Iterator[slice]:
        """What is left of the prompt, cut at the chunk size and at the request's boundaries."""
        start, total = run.state.length, len(run.request.prompt)
        boundaries = {boundary for boundary in run.request.boundaries if start < boundary < total}
        cuts = {start, total, *range(start, total, self._chunk), *boundaries}
        return (slice(a, b) for a, b in pairwise(sorted(cuts)))

    def _keep(self, run: Run[StateT], drafting: Drafting[Any] | None) -> None:
        """Leaves the state as it stands: it has seen a prefix of the prompt, or all tokens but the last one."""
        if run.state.length > run.kept:
            if drafting is not None:
                drafting.settle()
            seen = (*run.request.prompt, *run.tokens)[: run.state.length]
            broken_off = run.tokens and run.reason == "cancelled"
            (self._states.keep_broken_off if broken_off else self._states.keep)(seen, run.state)
            run.kept = run.state.length


def check_request(request: GenerationRequest, context_length: int, vocabulary: int) -> None:
    """Raises RequestError when a prompt is empty, too long, or has tokens that the model lacks, and when a
    limit or sampling parameter is out of its range."""
    if not request.prompt:
        raise RequestError("The prompt is empty: there is nothing to continue.")
    if len(request.prompt) >= context_length:
        raise RequestError(
            f"The prompt has {len(request.prompt)} tokens; prompt and reply together may have {context_length}."
        )
    foreign = next((token for token in request.prompt if not 0 <= token < vocabulary), None)
    if foreign is not None:
        raise RequestError(f"Token {foreign} is not in the vocabulary of {vocabulary} tokens.")
    if request.max_tokens < 0:
        raise RequestError(f"max_tokens is {request.max_tokens}; it may be 0 (no reply) or more.")
    sampling = request.sampling
    for name, value, possible in (
        ("temperature", sampling.temperature, 0 <= sampling.temperature < float("inf")),
        ("top_p", sampling.top_p, 0 < sampling.top_p <= 1),
        ("top_k", sampling.top_k, sampling.top_k >= 0),
        ("min_p", sampling.min_p, 0 <= sampling.min_p <= 1),
        ("repetition_penalty", sampling.repetition_penalty, 0 < sampling.repetition_penalty < float("inf")),
    ):
        if not possible:
            raise RequestError(f"{name} cannot be {value}.")
