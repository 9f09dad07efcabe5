"""A conversation as the tokens a model continues from."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlx_model.chat.look_alikes import LookAlikes
from mlx_model.chat.remembered import Ends, RememberedReplies
from mlx_model.chat.template import ChatTemplate
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.chat.turns import TurnEncoder
from mlx_model.state.prefix_state import PrefixDigest


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt's tokens, and the positions (token counts) in it where a message, or system and tools, ended."""

    tokens: tuple[int, ...]
    boundaries: tuple[int, ...]


class PromptEncoder:
    """Renders conversations with the checkpoint's template and encodes them with its tokenizer."""

    def __init__(
        self, tokenizer: Tokenizer, template: ChatTemplate, replies: RememberedReplies | None = None
    ) -> None:
        """`replies` are those generated so far; without, those of this encoder's lifetime are remembered."""
        self.tokenizer = tokenizer
        self.template = template
        self._replies = replies or RememberedReplies()
        self._turns = TurnEncoder(tokenizer, self._replies)

    @classmethod
    def from_directory(cls, directory: Path, replies: RememberedReplies | None = None) -> "PromptEncoder":
        """Raises CheckpointError when the checkpoint lacks a usable tokenizer or template."""
        tokenizer = Tokenizer.from_directory(directory)
        return cls(tokenizer, ChatTemplate.from_directory(directory, tokenizer.named_tokens), replies)

    def encode(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()
    ) -> EncodedPrompt:
        """The prompt of a conversation. Roles must be the template's own words; every other string is taken for
        foreign text, which never yields a control token. Raises TemplateError."""
        look_alikes = LookAlikes(self.tokenizer.control_pattern, self.tokenizer.control_tokens)
        text = self.template.render(
            [
                {key: value if key == "role" else look_alikes.marked(value) for key, value in message.items()}
                for message in messages
            ],
            [look_alikes.marked(tool) for tool in tools],
        )
        tokens = self._turns.encode(text, look_alikes.mark, messages)
        # Foreign text has no stop token, so each one is where the template closed a turn.
        stops = self.tokenizer.stop_tokens
        return EncodedPrompt(tokens, tuple(at + 1 for at, token in enumerate(tokens) if token in stops))

    def reply_to(self, prompt: Sequence[int], ends: Ends) -> "ReplyMemory":
        """The memory of a reply to `prompt`; `ends` are where it may be broken off, at any time."""
        prefix = PrefixDigest()
        prefix.extend(prompt)
        return ReplyMemory(self._replies, prefix.digest(), ends)

    def remember(self, prompt: Sequence[int], message: Mapping[str, Any], tokens: Sequence[int]) -> None:
        """A reply to `prompt` as `ReplyMemory.whole` has it."""
        self.reply_to(prompt, tuple).whole(message, tokens)


@dataclass(frozen=True, slots=True)
class ReplyMemory:
    """How one reply will be known again: in a conversation that begins with its prompt, it is encoded as the
    tokens that it was generated as. `prefix` is the prompt's digest."""

    replies: RememberedReplies
    prefix: bytes
    ends: Ends

    def under_way(self) -> AbstractContextManager[None]:
        """While the reply is being made."""
        return self.replies.under_way(self.prefix, self.ends)

    def whole(self, message: Mapping[str, Any], tokens: Sequence[int]) -> None:
        """`message` was given out, and `tokens` are what the model generated."""
        self.replies.remember(self.prefix, message, tokens)

    def broken_off(self) -> None:
        """It came to an end that was not its own."""
        told: set[str] = set()
        for text, tokens in self.ends():
            if text.strip() not in told:
                told.add(text.strip())
                self.replies.remember(self.prefix, {"content": text}, tokens)
