"""Anthropic Messages, translated to Chat Completions.

`system`, messages and `tool_result` take text, as a string or as blocks; images and documents are refused.
`tool_choice` any and tool make the reply begin with a call, by grammar. A message of the assistant at the end
is continued. `output_config.format` holds the reply to a JSON Schema. Tools that Anthropic's own servers run
are left out, which a header says.

Without `thinking` there is no thought, as far as the model's template can do that, and one that comes all the
same is left out; disabled ends it at once. enabled, adaptive and between_tools give it as a `thinking` block
(its `signature` means nothing here; `display` omitted leaves out the text); `budget_tokens` ends it after so
many, and `output_config.effort` is `reasoning_effort`. `thinking` blocks of earlier replies go to the template,
which keeps those that the model was trained to see.

`input_tokens` of `usage` leaves out those found in the cache, which `cache_read_input_tokens` counts.

POST /v1/messages/count_tokens: the tokens that the same request's prompt has here.
"""

import json
from collections.abc import Iterable
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from mlx_model.server.body import InvalidRequest
from mlx_model.server.wires.chat import ChatCompletionRequest
from mlx_model.server.wires.messages_reply import MessagesWriter, Thoughts
from mlx_model.server.wires.received import Received, validated
from mlx_model.server.wires.thinking import Effort
from mlx_model.server.wires.wire import Asked

_OWN_TOOLS = (None, "custom")
_THOUGHTS = ("thinking", "redacted_thinking")


class Block(Received):
    """A block of content."""

    type: str
    text: str | None = None
    thinking: str = ""
    id: str = ""
    name: str = ""
    input: dict[str, Any] = Field(default={})
    tool_use_id: str = ""
    content: "str | list[Block] | None" = None


class Turn(Received):
    """A message of the conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class Tool(Received):
    """A tool; those with a `type` of their own are run by Anthropic's servers."""

    name: str
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None


class ToolChoice(Received):
    """How tools are to be called."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class OutputFormat(Received):
    """A schema that the reply follows."""

    type: Literal["json_schema"]
    value: dict[str, Any] = Field(alias="schema")


class OutputConfig(Received):
    """The form of the reply, and how much the model is to think."""

    format: OutputFormat | None = None
    effort: Effort | None = None


class Thinking(Received):
    """Whether the model thinks, for how many tokens, and whether the thought is shown."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Annotated[int, Field(ge=0)] | None = None
    display: Literal["summarized", "omitted"] | None = None


class CountRequest(Received):
    """The body of POST /v1/messages/count_tokens."""

    messages: Annotated[list[Turn], Field(min_length=1)]
    system: str | list[Block] | None = None
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None


