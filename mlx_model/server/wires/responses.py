"""OpenAI Responses, translated to Chat Completions.

`input`: a text, or items: messages, function calls and their results, and reasoning, whose text goes to the
model's template with the reply that follows it. `instructions` and system messages at the start become one
system message. `reasoning.effort` is `reasoning_effort` in Chat Completions; a thought is an item of type
reasoning, with its text as content and without a summary. `previous_response_id` continues a response from
memory, as long as it is there and was not made with `store` false. `tools`: functions; tools of type custom are
functions with one text, `input`; those that OpenAI's own servers run are left out, which a header says.
`text.format` is what `response_format` is in Chat Completions.
`include` takes message.output_text.logprobs. Background responses, prompts and conversations stored elsewhere,
and parts that are not text are refused.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from mlx_model.server.body import InvalidRequest
from mlx_model.server.failures import UnknownResponse
from mlx_model.server.wires.chat import ChatCompletionRequest
from mlx_model.server.wires.received import MOST_LOGPROBS, Received, validated
from mlx_model.server.wires.responses_memory import Conversation, ResponseMemory
from mlx_model.server.wires.responses_reply import Echo, ResponseWriter
from mlx_model.server.wires.thinking import Effort
from mlx_model.server.wires.wire import Asked

_LOGPROBS = "message.output_text.logprobs"
_TEXT_PARTS = ("input_text", "output_text", "text", "refusal")


class Part(Received):
    """A part of a message or of a result."""

    type: str
    text: str | None = None
    refusal: str | None = None


class Item(Received):
    """An item of the input."""

    type: str = "message"
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: str | list[Part] | None = None
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    input: str = ""
    output: str | list[Part] | None = None


class Tool(Received):
    """A tool of any type."""

    type: str
    name: str = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Named(Received):
    """A tool to call."""

    type: str
    name: str = ""


class TextFormat(Received):
    """The form of the reply."""

    type: Literal["text", "json_object", "json_schema"]
    value: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: bool | None = None


class Reasoning(Received):
    """How much the model is to think."""

    effort: Effort | None = None


class TextOptions(Received):
    """Options of the reply's text."""

    format: TextFormat | None = None


class ResponseRequest(Received):
    """The body of POST /v1/responses."""

    input: str | list[Item] = Field(default=[])
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: bool | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | Named | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: Reasoning | None = None
    include: list[str] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    metadata: dict[str, Any] | None = None
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None

    @field_validator("background", "conversation", "prompt")
    @classmethod
    def _not_here(cls, value: Any) -> Any:
        if value:
            raise ValueError("this server does not have that; leave it out")
        return value

    @property
    def own_tools(self) -> list[Tool]:
        """The tools that the client runs."""
        return [tool for tool in self.tools or () if tool.type in ("function", "custom") and tool.name]

    @property
    def custom(self) -> frozenset[str]:
        """The names of the tools that take one text."""
        return frozenset(tool.name for tool in self.own_tools if tool.type == "custom")


