"""What a turn tells whoever watches it: the agent pane, the headless command, a test."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.model.events import Finished, PromptProgress, TextWasThought, Timings
from app.review.model import FileSummary

EndReason = Literal["done", "cancelled", "error", "limit"]


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The user's message `text` was taken as turn number `turn`, counted from 1."""

    turn: int
    text: str


@dataclass(frozen=True, slots=True)
class Steered:
    """The user's message `text` was taken in the middle of the turn."""

    text: str


@dataclass(frozen=True, slots=True)
class Attached:
    """What the user mentioned went along with the message; `names` as "src/a.py:10-40"."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PromptProgressed:
    """The model is reading the prompt."""

    progress: PromptProgress


@dataclass(frozen=True, slots=True)
class TextStreamed:
    """More of the model's visible words."""

    text: str


@dataclass(frozen=True, slots=True)
class ThoughtStreamed:
    """More of what the model thinks before it answers."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallStreamed:
    """The model is writing a call; `name` is known, `arguments` is all that has arrived of its JSON text."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A call was parsed, permitted and begun. `summary` is one line for a person: "Read src/a.py 1-40".
    `is_users`: the user ran the command, not the model."""

    call_id: str
    name: str
    arguments: Mapping[str, Any]
    summary: str
    is_users: bool = False


@dataclass(frozen=True, slots=True)
class ToolOutput:
    """A running command printed more."""

    call_id: str
    text: str


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A call ended. `result` is what the model is told; `display` what a person is shown of it (a diff, a
    few lines). `summary` is of a call that was refused before it began, so that no ToolStarted has it; "" of
    others, and where the arguments could not be read."""

    call_id: str
    name: str
    ok: bool
    result: str
    display: str
    summary: str = ""


@dataclass(frozen=True, slots=True)
class SubtaskStep:
    """The sub-task that call `call_id` began makes a call of its own (see ToolStarted)."""

    call_id: str
    name: str
    arguments: Mapping[str, Any]
    summary: str


@dataclass(frozen=True, slots=True)
class SubtaskReplied:
    """One request to the model of the sub-task that call `call_id` began is complete."""

    call_id: str
    finished: Finished


@dataclass(frozen=True, slots=True)
class TodosChanged:
    """The model's plan, as (text, "pending" | "in_progress" | "completed") pairs."""

    todos: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class FilesChanged:
    """Tools changed these paths (relative to the root)."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReplyProgressed:
    """How fast the reply comes, told some times a second where the server says."""

    timings: Timings


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """One request to the model is complete: its usage and timings."""

    finished: Finished


@dataclass(frozen=True, slots=True)
class ReplyBroken:
    """The reply that was arriving broke off for the reason that `text` says, and begins again."""

    text: str


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something the user should know, in one sentence."""

    text: str


@dataclass(frozen=True, slots=True)
class TurnSummarized:
    """What the turn did to files, shortly before or after its end."""

    files: tuple[FileSummary, ...]


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The turn is over. `message` explains an error or limit; "" otherwise."""

    turn: int
    reason: EndReason
    message: str = ""


AgentEvent = (
    TurnStarted
    | Steered
    | Attached
    | PromptProgressed
    | TextStreamed
    | ThoughtStreamed
    | TextWasThought
    | ToolCallStreamed
    | ToolStarted
    | ToolOutput
    | ToolFinished
    | SubtaskStep
    | SubtaskReplied
    | TodosChanged
    | FilesChanged
    | ReplyProgressed
    | ReplyFinished
    | ReplyBroken
    | Noticed
    | TurnSummarized
    | TurnEnded
)
