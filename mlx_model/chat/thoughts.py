"""The thought of a reasoning model: what it writes before its answer, up to the token `</think>`. A chat
template may open it, at the end of the prompt."""

from collections.abc import Sequence
from dataclasses import dataclass

from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.chat.tools.reply_parts import ReplyPart

OPENING, CLOSING = "<think>", "</think>"


@dataclass(frozen=True, slots=True)
class Thought:
    """The next piece of the thought."""

    text: str


ReadPart = ReplyPart | Thought
"""What a reply is read as."""


@dataclass(frozen=True, slots=True)
class ThoughtTokens:
    """The control tokens around a thought."""

    open: int
    close: int
    stops: frozenset[int]
    """The tokens that end a turn."""

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> "ThoughtTokens | None":
        """A tokenizer's; None where it has none."""
        control = tokenizer.control_tokens
        if OPENING not in control or CLOSING not in control:
            return None
        return cls(control[OPENING], control[CLOSING], tokenizer.stop_tokens)

    def opened_by(self, prompt: Sequence[int]) -> bool:
        """Whether a prompt ends within a thought."""
        telling = {self.open, self.close} | self.stops
        return next((token for token in reversed(prompt) if token in telling), None) == self.open
