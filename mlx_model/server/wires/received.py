"""What requests of all wires share: how they are validated, and what they may say of the generation."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mlx_model.chat.prompt import EncodedPrompt, PromptEncoder
from mlx_model.chat.template import ChatTemplate
from mlx_model.chat.tools.edits.known_files import NamedFile
from mlx_model.decode.request import DraftMode, SamplingParameters
from mlx_model.server.body import InvalidRequest

_MOST_STOP_STRINGS = 16
"""OpenAI takes 4; each costs a comparison at every token."""
_MOST_CHOICES = 128
"""OpenAI's limit."""
MOST_LOGPROBS = 20
"""OpenAI's limit."""
_Value = TypeVar("_Value")


class Received(BaseModel):
    """Unknown fields are ignored, as other servers of these protocols do."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class JsonReply(Received):
    """A JSON Schema that the whole reply follows, in every keyword if `strict`."""

    model_config = ConfigDict(populate_by_name=True)

    value: dict[str, Any] = Field(default={}, alias="schema")
    strict: bool | None = None


class GenerationOptions(Received):
    """The fields of a request for replies that do not depend on its form. Null is the same as absent."""

    stream: bool | None = None
    draft: DraftMode | None = None
    adapter: str | None = None
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=100)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**64)] | None = None
    max_tokens: Annotated[int, Field(ge=-1)] | None = None
    stop: str | list[str] | None = None
    n: Annotated[int, Field(ge=1, le=_MOST_CHOICES)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logit_bias: dict[int, Annotated[float, Field(ge=-100, le=100)]] | None = None

    @field_validator("stop")
    @classmethod
    def _few_stop_strings(cls, value: str | list[str] | None) -> str | list[str] | None:
        if isinstance(value, list) and len(value) > _MOST_STOP_STRINGS:
            raise ValueError(f"at most {_MOST_STOP_STRINGS} stop strings are taken, and these are {len(value)}")
        return value

    @property
    def reply_limit(self) -> int | None:
        """The most tokens of a reply; None: as many as the context allows."""
        return None if self.max_tokens == -1 else self.max_tokens

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """The strings that end a reply; they are not part of it."""
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

    def prompts(self, encoder: PromptEncoder) -> Sequence[EncodedPrompt]:
        """The prompts, each of which gets `n` replies. Raises RequestError."""
        raise NotImplementedError

    @property
    def logprobs_wanted(self) -> int | None:
        """As of GenerationRequest.logprobs."""
        return None

    @property
    def wants_doubt(self) -> bool:
        """Whether each token's probability and margin are told."""
        return False

    @property
    def tells_thoughts_apart(self) -> bool:
        """Whether a reasoning model's thought is no part of the text."""
        return True

    def thought_budget(self, template: ChatTemplate) -> int | None:  # noqa: ARG002
        """The tokens of thought after which it is ended; None: as many as the model wants."""
        return None

    def without_effect(self, template: ChatTemplate) -> Sequence[str]:  # noqa: ARG002
        """A sentence for each thing in the request that this model cannot do."""
        return ()

    @property
    def stops_beside(self) -> Sequence[str]:
        """Control tokens that end a reply, beside the model's own."""
        return ()

    def named_files(self) -> list[NamedFile]:
        """The files that edits are held to."""
        return []

    def schemas(self) -> dict[str, Mapping[str, Any]] | None:
        """The parameters of the tools that may be called, by name; None: replies are text only."""
        return None

    @property
    def needs_call(self) -> bool:
        """Whether a reply has to begin with a call."""
        return False

    @property
    def has_one_call(self) -> bool:
        """Whether a reply ends after its first call."""
        return False

    @property
    def json_reply(self) -> JsonReply | None:
        """What replies are held to; None: they are free."""
        return None


def validated(validate: Callable[[], _Value]) -> _Value:
    """The value that pydantic makes. Raises InvalidRequest, which names the field."""
    try:
        return validate()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise InvalidRequest(f"{field or 'The body'}: {message}.") from None
