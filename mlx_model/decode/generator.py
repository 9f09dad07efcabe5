"""Serving one request at a time: prefill in chunks, then decoding token by token."""

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Generic

import mlx.core as mx
from typing_extensions import override

from mlx_model.decode.drafting import Drafting
from mlx_model.decode.language_model import LanguageModel, StateKeeper, StateT
from mlx_model.decode.loop import DecodingLoop, Run
from mlx_model.decode.request import DraftMode, GenerationEvent, GenerationRequest, GeneratorPort
from mlx_model.errors import RequestError

SNAPSHOT_EVERY = 4096
"""Tokens of a long prefill between two snapshots, beside those at message boundaries."""


_REPLY_ROOM = 1024
"""Tokens of a reply that room is made for with the prompt's: few replies are longer, and room takes memory."""


class Generator(GeneratorPort, Generic[StateT]):
    """A GeneratorPort over a language model.

    `states` gives the state of the longest stored prefix of a prompt. It stores states at the request's
    boundaries, every SNAPSHOT_EVERY tokens of a long prefill, and at the end of the reply.
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
        """`context_length`: the most tokens of prompt and reply together (default: the model's); `chunk`:
        prompt tokens computed at once. `drafting` serves requests without a draft mode, `ways` those with one;
        `cannot` gives the error message for a mode that is in neither."""
        self._model = model
        self._states = states
        self._chunk = chunk
        self._drafting = drafting
        self._ways = ways
        self._cannot = cannot
        self._context_length = context_length or model.context_length

    @property
    @override
    def context_length(self) -> int:
        return self._context_length

    @override
    def generate(self, request: GenerationRequest, cancelled: Callable[[], bool]) -> Iterator[GenerationEvent]:
        """As the port says; a reply also ends, with reason `length`, where the context is full."""
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
        expected = len(request.prompt) + min(request.max_tokens, _REPLY_ROOM)
        run.state.reserve(min(expected, self.context_length))
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
            # MLX is lazy: logits that are never evaluated cost nothing.
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
        # Without a reply, later requests continue from the last boundary, which is stored already.
        if request.max_tokens or run.reason == "cancelled":
            self._keep(run, drafting)
        yield finished

    def _chunks(self, run: Run[StateT]) -> Iterator[slice]:
        """The rest of the prompt, cut at the chunk size and at the request's boundaries."""
        start, total = run.state.length, len(run.request.prompt)
        boundaries = {boundary for boundary in run.request.boundaries if start < boundary < total}
        cuts = {start, total, *range(start, total, self._chunk), *boundaries}
        return (slice(a, b) for a, b in pairwise(sorted(cuts)))

    def _keep(self, run: Run[StateT], drafting: Drafting[Any] | None) -> None:
        """Stores the state, if it has grown: it has seen a prefix of the prompt, or all tokens but the last."""
        if run.state.length > run.kept:
            if drafting is not None:
                drafting.settle()
            seen = (*run.request.prompt, *run.tokens)[: run.state.length]
            interrupted = run.tokens and run.reason == "cancelled"
            (self._states.keep_interrupted if interrupted else self._states.keep)(seen, run.state)
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
    unknown = next((token for token in request.prompt if not 0 <= token < vocabulary), None)
    if unknown is not None:
        raise RequestError(f"Token {unknown} is not in the vocabulary of {vocabulary} tokens.")
    biased = next((token for token, _ in request.sampling.logit_bias if not 0 <= token < vocabulary), None)
    if biased is not None:
        raise RequestError(f"logit_bias: token {biased} is not in the vocabulary of {vocabulary} tokens.")
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
