"""OpenAI Chat Completions, with llama.cpp's fields for what the standard lacks.

`return_progress`: chunks with `prompt_progress {total, cache, processed, time_ms}` come too. The last chunk
carries `timings`, and `usage` if `stream_options.include_usage` is set; with `timings_per_token` every chunk of
the reply carries its `timings` so far, and every token makes one.

`draft`: the reply's draft mode (none, lookup, mtp or auto; default: --draft). The reply does not depend on it.
`timings` counts drafts, in all and by source, and as `shared_n` the tokens that were decoded together with
other replies, and so without drafts.

`adapter`: the name of the adapter that the reply is computed under, "none" for the model without any (default:
--adapter). GET /v1/adapters lists them; requests with different ones are served one after the other.

`max_tokens`: -1 is the same as none. Beyond the context's room it is lowered to that, and `usage.max_tokens`
says to how many. 0 asks for no reply: the prompt is processed, and the response comes when its states are on
disk, for later requests that continue from it. `seed` -1 is none, and `top_p` 0 is greedy. Penalties and
`logit_bias` are OpenAI's (see mlx_model.decode.sampling).

`tool_choice`: "none" leaves the tools in the prompt, so that cached states stay valid, and takes the reply as
text. "required" and a named tool make the reply begin with a call; a named one ends it, too.
`parallel_tool_calls` false ends the reply after its first tool call.

`response_format`: json_object and json_schema hold the reply to JSON by grammar; with `strict`, a schema that
no grammar can express in full is refused.

`n`: the replies are made one after the other, with seeds that count up from `seed`. `logprobs`, `top_logprobs`:
of the model's own distribution (see mlx_model.decode.logprobs), for every token of the reply but the one that
ends it; tokens of calls are included.

`return_doubt`: chunks of a stream carry beside the `delta` a list `doubt` of [TEXT, PROBABILITY, MARGIN], one
for each token since the chunk before: the characters that the token completes, markup of calls included; its
probability in the model's own distribution; and how much more that is than the most likely other token's.

`continue_final_message` true continues the assistant's text that the messages end with; the reply is what
follows it.

`reasoning_content`: a reasoning model's thought, beside `content`, in messages and in chunks. Messages of the
request may leave it out. `chat_template_kwargs`: variables of the model's chat template, such as
{"enable_thinking": false}, which has no thought where the template can do that.
`thinking_token_budget` (vLLM's name): after so many tokens the thought is ended by its closing token, and the
reply goes on. `reasoning_effort`: "none" has no thought; the others go to the template where it has the
variable, and else are the budgets of EFFORT_BUDGETS (see mlx_model.server.wires.thinking).
`usage.completion_tokens_details` counts the thought's tokens as `reasoning_tokens`; `reasoning_closed` true is
there where the budget ended it.

`files` [{"paths": [PATH], "sha256": HEX, "text": TEXT}] are the texts of files as the model was shown them,
every line ending in "\\n". In a call of the tool `edit` whose `file_path` is one of the paths, the `old_string`
after it can only be a substring of the text, and only one that occurs once unless `replace_all` is true by
then. `text` may be left out where the engine has it (by the SHA-256 of its UTF-8). If it has not, it answers
with status 409, the code files_missing and the hashes as `missing`, and the client sends the request again with
those texts.

Errors are {"error": {"message", "type", "code"}}; one that comes after a stream has begun is its last event.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from typing_extensions import override

from mlx_model.chat.prompt import EncodedPrompt, PromptEncoder
from mlx_model.chat.template import ChatTemplate
from mlx_model.chat.thoughts import ThoughtTokens
from mlx_model.chat.tools.edits.known_files import NamedFile
from mlx_model.server.wires.chat_reply import ChatWriter, ChunkOptions
from mlx_model.server.wires.received import MOST_LOGPROBS, GenerationOptions, JsonReply, Received, validated
from mlx_model.server.wires.thinking import NO_THOUGHTS, Effort, effort_budget, effort_variables
from mlx_model.server.wires.wire import Asked

_DEEPEST = 100
"""The most levels of nesting in a call's arguments that are rendered; no tool takes as many."""


class ReceivedFunction(Received):
    """The function of a tool call. `arguments` is JSON text on the wire; an object is accepted too."""

    name: str
    arguments: str | dict[str, Any] | None = None


class ReceivedCall(Received):
    """A tool call of an earlier reply."""

    id: str = ""
    function: ReceivedFunction


class ContentPart(Received):
    """A content part of a message."""

    type: str
    text: str | None = None


