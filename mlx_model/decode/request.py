"""Requests and events of generation: the values exchanged between the server and the model."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


DraftMode = Literal["none", "lookup", "mtp", "auto"]
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


class GeneratorPort(Protocol):
    """A loaded model that can answer one request at a time; called from one thread only."""

    @property
    def context_length(self) -> int:
        """The longest prompt plus reply, in tokens."""
        ...

    def generate(self, request: GenerationRequest, cancelled: Callable[[], bool]) -> Iterator[GenerationEvent]:
        """The events of one generation, the last of which is its one GenerationFinished. `cancelled` is asked
        after every prefill chunk and every token. Raises RequestError before the first event for a request that
        cannot be served."""
        ...