class MessagesRequest(CountRequest):
    """The body of POST /v1/messages."""

    max_tokens: Annotated[int, Field(ge=0)]
    stream: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    output_config: OutputConfig | None = None
    thinking: Thinking | None = None

    @property
    def thoughts(self) -> Thoughts:
        """How the reply's thought is shown."""
        if self.thinking is None or self.thinking.type == "disabled":
            return "none"
        return "omitted" if self.thinking.display == "omitted" else "shown"

    @field_validator("stop_sequences")
    @classmethod
    def _not_too_many(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and len(value) > 16:
            raise ValueError(f"at most 16 stop strings are taken, and these are {len(value)}")
        return value


def read_messages(body: bytes) -> Asked:
    """The request in a body. Raises InvalidRequest."""
    request = validated(lambda: MessagesRequest.model_validate_json(body))
    return Asked(
        as_chat(request), partial(MessagesWriter, thoughts=request.thoughts), tuple(_left_out(request))
    )


def read_count(body: bytes) -> ChatCompletionRequest:
    """A request whose prompt is to be counted. Raises InvalidRequest."""
    return as_chat(validated(lambda: CountRequest.model_validate_json(body)))


def as_chat(request: CountRequest) -> ChatCompletionRequest:
    """The same request as one of Chat Completions. Raises InvalidRequest."""
    messages: list[dict[str, Any]] = []
    if request.system:
        messages.append({"role": "system", "content": _text(request.system, "system")})
    for number, turn in enumerate(request.messages):
        messages += _messages(turn, f"messages.{number}")
    chat: dict[str, Any] = {"messages": messages, **_tools(request)}
    if messages[-1]["role"] == "assistant" and "tool_calls" not in messages[-1]:
        chat["continue_final_message"] = True
    if isinstance(request, MessagesRequest):
        chat |= {
            "max_tokens": request.max_tokens,
            "stream": request.stream,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "top_k": request.top_k,
            "stop": request.stop_sequences,
            **_thinking(request),
        }
        held = request.output_config.format if request.output_config is not None else None
        if held is not None:
            form = {"schema": held.value, "strict": True}
            chat["response_format"] = {"type": "json_schema", "json_schema": form}
    return validated(lambda: ChatCompletionRequest.model_validate(chat))


def _thinking(request: MessagesRequest) -> dict[str, Any]:
    """Whether and how much the model is to think, in the fields of Chat Completions."""
    thinking = request.thinking
    if thinking is None:
        return {"chat_template_kwargs": {"enable_thinking": False}}
    if thinking.type == "disabled":
        return {"reasoning_effort": "none"}
    return {
        "chat_template_kwargs": {"enable_thinking": True},
        "reasoning_effort": request.output_config.effort if request.output_config is not None else None,
        "thinking_token_budget": thinking.budget_tokens,
    }


def _messages(turn: Turn, where: str) -> Iterable[dict[str, Any]]:
    """A turn as messages of a chat: results of tools are messages of their own there."""
    blocks = [Block(type="text", text=turn.content)] if isinstance(turn.content, str) else turn.content
    calls = [block for block in blocks if block.type == "tool_use"]
    results = [block for block in blocks if block.type == "tool_result"]
    rest = [block for block in blocks if block.type not in ("tool_use", "tool_result", *_THOUGHTS)]
    thought = "".join(block.thinking for block in blocks)
    for result in results:
        text = _text(result.content or "", f"{where}.tool_result")
        yield {"role": "tool", "tool_call_id": result.tool_use_id, "content": text}
    if calls or rest or not results:
        message: dict[str, Any] = {"role": turn.role, "content": _text(rest, where, turn.role)}
        if thought:
            message["reasoning_content"] = thought
        if calls:
            message["tool_calls"] = [
                {"id": call.id, "function": {"name": call.name, "arguments": json.dumps(call.input)}}
                for call in calls
            ]
        yield message


def _text(content: str | list[Block], where: str, role: str = "user") -> str:
    """The text of content. Raises InvalidRequest where it has anything else."""
    if isinstance(content, str):
        return content
    for block in content:
        if block.type != "text" or block.text is None:
            raise InvalidRequest(
                f"{where}: this engine reads text only, and cannot take a block of type {block.type!r}."
            )
    # Blocks of a reply are pieces of one text; those of a user are texts of their own.
    return ("" if role == "assistant" else "\n").join(block.text or "" for block in content)


def _tools(request: CountRequest) -> dict[str, Any]:
    tools = [tool for tool in request.tools or () if tool.type in _OWN_TOOLS]
    chat: dict[str, Any] = {}
    if tools:
        chat["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    **({"description": tool.description} if tool.description else {}),
                    "parameters": tool.input_schema or {},
                },
            }
            for tool in tools
        ]
    choice = request.tool_choice
    if choice is not None:
        if choice.disable_parallel_tool_use:
            chat["parallel_tool_calls"] = False
        named = {"type": "function", "function": {"name": choice.name}}
        chat["tool_choice"] = {"any": "required", "tool": named}.get(choice.type, choice.type)
    return chat


def _left_out(request: CountRequest) -> Iterable[str]:
    for tool in request.tools or ():
        if tool.type not in _OWN_TOOLS:
            yield f"The tool {tool.name!r} of type {tool.type!r} is left out: there is nobody here to run it."
