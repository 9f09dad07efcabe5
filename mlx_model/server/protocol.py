"""The wire: OpenAI Chat Completions, with llama.cpp's fields for what the standard lacks.

GET /health          503 {"status": "loading", "progress": 0..1} while the model loads; 503 {"status": "failed",
                     "error": {...}} when it could not be; 200 {"status": "ok", "memory": {"pressure": "normal",
                     "warning" or "critical", "given_back": {NAME: BYTES}}} from then on. It counts as a
                     request: a client that wants an engine with --idle-exit to stay sends it now and then.
GET /v1/models, /v1/models/ID
                     one model, with `context_length` in tokens, `keeps_prefixes` (whether the states of prompts
                     outlive the engine) and `details`, facts for display by name.
POST /v1/chat/completions
                     `return_progress` adds chunks with `prompt_progress {total, cache, processed, time_ms}`;
                     the last chunk carries `timings`, and `usage` if `stream_options.include_usage` is set;
                     with `timings_per_token`, every chunk of the reply carries its `timings` so far,
                     and every token makes one.
                     `draft` is the reply's draft mode (none, lookup, mtp or auto; default: --draft). The reply
                     does not depend on it. `timings` counts drafts, in all and by source.
                     `max_tokens` -1 is the same as none. Beyond the context's room it is lowered to that, and
                     `usage.max_tokens` says to how many. `seed` -1 is none, and `top_p` 0 is greedy. Penalties
                     and `logit_bias` are OpenAI's (see mlx_model.decode.sampling).
                     `max_tokens` 0 asks for no reply: the prompt is processed, and the response comes when its
                     states are on disk, for later requests that continue from it.
                     `parallel_tool_calls` false ends the reply after its first tool call.
                     `tool_choice` "none" leaves the tools in the prompt, so that cached states stay valid, and
                     takes the reply as text.
                     "required" and a named tool make the reply begin with a call; a named one ends it, too.
                     `response_format` json_object and json_schema hold the reply to JSON by grammar; with
                     `strict`, a schema that no grammar can express in full is refused.
                     `continue_final_message` true continues the assistant's text that the messages end with;
                     the reply is what follows it.
                     `files` [{"paths": [PATH], "sha256": HEX, "text": TEXT}] are the texts of files as the
                     model was shown them, every line ending in "\\n". In a call of the tool `edit` whose
                     `file_path` is one of the paths, the `old_string` after it can only be a substring of the
                     text, and only one that occurs once unless `replace_all` is true by then. `text` may be
                     left out where the engine has it (by the SHA-256 of its UTF-8). If it has not, it answers
                     with status 409, the code files_missing and the hashes as `missing`, and the client sends
                     the request again with those texts.

Every address is there without /v1 too. A body may be packed with gzip, and may begin with a byte order mark.
Errors are {"error": {"message", "type", "code"}}; one that comes after a stream has begun is its last event.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mlx_model.chat.tools.known_files import NamedFile
from mlx_model.decode.request import DraftMode, SamplingParameters
from mlx_model.server.body import InvalidRequest

_MOST_STOP_STRINGS = 16
"""OpenAI takes 4; each costs a comparison at every token."""
_DEEPEST = 100
"""The most levels of nesting in a call's arguments that are rendered; no tool takes as many."""


class _Received(BaseModel):
    """Unknown fields are ignored, as other servers of this protocol do."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class ReceivedFunction(_Received):
    """The function of a tool call. `arguments` is JSON text on the wire; an object is accepted too."""

    name: str
    arguments: str | dict[str, Any] | None = None


class ReceivedCall(_Received):
    """A tool call of an earlier reply."""

    id: str = ""
    function: ReceivedFunction


class ContentPart(_Received):
    """A content part of a message."""

    type: str
    text: str | None = None


class ReceivedMessage(_Received):
    """A message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[ContentPart] | None = ""
    tool_calls: list[ReceivedCall] | None = None
    tool_call_id: str | None = None

    @field_validator("content")
    @classmethod
    def _text_only(cls, content: str | list[ContentPart] | None) -> str:
        if not isinstance(content, list):
            return content or ""
        for part in content:
            if part.type != "text" or part.text is None:
                raise ValueError(f"this model reads text only, and cannot take a part of type {part.type!r}")
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
        return message


