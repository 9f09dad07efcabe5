"""OpenAI Completions: text that continues a text, without a chat template.

`prompt`: a text, in which a control token that is spelled out is one, for the client writes the model's whole
input; token ids; or a list of either, each of which gets `n` replies. With `suffix` the reply is what fits
between prompt and suffix, by the model's tokens for filling in the middle; both are text then, whatever they
spell.
`echo` puts the prompt in front of the reply, without log-probabilities of its tokens, which are not computed.
"""

import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator
from typing_extensions import override

from mlx_model.chat.prompt import EncodedPrompt, PromptEncoder
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.chat.tools.reply_parts import VisibleText
from mlx_model.decode.request import PromptProcessed
from mlx_model.decode.timings import timings
from mlx_model.errors import RequestError
from mlx_model.server.wires.chat import StreamOptions
from mlx_model.server.wires.chat_reply import DONE, as_text, usage
from mlx_model.server.wires.received import MOST_LOGPROBS, GenerationOptions, validated
from mlx_model.server.wires.wire import Asked, Ended, Event, FinishReason, Piece, ReadToken, Writer

_FIM = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
# Where the middle ends, as the Qwen2.5-Coder report (arXiv 2409.12186) and Qwen's examples have it.
_FIM_STOPS = ("<|endoftext|>", "<|fim_pad|>", *_FIM, "<|repo_name|>", "<|file_sep|>")
_UNMARKED = "\0"
"""A mark (see Tokenizer.encode_marked) that interrupts no control token."""

Prompt = str | list[int]
Token = Annotated[int, Field(ge=0, lt=2**31)]


