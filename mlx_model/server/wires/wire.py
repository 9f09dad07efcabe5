"""What a wire is to the server: a reader of requests, and a writer of replies."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from mlx_model.chat.thoughts import ReadPart
from mlx_model.decode.request import GenerationCosts, GenerationFinished, PromptProcessed, TokenLogprobs
from mlx_model.server.wires.received import GenerationOptions

FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event."""

    data: Mapping[str, Any] | str
    name: str | None = None

    def encoded(self) -> bytes:
        """Its bytes in the stream."""
        text = self.data
        if not isinstance(text, str):
            text = json.dumps(text, ensure_ascii=False, separators=(",", ":"))
        return (f"event: {self.name}\n" if self.name else "").encode() + f"data: {text}\n\n".encode()


@dataclass(frozen=True, slots=True)
class ReadToken:
    """A token of the reply as text: its bytes, which may be part of a character, and its log-probabilities."""

    text: bytes
    logprobs: TokenLogprobs
    top: tuple[tuple[bytes, float], ...]
    """The most likely tokens, as bytes."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """How sure the model was of a token: the characters that it completes, markup of calls included; its
    probability, 0 to 1; and how much more that is than the most likely other token's, -1 to 1."""

    text: str
    probability: float
    margin: float


@dataclass(frozen=True, slots=True)
class Piece:
    """What a token, or the reply's end, completes. `costs`: so far; None at the end. `token` where the request
    wants log-probabilities, `doubt` where it wants that."""

    parts: tuple[ReadPart, ...]
    costs: GenerationCosts | None = None
    token: ReadToken | None = None
    doubt: Doubt | None = None


@dataclass(frozen=True, slots=True)
class ThoughtUse:
    """The tokens of a reply's thought, without those around it, and whether it was ended at its budget."""

    tokens: int = 0
    was_closed: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """A complete reply. `lowered_limit`: the most tokens of it, where the context has room for fewer than were
    asked for; `stop_string`: the one that ended it."""

    message: Mapping[str, Any]
    reason: FinishReason
    finished: GenerationFinished
    lowered_limit: int | None = None
    stop_string: str | None = None
    thought: ThoughtUse = ThoughtUse()


class Writer(Protocol):
    """Writes the replies to one request, choice by choice, as events or, in the end, as one object. It is given
    every piece in either case."""

    def opening(self) -> Iterable[Event]:
        """Before anything else."""
        ...

    def progress(self, processed: PromptProcessed) -> Iterable[Event]:
        """The prompt's progress."""
        ...

    def piece(self, choice: int, piece: Piece) -> Iterable[Event]:
        """More of a choice."""
        ...

    def ended(self, choice: int, reply: Ended) -> Iterable[Event]:
        """A choice is complete."""
        ...

    def ending(self, replies: Sequence[Ended]) -> Iterable[Event]:
        """All choices are complete."""
        ...

    def whole(self, replies: Sequence[Ended]) -> dict[str, Any]:
        """The response to a request that does not stream."""
        ...

    def failed(self, error: Mapping[str, Any]) -> Iterable[Event]:
        """The end of a stream that fails; `error` as of mlx_model.server.failures.error_body."""
        ...


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it was read. `writer` makes its writer, given the model's name and the number of tokens of
    the prompts; `left_out`: a sentence for each thing in the request that has no effect here and should."""

    request: GenerationOptions
    writer: Callable[[str, int], Writer]
    left_out: tuple[str, ...] = ()
