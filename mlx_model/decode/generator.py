"""Serving requests: each is a generation of its own, and those that decode can do it together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic

from typing_extensions import override

from mlx_model.decode.batch import Batch, BatchingModel
from mlx_model.decode.drafting import Drafting
from mlx_model.decode.generation import Generation, Shared
from mlx_model.decode.language_model import LanguageModel, StateKeeper, StateT
from mlx_model.decode.request import DraftMode, GenerationEvent, GenerationRequest, GeneratorPort
from mlx_model.errors import RequestError

MOST_ROWS = 8
"""Requests under way at once. With more, each reply would be slow, and a pass over more tokens takes other
kernels."""


class Generator(GeneratorPort[Generation[StateT]], Generic[StateT]):
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
        batching: BatchingModel[StateT] | None = None,
    ) -> None:
        """`context_length`: the most tokens of prompt and reply together (default: the model's); `chunk`:
        prompt tokens computed at once. `drafting` serves requests without a draft mode, `ways` those with one;
        `cannot` gives the error message for a mode that is in neither. `batching`: the model, if it can decode
        several replies together; None: requests are served one at a time."""
        batch = None if batching is None else Batch(batching)
        length = context_length or model.context_length
        self._shared: Shared[StateT] = Shared(model, states, chunk, length, batch)
        self._drafting = drafting
        self._ways = ways
        self._cannot = cannot

    @property
    @override
    def context_length(self) -> int:
        return self._shared.context_length

    @override
    def admits(self, running: Sequence[GenerationRequest], request: GenerationRequest) -> bool:
        return not running or (self._shared.batch is not None and len(running) < MOST_ROWS)

    @override
    def begin(self, request: GenerationRequest, cancelled: Callable[[], bool]) -> Generation[StateT]:
        """As the port says; a reply also ends, with reason `length`, where the context is full."""
        check_request(request, self.context_length, self._shared.model.vocabulary)
        drafting = self._drafting
        if request.draft is not None:
            if request.draft not in self._ways:
                raise RequestError(self._cannot(request.draft))
            drafting = self._ways[request.draft]
        return Generation(request, cancelled, self._shared, drafting)

    @override
    def together(
        self, generations: Sequence[Generation[StateT]]
    ) -> Iterator[tuple[Generation[StateT], GenerationEvent | Exception]]:
        batch = self._shared.batch
        assert batch is not None, "this model serves one request at a time"
        self._shared.computed_last = None
        owners = {generation.loop: generation for generation in generations if generation.loop is not None}
        for loop, event in batch.step(list(owners)):
            generation = owners[loop]
            if isinstance(event, Exception):
                generation.close()
            yield generation, event
        for generation in generations:
            if generation.loop is None or not generation.loop.ended:
                continue
            try:
                for last in generation.finish():
                    yield generation, last
            except Exception as error:  # noqa: BLE001 (it is handed on, and must not end the other replies)
                generation.close()
                yield generation, error


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
