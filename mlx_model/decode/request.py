"""What generation is asked for and what it reports: values between the server and the model."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


DraftMode = Literal["none", "lookup", "mtp", "auto"]
"""Where drafts come from; auto takes whatever source is there, while it pays."""


@dataclass(frozen=True, slots=True)
class SamplingParameters:
    """How a token is chosen. Temperature 0 is greedy; top_k 0, top_p 1, min_p 0 and penalty 1 are off.

    The defaults are the model's published ones.
    """

    temperature: float = 1.0
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None


class Constraint(Protocol):
    """Which tokens a reply may go on with; follows one reply token by token."""

    @property
    def active(self) -> bool:
        """Whether the next token is constrained."""
        ...

    def advance(self, token: int) -> None:
        """The reply goes on with this token."""
        ...

    def mask(self) -> "NDArray[np.bool_]":
        """Which tokens [vocabulary] may come next."""
        ...

    def check(self, drafts: Sequence[int]) -> "tuple[int, NDArray[np.bool_] | None]":
        """How many of the drafts may come, one after another; and what may come instead of each of these and
        after them, [drafts that may + 1, vocabulary], None where anything may."""
        ...


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A prompt as tokens, and when to stop: with `max_tokens` 0 after the prompt, whose states are kept for
    others to go on from. `boundaries` are the prompt positions (token counts) worth a
    snapshot: the end of the system prompt and of each message, ascending."""

    prompt: tuple[int, ...]
    max_tokens: int
    stop_tokens: frozenset[int]
    sampling: SamplingParameters = field(default_factory=SamplingParameters)
    boundaries: tuple[int, ...] = ()
    constraint: Callable[[], Constraint | None] = lambda: None
    """Makes a fresh constraint on the reply; None: it is free."""
    draft: DraftMode | None = None
    """How this reply is drafted; None: as the generator does where nobody says."""


@dataclass(frozen=True, slots=True)
class PromptProcessed:
    """Prefill so far, in tokens, `cached` of them found in the cache; milliseconds since the start."""

    total: int
    cached: int
    processed: int
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class SourceDrafts:
    """How many tokens a source of drafts proposed, and how many of them were accepted."""

    source: str
    drafted: int
    accepted: int


@dataclass(frozen=True, slots=True)
class GenerationCosts:
    """What a generation has cost so far, in tokens and milliseconds; `drafts` by source."""

    cached_tokens: int
    prompt_tokens: int
    prompt_ms: float
    generated_tokens: int
    generated_ms: float
    drafts: tuple[SourceDrafts, ...] = ()
    experts_needed: int | None = None
    """Where only some experts are in memory: how often one was needed (once a layer and step), how often
    it had to be read, and the bytes read. None where all are."""
    experts_read: int | None = None
    expert_bytes_read: int | None = None

    @property
    def drafted_tokens(self) -> int:
        """Of all sources."""
        return sum(drafts.drafted for drafts in self.drafts)

    @property
    def accepted_tokens(self) -> int:
        """Of all sources."""
        return sum(drafts.accepted for drafts in self.drafts)


@dataclass(frozen=True, slots=True)
class TokenGenerated:
    """One more token, and what the generation has cost with it. The stop token itself is reported too, as the
    last one."""

    token: int
    costs: GenerationCosts


@dataclass(frozen=True, slots=True)
class GenerationFinished(GenerationCosts):
    """Why it ended, and what it cost. `cancelled` when the caller asked for an end."""

    reason: Literal["stop", "length", "cancelled"] = field(kw_only=True)


GenerationEvent = PromptProcessed | TokenGenerated | GenerationFinished


class GeneratorPort(Protocol):
    """A loaded model that can answer one request at a time; called from one thread only."""

    @property
    def context_length(self) -> int:
        """The longest prompt plus reply, in tokens."""
        ...

    def generate(self, request: GenerationRequest, cancelled: Callable[[], bool]) -> Iterator[GenerationEvent]:
        """The events of one generation, ending with exactly one GenerationFinished. `cancelled` is asked after
        every prefill chunk and every token. Raises RequestError before the first event when the request
        cannot fit."""
        ...