class ReceivedTool(_Received):
    """A tool that the model may call. `given`: the tool as the client sent it, for templates."""

    class Function(_Received):
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


class NamedTool(_Received):
    """A tool_choice of the one tool to call."""

    class Function(_Received):
        """The tool's name."""

        name: str

    type: Literal["function"]
    function: Function


class ResponseFormat(_Received):
    """OpenAI's response_format."""

    class JsonSchema(_Received):
        """A schema that the reply follows, in every keyword if `strict`."""

        model_config = ConfigDict(populate_by_name=True)

        value: dict[str, Any] = Field(default={}, alias="schema")
        strict: bool | None = None

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(_Received):
    """OpenAI's stream_options."""

    include_usage: bool | None = None


class ReceivedFile(_Received):
    """A file that the model was shown: see mlx_model.chat.tools.known_files."""

    paths: Annotated[list[str], Field(min_length=1)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    text: str | None = None


class ChatCompletionRequest(_Received):
    """The body of POST /v1/chat/completions. Null is the same as absent."""

    messages: Annotated[list[ReceivedMessage], Field(min_length=1)]
    tools: list[ReceivedTool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    return_progress: bool | None = None
    timings_per_token: bool | None = None
    draft: DraftMode | None = None
    files: list[ReceivedFile] | None = None
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=100)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**64)] | None = None
    max_tokens: Annotated[int, Field(ge=-1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=-1)] | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logit_bias: dict[int, Annotated[float, Field(ge=-100, le=100)]] | None = None
    response_format: ResponseFormat | None = None
    continue_final_message: bool | None = None
    parallel_tool_calls: bool | None = None
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

    @field_validator("stop")
    @classmethod
    def _few_stop_strings(cls, value: str | list[str] | None) -> str | list[str] | None:
        if isinstance(value, list) and len(value) > _MOST_STOP_STRINGS:
            raise ValueError(f"at most {_MOST_STOP_STRINGS} stop strings are taken, and these are {len(value)}")
        return value

    @field_validator("n")
    @classmethod
    def _one_reply(cls, value: int | None) -> int | None:
        if value not in (None, 1):
            raise ValueError("this server makes one reply to a request: n must be 1")
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

    @field_validator("logprobs", "top_logprobs")
    @classmethod
    def _switched_off(cls, value: Any) -> Any:
        if value:
            raise ValueError("this server does not have that; leave it out")
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
    def reply_limit(self) -> int | None:
        """The most tokens of the reply; None: as many as the context allows."""
        limit = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        return None if limit == -1 else limit

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The strings that end the reply; they are not part of it."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    def sampling(self, published: SamplingParameters) -> SamplingParameters:
        """The request's sampling parameters, else the model's `published` ones."""
        greedy = self.top_p == 0
        given = {
            "temperature": 0.0 if greedy else self.temperature,
            "top_p": None if greedy else self.top_p,
            "top_k": None if self.top_k is None else max(0, self.top_k),
            "min_p": self.min_p,
            "repetition_penalty": self.repetition_penalty,
            "seed": None if self.seed == -1 else self.seed,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "logit_bias": tuple(self.logit_bias.items()) if self.logit_bias else None,
        }
        return replace(published, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]

    def named_files(self) -> list[NamedFile]:
        """The files that edits are held to."""
        return [NamedFile(file.paths, file.sha256, file.text) for file in self.files or ()]

    def schemas(self) -> dict[str, Mapping[str, Any]] | None:
        """The parameters of the tools that may be called, by name; None: the reply is text only."""
        if not self.tools or self.tool_choice == "none":
            return None
        return {
            tool.function.name: _schema(tool.function.parameters or {})
            for tool in self.tools
            if not isinstance(self.tool_choice, NamedTool)
            or tool.function.name == self.tool_choice.function.name
        }

    @property
    def needs_call(self) -> bool:
        """Whether the reply has to begin with a call."""
        return self.tool_choice == "required" or isinstance(self.tool_choice, NamedTool)

    @property
    def has_one_call(self) -> bool:
        """Whether the reply ends after its first call."""
        return self.parallel_tool_calls is False or isinstance(self.tool_choice, NamedTool)


def read_request(body: bytes) -> ChatCompletionRequest:
    """The request in a body. Raises InvalidRequest."""
    try:
        return ChatCompletionRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"{field or 'The body'}: {message}.") from None


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
