"""A conversation as the wire knows it: OpenAI Chat Completions messages and tools, as values."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.settings.settings import Effort

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call the model made. `arguments` is the JSON text as it arrived, which may not parse."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation, in any role."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """The message as a Chat Completions JSON object."""
        wire: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            wire["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in self.tool_calls
            ]
        if self.tool_call_id is not None:
            wire["tool_call_id"] = self.tool_call_id
        return wire

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "Message":
        """The inverse of `to_wire`. Raises KeyError or TypeError on anything else."""
        return cls(
            role=wire["role"],
            content=wire.get("content") or "",
            tool_calls=tuple(
                ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
                for call in wire.get("tool_calls") or ()
            ),
            tool_call_id=wire.get("tool_call_id"),
        )


@dataclass(frozen=True, slots=True)
class ToolSpecification:
    """A tool as the model is told of it. `parameters` is a JSON Schema object."""

    name: str
    description: str
    parameters: Mapping[str, Any]

    def to_wire(self) -> dict[str, Any]:
        """The tool as a Chat Completions JSON object."""
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.description, "parameters": self.parameters},
        }


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file as the model last saw it: every path that leads to it, and its text with "\\n" at line ends."""

    paths: tuple[str, ...]
    text: str

    @property
    def sha256(self) -> str:
        """Of the text, as hexadecimal digits."""
        return hashlib.sha256(self.text.encode("utf-8", "replace")).hexdigest()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One request for a reply. What is None is left to the server's defaults. `files` tells what the model was
    shown of files, to which our own engine holds its edits; it blocks, and nobody else asks. Without `thinks`
    our own engine has a reasoning model answer at once. `effort`: None is what the settings say."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpecification, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    seed: int | None = None
    files: Callable[[], tuple[SeenFile, ...]] = tuple
    thinks: bool = True
    effort: Effort | None = None
    may_call: bool = True
    """False: the reply is text, although tools are named, for the sake of states that begin with them."""
    wants_chances: bool = False
    """Have our own engine tell how sure it was of each token (TokensChosen)."""