class ReceivedMessage(Received):
    """A message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[ContentPart] | None = ""
    tool_calls: list[ReceivedCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None

    @field_validator("content")
    @classmethod
    def _text_only(cls, content: str | list[ContentPart] | None) -> str:
        if not isinstance(content, list):
            return content or ""
        for part in content:
            if part.type != "text" or part.text is None:
                raise ValueError(f"this engine reads text only, and cannot take a part of type {part.type!r}")
        return "".join(part.text or "" for part in content)

    def for_template(self) -> dict[str, Any]:
        """The message as chat templates expect it: arguments are mappings there."""
        message: dict[str, Any] = {
            "role": "system" if self.role == "developer" else self.role,
            "content": self.content,
        }
        if self.tool_calls:
            message["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {
                        "name": call.function.name,
                        "arguments": _arguments(call.function.arguments),
                    },
                }
                for call in self.tool_calls
            ]
        if self.tool_call_id is not None:
            message["tool_call_id"] = self.tool_call_id
        if self.reasoning_content is not None:
            message["reasoning_content"] = self.reasoning_content
        return message


class ReceivedTool(Received):
    """A tool that the model may call. `given`: the tool as the client sent it, for templates."""

    class Function(Received):
        """Its name and its parameters' JSON Schema."""

        name: str
        parameters: dict[str, Any] | None = None

    type: Literal["function"]
    function: Function
    given: dict[str, Any]

    @model_validator(mode="before")
    @classmethod
    def _keep_given(cls, data: Any) -> Any:
        return {**data, "given": data} if isinstance(data, dict) else data


class NamedTool(Received):
    """A tool_choice of the one tool to call."""

    class Function(Received):
        """The tool's name."""

        name: str

    type: Literal["function"]
    function: Function


class ResponseFormat(Received):
    """OpenAI's response_format."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonReply | None = None


class StreamOptions(Received):
    """OpenAI's stream_options."""

    include_usage: bool | None = None