def read_response(body: bytes, memory: ResponseMemory) -> Asked:
    """The request in a body. Raises InvalidRequest, and UnknownResponse for one that `memory` does not have."""
    request = validated(lambda: ResponseRequest.model_validate_json(body))
    earlier: Conversation = ()
    if request.previous_response_id is not None:
        found = memory.find(request.previous_response_id)
        if found is None:
            raise UnknownResponse(
                f"previous_response_id: {request.previous_response_id!r} is not in memory (any more); "
                "send the whole conversation as input."
            )
        earlier = found.conversation
    conversation = [*earlier, *messages_of(request.input)]
    chat = as_chat(request, conversation)
    effort = request.reasoning.effort if request.reasoning is not None else None
    echo = Echo(
        instructions=request.instructions,
        previous_response_id=request.previous_response_id,
        metadata=request.metadata or {},
        store=request.store is not False,
        tools=[tool.model_dump(exclude_none=True) for tool in request.own_tools],
        tool_choice=request.tool_choice if isinstance(request.tool_choice, str) else "auto",
        parallel_tool_calls=request.parallel_tool_calls is not False,
        temperature=request.temperature,
        top_p=request.top_p,
        max_output_tokens=request.max_output_tokens,
        text=request.text.model_dump(by_alias=True, exclude_none=True) if request.text is not None else {},
        reasoning={"effort": effort, "summary": None},
    )

    def keep(response: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
        if echo.store:
            memory.keep(response, [*conversation, reply])

    return Asked(
        chat,
        lambda model, _: ResponseWriter(model, echo, request.custom, bool(chat.logprobs), keep),
        tuple(_left_out(request)),
    )


def as_chat(request: ResponseRequest, conversation: Iterable[Mapping[str, Any]]) -> ChatCompletionRequest:
    """The same request as one of Chat Completions, with this conversation. Raises InvalidRequest."""
    chat: dict[str, Any] = {
        "messages": _with_one_system(request.instructions, conversation),
        "stream": request.stream,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "max_tokens": request.max_output_tokens,
        "parallel_tool_calls": request.parallel_tool_calls,
        "reasoning_effort": request.reasoning.effort if request.reasoning is not None else None,
    }
    if request.own_tools:
        chat["tools"] = [_as_function(tool) for tool in request.own_tools]
    if isinstance(request.tool_choice, Named):
        chat["tool_choice"] = {"type": "function", "function": {"name": request.tool_choice.name}}
    elif request.tool_choice is not None:
        chat["tool_choice"] = request.tool_choice
    if _LOGPROBS in (request.include or ()) or request.top_logprobs:
        chat |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    form = request.text.format if request.text is not None else None
    if form is not None:
        schema = {"schema": form.value or {}, "strict": form.strict}
        chat["response_format"] = {"type": form.type, "json_schema": schema}
    return validated(lambda: ChatCompletionRequest.model_validate(chat))


def messages_of(given: str | list[Item]) -> list[dict[str, Any]]:
    """Input as messages of Chat Completions. Raises InvalidRequest."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    return list(_joined(_message(item, f"input.{number}") for number, item in enumerate(given)))


def _message(item: Item, where: str) -> dict[str, Any] | None:
    """An item as a message; None for one that is passed over."""
    match item.type:
        case "message":
            return {"role": item.role or "user", "content": _text(item.content, where)}
        case "function_call":
            return _call(item, item.arguments)
        case "custom_tool_call":
            return _call(item, json.dumps({"input": item.input}))
        case "function_call_output" | "custom_tool_call_output":
            return {"role": "tool", "tool_call_id": item.call_id, "content": _text(item.output, where)}
        case "reasoning":
            thought = "".join(part.text or "" for part in item.content or () if isinstance(part, Part))
            return {"role": "assistant", "content": "", "reasoning_content": thought} if thought else None
        case other:
            raise InvalidRequest(f"{where}: this server cannot take an item of type {other!r}.")


def _call(item: Item, arguments: str) -> dict[str, Any]:
    call = {"id": item.call_id, "function": {"name": item.name, "arguments": arguments}}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


def _joined(messages: Iterable[dict[str, Any] | None]) -> Iterator[dict[str, Any]]:
    """Messages with thoughts and calls joined to what the assistant said beside them: all that is one reply in
    a chat. A thought that nothing follows is left out."""
    last: dict[str, Any] | None = None
    for message in messages:
        if message is None:
            continue
        if last is not None and _are_one(last, message):
            calls = [*last.get("tool_calls", ()), *message.get("tool_calls", ())]
            last = {**last, **message, "content": last["content"] + message["content"]}
            if calls:
                last["tool_calls"] = calls
            continue
        if last is not None and not _is_thought(last):
            yield last
        last = message
    if last is not None and not _is_thought(last):
        yield last


def _are_one(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two messages in a row are parts of one reply. A thought begins a reply."""
    if before["role"] != "assistant" or after["role"] != "assistant" or _is_thought(after):
        return False
    return _is_thought(before) or "tool_calls" in before or "tool_calls" in after


def _is_thought(message: Mapping[str, Any]) -> bool:
    """Whether a message is nothing but the thought before a reply."""
    return "reasoning_content" in message and not message["content"] and "tool_calls" not in message


def _with_one_system(
    instructions: str | None, conversation: Iterable[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The messages, with all that the system says before anyone else in one: some templates take no second."""
    said = [instructions] if instructions else []
    messages = list(conversation)
    while messages and messages[0]["role"] in ("system", "developer"):
        said.append(str(messages.pop(0)["content"]))
    return [{"role": "system", "content": "\n\n".join(said)}, *messages] if said else messages


def _text(content: str | list[Part] | None, where: str) -> str:
    if not isinstance(content, list):
        return content or ""
    for part in content:
        if part.type not in _TEXT_PARTS:
            raise InvalidRequest(
                f"{where}: this engine reads text only, and cannot take a part of type {part.type!r}."
            )
    return "".join(part.text or part.refusal or "" for part in content)


def _as_function(tool: Tool) -> dict[str, Any]:
    parameters = tool.parameters or {}
    if tool.type == "custom":
        parameters = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}
    function = {"name": tool.name, "description": tool.description or "", "parameters": parameters}
    return {"type": "function", "function": function}


def _left_out(request: ResponseRequest) -> Iterable[str]:
    for tool in request.tools or ():
        if tool not in request.own_tools:
            yield f"A tool of type {tool.type!r} is left out: there is nobody here to run it."
