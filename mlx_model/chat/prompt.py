"""Encoding a conversation as a prompt: messages and tools to tokens."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlx_model.chat.look_alikes import LookAlikes
from mlx_model.chat.remembered import Ends, RememberedReplies
from mlx_model.chat.template import ChatTemplate
from mlx_model.chat.tokenizer import Tokenizer, read_settings
from mlx_model.chat.turns import TurnEncoder
from mlx_model.state.prefix_state import PrefixDigest

KNOWS_TOOLS = "trained_on_tools"
"""The field of tokenizer_config.json that says so of a model."""
_PLAIN_NAME = re.compile(r"\w{2,}", re.ASCII)
"""Names that templates write as they are."""


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt's tokens, and the positions (token counts) in it at which the system prompt and each message
    end."""

    tokens: tuple[int, ...]
    boundaries: tuple[int, ...]
    lacks_tools: bool = False
    """Whether tools were given that the template leaves out, and that the model was not trained on."""


class PromptEncoder:
    """Renders conversations with the checkpoint's template and encodes them with its tokenizer."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        replies: RememberedReplies | None = None,
        *,
        knows_tools: bool = False,
    ) -> None:
        """`replies`: the replies generated so far; by default a new table in memory. `knows_tools`: the model
        was trained on its tools, and needs no prompt to tell of them."""
        self.tokenizer = tokenizer
        self.knows_tools = knows_tools
        self.template = template
        self._replies = replies or RememberedReplies()
        self._turns = TurnEncoder(tokenizer, self._replies)

    @classmethod
    def from_directory(cls, directory: Path, replies: RememberedReplies | None = None) -> "PromptEncoder":
        """The encoder of a checkpoint. Raises CheckpointError when it lacks a usable tokenizer or template."""
        tokenizer = Tokenizer.from_directory(directory)
        template = ChatTemplate.from_directory(directory, tokenizer.named_tokens)
        knows_tools = read_settings(directory / "tokenizer_config.json").get(KNOWS_TOOLS) is True
        return cls(tokenizer, template, replies, knows_tools=knows_tools)

    def encode(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] | None = None,
    ) -> EncodedPrompt:
        """The prompt of a conversation. Roles must be those of the template; every other string is supplied
        text, which never yields a control token. `variables` of the template, such as enable_thinking. Raises
        TemplateError."""
        look_alikes = LookAlikes(self.tokenizer.control_pattern, self.tokenizer.control_tokens)
        text = self.template.render(
            [
                {key: value if key == "role" else look_alikes.marked(value) for key, value in message.items()}
                for message in messages
            ],
            [look_alikes.marked(tool) for tool in tools],
            {name: look_alikes.marked(value) for name, value in (variables or {}).items()},
        )
        tokens = self._turns.encode(text, look_alikes.mark, messages)
        # Supplied text has no stop tokens, so the template closes a turn at each one.
        stops = self.tokenizer.stop_tokens
        ends = tuple(at + 1 for at, token in enumerate(tokens) if token in stops)
        return EncodedPrompt(
            tokens, ends, lacks_tools=not self.knows_tools and _lacks(text.replace(look_alikes.mark, ""), tools)
        )

    def reply_to(self, prompt: Sequence[int], ends: Ends) -> "ReplyMemory":
        """The memory of a reply to `prompt`; `ends` gives the prefixes of it that a client may have, at any
        time."""
        prefix = PrefixDigest()
        prefix.extend(prompt)
        return ReplyMemory(self._replies, prefix.digest(), ends)

    def remember(self, prompt: Sequence[int], message: Mapping[str, Any], tokens: Sequence[int]) -> None:
        """Remembers a complete reply to `prompt` (see ReplyMemory.completed)."""
        self.reply_to(prompt, tuple).completed(message, tokens)


def _lacks(text: str, tools: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a rendered prompt does not name one of the tools."""
    names = (tool.get("function", {}).get("name", "") for tool in tools)
    return any(isinstance(name, str) and _PLAIN_NAME.fullmatch(name) and name not in text for name in names)


@dataclass(frozen=True, slots=True)
class ReplyMemory:
    """Remembers one reply, so that a later conversation that begins with its prompt encodes it as the tokens
    that were generated. `prefix`: the prompt's digest."""

    replies: RememberedReplies
    prefix: bytes
    ends: Ends

    def in_progress(self) -> AbstractContextManager[None]:
        """A context in which the reply is being generated."""
        return self.replies.in_progress(self.prefix, self.ends)

    def completed(self, message: Mapping[str, Any], tokens: Sequence[int]) -> None:
        """Remembers the reply: `message` as the client received it, `tokens` as generated."""
        self.replies.remember(self.prefix, message, tokens)

    def interrupted(self) -> None:
        """Remembers every prefix of the reply that the client may have, after a disconnect or a stop string."""
        texts: set[str] = set()
        for text, tokens in self.ends():
            if text.strip() not in texts:
                texts.add(text.strip())
                self.replies.remember(self.prefix, {"content": text}, tokens)