class CompletionRequest(GenerationOptions):
    """The body of POST /v1/completions."""

    prompt: str | Annotated[list[Token] | list[str] | list[list[Token]], Field(min_length=1)]
    suffix: str | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] | None = None
    best_of: int | None = None
    stream_options: StreamOptions | None = None

    @field_validator("echo")
    @classmethod
    def _nothing_behind(cls, value: bool | None, info: ValidationInfo) -> bool | None:
        if value and info.data.get("suffix"):
            raise ValueError("a prompt with a suffix is not repeated")
        return value

    @field_validator("logprobs")
    @classmethod
    def _of_the_reply(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("echo"):
            raise ValueError("log-probabilities of a prompt are not computed: leave out echo or logprobs")
        return value

    @field_validator("best_of")
    @classmethod
    def _every_reply(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value not in (None, 1, info.data.get("n")):
            raise ValueError("replies are not compared: ask for n of them instead")
        return value

    @property
    @override
    def tells_thoughts_apart(self) -> bool:
        return False

    @property
    def each(self) -> list[Prompt]:
        """The prompts."""
        prompt = self.prompt
        if isinstance(prompt, str):
            return [prompt]
        return [prompt] if isinstance(prompt[0], int) else list(prompt)

    @property
    @override
    def reply_limit(self) -> int | None:
        # OpenAI's default for this endpoint.
        return None if self.max_tokens == -1 else 16 if self.max_tokens is None else self.max_tokens

    @override
    def prompts(self, encoder: PromptEncoder) -> Sequence[EncodedPrompt]:
        return [EncodedPrompt(self._encoded(prompt, encoder.tokenizer), ()) for prompt in self.each]

    @property
    @override
    def logprobs_wanted(self) -> int | None:
        return self.logprobs

    @property
    @override
    def stops_beside(self) -> Sequence[str]:
        return _FIM_STOPS if self.suffix else ()

    def _encoded(self, prompt: Prompt, tokenizer: Tokenizer) -> tuple[int, ...]:
        if not self.suffix:
            return tuple(prompt if isinstance(prompt, list) else tokenizer.encode_marked(prompt, _UNMARKED))
        control = tokenizer.control_tokens
        if not control.keys() >= set(_FIM):
            raise RequestError("suffix: this model has no tokens for filling in the middle; leave it out.")
        before, after, between = (control[text] for text in _FIM)
        start = prompt if isinstance(prompt, list) else tokenizer.encode(prompt)
        return (before, *start, after, *tokenizer.encode(self.suffix), between)


class CompletionWriter(Writer):
    """Writes the choices of one response."""

    def __init__(self, model: str, request: CompletionRequest) -> None:
        self._model = model
        self._each = request.n or 1
        self._usage = bool(request.stream_options and request.stream_options.include_usage)
        self._has_logprobs = request.logprobs is not None
        self._echoed = [prompt if request.echo and isinstance(prompt, str) else "" for prompt in request.each]
        self._id = f"cmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        # By choice: the tokens of no chunk yet; all chunks' log-probabilities; characters of the tokens so far.
        self._waiting: defaultdict[int, list[ReadToken]] = defaultdict(list)
        self._logprobs: defaultdict[int, list[ReadToken]] = defaultdict(list)
        self._offsets: defaultdict[int, int] = defaultdict(int)

    @override
    def opening(self) -> Iterable[Event]:
        for choice in range(self._each * len(self._echoed)):
            if self._echo(choice):
                yield Event(self._object([self._choice(choice, self._echo(choice), None, [])]))

    @override
    def progress(self, processed: PromptProcessed) -> Iterable[Event]:
        return ()

    @override
    def piece(self, choice: int, piece: Piece) -> Iterable[Event]:
        if piece.token is not None:
            self._waiting[choice].append(piece.token)
            self._logprobs[choice].append(piece.token)
        text = "".join(part.text for part in piece.parts if isinstance(part, VisibleText))
        if text:
            tokens = self._waiting.pop(choice, [])
            yield Event(self._object([self._choice(choice, text, None, tokens)]))

    @override
    def ended(self, choice: int, reply: Ended) -> Iterable[Event]:
        tokens = self._waiting.pop(choice, [])
        yield Event(self._object([self._choice(choice, "", reply.reason, tokens)]))

    @override
    def ending(self, replies: Sequence[Ended]) -> Iterable[Event]:
        if self._usage:
            yield Event(self._object([]) | self._figures(replies))
        yield DONE

    @override
    def whole(self, replies: Sequence[Ended]) -> dict[str, Any]:
        self._offsets.clear()
        choices = [
            self._choice(
                choice,
                self._echo(choice) + str(reply.message["content"]),
                reply.reason,
                self._logprobs[choice],
            )
            for choice, reply in enumerate(replies)
        ]
        return self._object(choices) | self._figures(replies)

    @override
    def failed(self, error: Mapping[str, Any]) -> Iterable[Event]:
        yield Event(error)

    def _echo(self, choice: int) -> str:
        return self._echoed[choice // self._each]

    def _figures(self, replies: Sequence[Ended]) -> dict[str, Any]:
        return {"usage": usage(replies, self._each), "timings": timings(replies[0].finished)}

    def _choice(
        self, choice: int, text: str, reason: FinishReason | None, tokens: Sequence[ReadToken]
    ) -> dict[str, Any]:
        logprobs = self._in_columns(choice, tokens) if self._has_logprobs else None
        return {"index": choice, "text": text, "logprobs": logprobs, "finish_reason": reason}

    def _in_columns(self, choice: int, tokens: Sequence[ReadToken]) -> dict[str, Any]:
        """OpenAI's older form of log-probabilities: a list for each field."""
        texts = [as_text(token.text) for token in tokens]
        offsets = []
        for text in texts:
            offsets.append(self._offsets[choice])
            self._offsets[choice] += len(text)
        return {
            "tokens": texts,
            "token_logprobs": [token.logprobs.logprob for token in tokens],
            "top_logprobs": [{as_text(text): logprob for text, logprob in token.top} for token in tokens],
            "text_offset": offsets,
        }

    def _object(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "text_completion",
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }


def read_completion(body: bytes) -> Asked:
    """The request in a body. Raises InvalidRequest."""
    request = validated(lambda: CompletionRequest.model_validate_json(body))
    return Asked(request, lambda model, _: CompletionWriter(model, request))
