"""The checkpoint's chat template, which renders a conversation as the model was trained on it."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from mlx_model.chat.sandbox import Limits, TemplateEnvironment, TemplateStopped
from mlx_model.chat.thoughts import CLOSING, OPENING
from mlx_model.chat.tokenizer import read_settings
from mlx_model.errors import CheckpointError, RequestError

_SECONDS = 10.0
"""What a rendering may take: a conversation of 262,144 tokens takes well under a second."""
_CHARACTERS = 64_000_000
"""What a prompt may have: more than 1 M tokens of 4 to 5 characters, and the body of a request (64 MiB)."""


class TemplateError(RequestError):
    """The chat template rejected the conversation, failed, or was stopped at a limit."""


class ChatTemplate:
    """A compiled chat template. Rendering is safe from any thread; a lock has one at a time."""

    def __init__(
        self,
        source: str,
        named_tokens: Mapping[str, str] | None = None,
        seconds: float = _SECONDS,
        characters: int = _CHARACTERS,
    ) -> None:
        """`named_tokens` (bos_token, ...) are variables of the template; `seconds` and `characters` bound one
        rendering. Raises CheckpointError when the source is no Jinja template.
        """
        self._source = source
        self._environment = TemplateEnvironment()
        self._named_tokens = dict(named_tokens or {})
        self._seconds = seconds
        self._characters = characters
        self._lock = threading.Lock()
        try:
            self._template = self._environment.from_string(source)
        except (jinja2.TemplateError, RecursionError) as error:
            raise CheckpointError(f"The chat template cannot be compiled: {error}.") from error

    @classmethod
    def from_directory(cls, directory: Path, named_tokens: Mapping[str, str]) -> "ChatTemplate":
        """The template in chat_template.jinja, else in tokenizer_config.json (the one named "default" where
        there are several). Raises CheckpointError when there is none."""
        path = directory / "chat_template.jinja"
        try:
            return cls(path.read_text(encoding="utf-8"), named_tokens)
        except FileNotFoundError:
            source = read_settings(directory / "tokenizer_config.json").get("chat_template")
        except (OSError, UnicodeDecodeError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}.") from error
        if isinstance(source, list):
            by_name = {entry.get("name"): entry.get("template") for entry in source if isinstance(entry, dict)}
            source = by_name.get("default")
        if not isinstance(source, str):
            raise CheckpointError(
                f"{directory} has no chat template; it needs a chat_template.jinja, or a chat_template in "
                "tokenizer_config.json."
            )
        return cls(source, named_tokens)

    def knows(self, name: str) -> bool:
        """Whether the template has a variable of this name."""
        return name in self._source

    @property
    def thinks(self) -> bool:
        """Whether the template has a place for thoughts."""
        return OPENING in self._source or CLOSING in self._source

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        variables: Mapping[str, Any] | None = None,
    ) -> str:
        """The prompt's text, up to the opening of the assistant's reply. Arguments of tool calls are mappings
        here, not JSON text. `variables` beside those that every template has, which they cannot replace. Raises
        TemplateError."""
        with self._lock:
            limits = self._environment.limits = Limits(self._seconds, self._characters)
            try:
                return self._rendered(limits, messages, tools, variables or {})
            except TemplateStopped as error:
                raise TemplateError(f"The model's chat template was stopped: {error}.") from error
            except jinja2.exceptions.SecurityError as error:
                raise TemplateError(
                    f"The model's chat template was stopped: it reached for what is not its own ({error})."
                ) from error
            except jinja2.TemplateError as error:
                raise TemplateError(
                    f"The model's chat template does not accept this conversation: {error}"
                ) from error
            except RecursionError as error:
                raise TemplateError(
                    "The model's chat template was stopped: it calls itself forever."
                ) from error
            except Exception as error:  # a template's code can raise anything
                raise TemplateError(
                    f"The model's chat template failed on this conversation: {type(error).__name__}: {error}"
                ) from error

    def _rendered(
        self,
        limits: Limits,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        variables: Mapping[str, Any],
    ) -> str:
        pieces: list[str] = []
        length = 0
        fixed = {
            "messages": list(messages),
            "tools": list(tools) or None,
            "documents": None,
            "add_generation_prompt": True,
            **self._named_tokens,
        }
        for piece in self._template.generate({**variables, **fixed}):
            length += len(piece)
            limits.check_time()
            limits.check_size(length)
            pieces.append(piece)
        return "".join(pieces)
