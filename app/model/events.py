"""The events of a reply that is being generated, and the status of the engine."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class PromptProgress:
    """Prompt processing so far, in tokens; `cached` of them cost nothing (llama.cpp's `prompt_progress`)."""

    total: int
    cached: int
    processed: int
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the visible reply."""

    text: str


@dataclass(frozen=True, slots=True)
class ThoughtDelta:
    """More of what the model thinks before it answers; no part of the reply."""

    text: str


@dataclass(frozen=True, slots=True)
class TextWasThought:
    """All text of the reply so far was a thought: its end has come, whose beginning the server did not send."""


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """More of tool call `index`. `id` and `name` come with its first fragment, "" afterwards."""

    index: int
    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class TokenChance:
    """How sure the model was of a token of its reply: the characters it stands for, markup of calls included;
    its probability, 0 to 1; how much more that is than the most likely other token's, -1 to 1."""

    text: str
    probability: float
    margin: float


@dataclass(frozen=True, slots=True)
class TokensChosen:
    """How sure the model was of the next tokens (our engine's `doubt`)."""

    tokens: tuple[TokenChance, ...]


@dataclass(frozen=True, slots=True)
class Timings:
    """llama.cpp's `timings`: times in milliseconds, counts in tokens. Draft counts are 0 without drafting."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_second: float
    predicted_n: int
    predicted_ms: float
    predicted_per_second: float
    draft_n: int = 0
    draft_n_accepted: int = 0
    expert_hit_rate: float | None = None
    """Of the experts needed, the share that was in memory (our engine). None where all of them always are."""
    draft_sources: tuple[str, ...] = ()
    """Where drafts came from (our engine)."""

    @property
    def accepted_per_step(self) -> float | None:
        """Drafted tokens that a pass of the model accepted, on average: each pass makes one token besides.
        None without drafts."""
        steps = self.predicted_n - self.draft_n_accepted
        return self.draft_n_accepted / steps if self.draft_n and steps > 0 else None


@dataclass(frozen=True, slots=True)
class ReplyProgress:
    """What the reply has taken so far (llama.cpp's `timings_per_token`)."""

    timings: Timings


@dataclass(frozen=True, slots=True)
class Warned:
    """What of the request the server left out, in sentences (our engine's X-Tidegate-Warning)."""

    text: str


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class Finished:
    """The reply is complete. Servers that are not ours may send neither usage nor timings. `reasoning_tokens`:
    of its thought, which `thought_was_closed` says was ended at its budget."""

    reason: FinishReason
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    timings: Timings | None = None
    reasoning_tokens: int | None = None
    thought_was_closed: bool = False


StreamEvent = (
    PromptProgress
    | TextDelta
    | ThoughtDelta
    | TextWasThought
    | ToolCallDelta
    | ReplyProgress
    | TokensChosen
    | Warned
    | Finished
)


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """A model that a server offers; `context_length` in tokens, None where the server does not say.

    `keeps_prefixes`: the states of prompts outlive the server. `details` are plain "name: value" facts of our
    own engine (dtype, quantization, drafter), for display.
    """

    id: str
    context_length: int | None = None
    keeps_prefixes: bool = False
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class AdapterDescription:
    """An adapter that our engine has beside its model. `is_default`: of replies that ask for none by name."""

    name: str
    is_default: bool = False


EnginePhase = Literal["absent", "starting", "loading", "ready", "restarting", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """The engine's status. `message` is a sentence for the user; `progress` is 0 to 1 while loading.

    absent: no model was found or named. failed: it died or cannot be reached and will not be tried again
    by itself. `is_short`: the machine is short of memory now. `given_up`: what the engine does without for
    that, in sentences.
    """

    phase: EnginePhase
    message: str = ""
    progress: float | None = None
    model: ModelDescription | None = None
    is_short: bool = False
    given_up: str = ""