class ReceivedFile(Received):
    """A file that the model was shown: see mlx_model.chat.tools.edits.known_files."""

    paths: Annotated[list[str], Field(min_length=1)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    text: str | None = None


class ChatCompletionRequest(GenerationOptions):
    """The body of POST /v1/chat/completions."""

    messages: Annotated[list[ReceivedMessage], Field(min_length=1)]
    tools: list[ReceivedTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    stream_options: StreamOptions | None = None
    return_progress: bool | None = None
    timings_per_token: bool | None = None
    return_doubt: bool | None = None
    files: list[ReceivedFile] | None = None
    max_completion_tokens: Annotated[int, Field(ge=-1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] | None = None
    response_format: ResponseFormat | None = None
    continue_final_message: bool | None = None
    parallel_tool_calls: bool | None = None
    chat_template_kwargs: dict[str, bool | int | float | str | None] | None = None
    reasoning_effort: Effort | None = None
    thinking_token_budget: Annotated[int, Field(ge=0)] | None = None
    functions: Any = None
    function_call: Any = None

    @field_validator("functions", "function_call")
    @classmethod
    def _of_old(cls, value: Any) -> Any:
        if value:
            raise ValueError(
                "this is the old form, which this server does not take: send tools and tool_choice"
            )
        return value

    @field_validator("tool_choice", mode="before")
    @classmethod
    def _known_choice(cls, value: Any, info: ValidationInfo) -> Any:
        if value in (None, "none", "auto"):
            return value
        names = [tool.function.name for tool in info.data.get("tools") or ()]
        if value == "required":
            if not names:
                raise ValueError("a call is required, but there are no tools")
            return value
        function = (
            value.get("function") if isinstance(value, dict) and value.get("type") == "function" else None
        )
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise ValueError(
                'this server takes "auto", "none", "required" or '
                '{"type": "function", "function": {"name": NAME}}'
            )
        if function["name"] not in names:
            raise ValueError(f"{function['name']!r} is none of the tools")
        return value

    @field_validator("top_logprobs")
    @classmethod
    def _with_logprobs(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value and not info.data.get("logprobs"):
            raise ValueError("it needs logprobs: true")
        return value

    @field_validator("response_format")
    @classmethod
    def _text_or_calls(cls, value: ResponseFormat | None, info: ValidationInfo) -> ResponseFormat | None:
        if value is None or value.type == "text":
            return value
        if value.type == "json_schema" and value.json_schema is None:
            raise ValueError("the type json_schema needs a json_schema")
        if info.data.get("tools") and info.data.get("tool_choice") != "none":
            raise ValueError(
                'a reply held to JSON cannot call tools: leave them out, or set tool_choice to "none"'
            )
        return value

    @field_validator("continue_final_message")
    @classmethod
    def _begun_reply(cls, value: bool | None, info: ValidationInfo) -> bool | None:
        messages, held = info.data.get("messages"), info.data.get("response_format")
        if value and messages and (messages[-1].role != "assistant" or messages[-1].tool_calls):
            raise ValueError("the last message must be the assistant's, and text only")
        if value and held is not None and held.type != "text":
            raise ValueError("a reply that is held to JSON is written from its beginning")
        return value

    @property
    @override
    def reply_limit(self) -> int | None:
        limit = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        return None if limit == -1 else limit

    @override
    def prompts(self, encoder: PromptEncoder) -> Sequence[EncodedPrompt]:
        messages = [message.for_template() for message in self.messages]
        begun = str(messages.pop()["content"]) if self.continue_final_message else ""
        tools = [tool.given for tool in self.tools or ()]
        variables = effort_variables(self.reasoning_effort) | (self.chat_template_kwargs or {})
        prompt = encoder.encode(messages, tools, variables)
        if begun:
            encode, thought = encoder.tokenizer.encode, ThoughtTokens.of(encoder.tokenizer)
            closed = (thought.close, *encode("\n\n")) if thought and thought.opened_by(prompt.tokens) else ()
            prompt = replace(prompt, tokens=(*prompt.tokens, *closed, *encode(begun)))
        return [prompt]

    @override
    def thought_budget(self, template: ChatTemplate) -> int | None:
        if self.thinking_token_budget is not None:
            return self.thinking_token_budget
        return effort_budget(self.reasoning_effort, template)

    @override
    def without_effect(self, template: ChatTemplate) -> Sequence[str]:
        wants = self.thinking_token_budget is not None or self.reasoning_effort not in (None, "none")
        return [NO_THOUGHTS] if wants and not template.thinks else []

    @property
    @override
    def wants_doubt(self) -> bool:
        return bool(self.return_doubt and self.stream)

    @property
    @override
    def logprobs_wanted(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None

    @override
    def named_files(self) -> list[NamedFile]:
        return [NamedFile(file.paths, file.sha256, file.text) for file in self.files or ()]

    @override
    def schemas(self) -> dict[str, Mapping[str, Any]] | None:
        if not self.tools or self.tool_choice == "none":
            return None
        return {
            tool.function.name: _schema(tool.function.parameters or {})
            for tool in self.tools
            if not isinstance(self.tool_choice, NamedTool)
            or tool.function.name == self.tool_choice.function.name
        }

    @property
    @override
    def needs_call(self) -> bool:
        return self.tool_choice == "required" or isinstance(self.tool_choice, NamedTool)

    @property
    @override
    def has_one_call(self) -> bool:
        return self.parallel_tool_calls is False or isinstance(self.tool_choice, NamedTool)

    @property
    @override
    def json_reply(self) -> JsonReply | None:
        form = self.response_format
        if form is None or form.type == "text":
            return None
        return form.json_schema or JsonReply(schema={"type": "object"})


def read_chat(body: bytes) -> Asked:
    """The request in a body. Raises InvalidRequest."""
    request = validated(lambda: ChatCompletionRequest.model_validate_json(body))
    options = ChunkOptions(
        choices=request.n or 1,
        usage=bool(request.stream_options and request.stream_options.include_usage),
        progress=bool(request.return_progress),
        timings_per_token=bool(request.timings_per_token),
        logprobs=bool(request.logprobs),
    )
    return Asked(request, lambda model, _: ChatWriter(model, options))


def _schema(parameters: dict[str, Any]) -> dict[str, Any]:
    """A schema whose `properties`, if any, are a mapping: some clients send null for none."""
    if isinstance(parameters.get("properties", {}), dict):
        return parameters
    return {**parameters, "properties": {}}


def _arguments(given: str | dict[str, Any] | None) -> dict[str, Any]:
    """Arguments as a mapping. Text that does not parse is kept as it is, under the name `arguments`."""
    if not isinstance(given, str):
        return given or {}
    try:
        value = json.loads(given) if given.strip() else {}
    except (ValueError, RecursionError):
        value = given
    if value is None:
        return {}
    return value if isinstance(value, dict) and not _deeper_than(value, _DEEPEST) else {"arguments": given}


def _deeper_than(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return not levels or any(_deeper_than(item, levels - 1) for item in inner)
