"""Requests and events of generation: the values exchanged between the server and the model."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


DraftMode = Literal["none", "lookup", "mtp", "dflash", "auto"]
"""Where drafts come from; auto uses every available source, while it pays."""


@dataclass(frozen=True, slots=True)
class SamplingParameters:
    """Sampling parameters, named as transformers names them. Temperature 0 is greedy; top_k 0, top_p 1, min_p 0
    and repetition penalty 1 are off; `seed` None draws one. The presence and the frequency penalty and
    `logit_bias` (by token) are OpenAI's: see mlx_model.decode.sampling.

    The defaults are those of Qwen3-Coder-Next's generation_config.json.
    """

    temperature: float = 1.0
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()


class Constraint(Protocol):
    """Which tokens may come next in a reply; it follows one reply token by token."""

    @property
    def active(self) -> bool:
        """Whether the next token is constrained."""
        ...

    def advance(self, token: int) -> None:
        """Takes the reply's next token in."""
        ...

    def mask(self) -> "NDArray[np.bool_]":
        """Which tokens [vocabulary] may come next."""
        ...

    def check(self, drafts: Sequence[int]) -> "tuple[int, NDArray[np.bool_] | None]":
        """How many of the drafts, from the first on, are admitted; and the masks at their positions and at the
        one after them, [admitted + 1, vocabulary], None where nothing is constrained."""
        ...


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A prompt as token ids, and when to stop. With `max_tokens` 0 only the prompt is processed, and its states
    are stored for later requests. `boundaries`: prompt positions (token counts, ascending) worth a snapshot,
    such as the end of the system prompt and of each message."""

    prompt: tuple[int, ...]
    max_tokens: int
    stop_tokens: frozenset[int]
    sampling: SamplingParameters = field(default_factory=SamplingParameters)
    boundaries: tuple[int, ...] = ()
    constraint: Callable[[], Constraint | None] = lambda: None
    """Makes a fresh constraint on the reply; None: the reply is free."""
    draft: DraftMode | None = None
    """How this reply is drafted; None: the generator's default."""
    adapter: str = ""
    """The adapter that it is computed under, "" for none; see mlx_model.engine.adapters."""
    logprobs: int | None = None
    """Report log-probabilities with each token: its own, and those of so many most likely ones. None: none."""


@dataclass(frozen=True, slots=True)
class PromptProcessed:
    """Progress of the prefill, in tokens: `processed` of `total`, `cached` of them found in the cache."""

    total: int
    cached: int
    processed: int
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class SourceDrafts:
    """How many tokens a draft source proposed, and how many of them were accepted."""

    source: str
    drafted: int
    accepted: int


@dataclass(frozen=True, slots=True)
class GenerationCosts:
    """Tokens and milliseconds of a generation so far; `drafts` by source."""

    cached_tokens: int
    prompt_tokens: int
    prompt_ms: float
    generated_tokens: int
    generated_ms: float
    drafts: tuple[SourceDrafts, ...] = ()
    shared_tokens: int = 0
    """Tokens of the reply that were decoded together with those of other replies, and so without drafts."""
    experts_needed: int | None = None
    """With experts partly on disk: how often one was needed (counted once a layer and pass), how often it had
    to be read, and the bytes read. None where all experts are resident."""
    experts_read: int | None = None
    expert_bytes_read: int | None = None

    @property
    def drafted_tokens(self) -> int:
        """Drafted tokens of all sources."""
        return sum(drafts.drafted for drafts in self.drafts)

    @property
    def accepted_tokens(self) -> int:
        """Accepted drafts of all sources."""
        return sum(drafts.accepted for drafts in self.drafts)


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Natural logarithms of probabilities (see mlx_model.decode.logprobs): that of a token, and those of the
    most likely tokens in its place, by token, the most likely first."""

    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class TokenGenerated:
    """One more token, and the costs so far, this token included. The stop token is reported too, as the last.
    `logprobs` where the request wants them."""

    token: int
    costs: GenerationCosts
    logprobs: TokenLogprobs | None = None


@dataclass(frozen=True, slots=True)
class GenerationFinished(GenerationCosts):
    """The end of a generation: its reason and its costs. `cancelled` when the caller cancelled it."""

    reason: Literal["stop", "length", "cancelled"] = field(kw_only=True)


GenerationEvent = PromptProcessed | TokenGenerated | GenerationFinished


class GenerationPort(Protocol):
    """A request under way. Called from one thread only."""

    @property
    def ended(self) -> bool:
        """Whether its last event has been given, or it was closed."""
        ...

    @property
    def prompt_left(self) -> int:
        """Prompt tokens still to be computed; 0 once it decodes."""
        ...

    @property
    def next_chunk(self) -> int:
        """How many of them the next step computes; 0 for a step that computes none."""
        ...

    def step(self) -> Iterator[GenerationEvent]:
        """Does the next piece of work, and gives its events: finds the prompt's stored prefix, processes a
        chunk of the prompt, or decodes the tokens of one pass. To be iterated to its end. What it raises ends
        the request."""
        ...

    def close(self) -> None:
        """Ends it without storing anything."""
        ...


GenerationT = TypeVar("GenerationT", bound=GenerationPort)


class GeneratorPort(Protocol[GenerationT]):
    """A loaded model that answers requests; called from one thread only."""

    @property
    def context_length(self) -> int:
        """The longest prompt plus reply, in tokens."""
        ...

    def admits(self, running: Sequence[GenerationRequest], request: GenerationRequest) -> bool:
        """Whether a request can be served beside those that are under way; always where none is."""
        ...

    def begin(self, request: GenerationRequest, cancelled: Callable[[], bool]) -> GenerationT:
        """A generation, the last of whose events is its one GenerationFinished. `cancelled` is asked after
        every prefill chunk and every token. Raises RequestError for a request that cannot be served."""
        ...

    def together(
        self, generations: Sequence[GenerationT]
    ) -> Iterator[tuple[GenerationT, GenerationEvent | Exception]]:
        """Decodes one token of each of several generations in one pass, and gives their events. To be iterated
        to its end. An exception that it gives ends that generation; one that it raises ends them all."""
        ...

    def generate(self, request: GenerationRequest, cancelled: Callable[[], bool]) -> Iterator[GenerationEvent]:
        """The events of one generation that is served alone. Raises RequestError before the first event."""
        return events_of(self.begin(request, cancelled))


def events_of(generation: GenerationPort) -> Iterator[GenerationEvent]:
    """The events of a generation that is served alone. Closed early, the generation is closed, too."""
    try:
        while not generation.ended:
            yield from generation.step()
    finally:
        generation.close()
