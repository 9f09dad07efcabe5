"""Replies as objects and events of OpenAI Responses."""

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from typing import Any

from typing_extensions import override

from mlx_model.chat.thoughts import ReadPart, Thought
from mlx_model.chat.tools.reply_parts import CallArguments, CallOpened, VisibleText
from mlx_model.decode.request import PromptProcessed
from mlx_model.decode.timings import timings
from mlx_model.server.wires.chat_reply import token_logprobs, usage
from mlx_model.server.wires.wire import Ended, Event, Piece, Writer


@dataclass(frozen=True, slots=True)
class Echo:
    """What a response repeats of its request."""

    instructions: str | None
    previous_response_id: str | None
    metadata: Mapping[str, Any]
    store: bool
    tools: Sequence[Mapping[str, Any]]
    tool_choice: str
    parallel_tool_calls: bool
    temperature: float | None
    top_p: float | None
    max_output_tokens: int | None
    text: Mapping[str, Any]
    reasoning: Mapping[str, Any]


class ResponseWriter(Writer):
    """Writes the one reply of a response: its thought, its text as messages and its calls are items."""

    def __init__(
        self,
        model: str,
        echo: Echo,
        custom: Set[str],
        logprobs: bool,
        keep: Callable[[Mapping[str, Any], Mapping[str, Any]], None],
    ) -> None:
        """`custom`: the names of tools that take one text. `keep` is called with the response and the
        message that it is in a chat, once it is complete."""
        self._echo = asdict(echo)
        self._custom = custom
        self._has_logprobs = logprobs
        self._keep = keep
        self._model = model
        self._id = f"resp_{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._number = 0
        self._items: list[dict[str, Any]] = []
        self._json = ""
        """The JSON text of the last call's arguments."""
        self._waiting: list[dict[str, Any]] = []
        """Log-probabilities of tokens whose text has not come yet."""

    @override
    def opening(self) -> Iterable[Event]:
        yield self._event("response.created", response=self._response("in_progress"))
        yield self._event("response.in_progress", response=self._response("in_progress"))

    @override
    def progress(self, processed: PromptProcessed) -> Iterable[Event]:
        return ()

    @override
    def piece(self, choice: int, piece: Piece) -> Iterable[Event]:
        if piece.token is not None:
            self._waiting.append(token_logprobs(piece.token))
        for part in piece.parts:
            yield from self._part(part)
        if self._is_open("reasoning"):
            self._waiting = []  # there is no place for those of a thought

    @override
    def ended(self, choice: int, reply: Ended) -> Iterable[Event]:
        yield from self._closed("incomplete" if reply.reason == "length" else "completed")

    @override
    def ending(self, replies: Sequence[Ended]) -> Iterable[Event]:
        response = self.whole(replies)
        yield self._event(f"response.{response['status']}", response=response)

    @override
    def whole(self, replies: Sequence[Ended]) -> dict[str, Any]:
        (reply,) = replies
        cut = reply.reason == "length"
        response = self._response("incomplete" if cut else "completed")
        if cut:
            response["incomplete_details"] = {"reason": "max_output_tokens"}
        figures = usage(replies)
        response["usage"] = {
            "input_tokens": figures["prompt_tokens"],
            "input_tokens_details": figures["prompt_tokens_details"],
            "output_tokens": figures["completion_tokens"],
            "output_tokens_details": figures["completion_tokens_details"],
            "total_tokens": figures["total_tokens"],
            **({"max_tokens": figures["max_tokens"]} if "max_tokens" in figures else {}),
        }
        response["timings"] = timings(reply.finished)
        self._keep(response, reply.message)
        return response

    @override
    def failed(self, error: Mapping[str, Any]) -> Iterable[Event]:
        what = error["error"]
        response = self._response("failed")
        response["error"] = {"code": what["code"] or "server_error", "message": what["message"]}
        yield self._event("response.failed", response=response)

    def _part(self, part: ReadPart) -> Iterable[Event]:
        if isinstance(part, Thought):
            yield from self._thought(part.text)
        elif isinstance(part, VisibleText):
            yield from self._text(part.text)
        elif isinstance(part, CallOpened):
            yield from self._call_opened(part)
        elif isinstance(part, CallArguments):
            self._json += part.fragment
            item = self._items[-1]
            if item["type"] == "function_call":
                yield self._of_item("response.function_call_arguments.delta", delta=part.fragment)

    def _is_open(self, kind: str) -> bool:
        """Whether the last item is of this type, and more of it may come."""
        return bool(self._items) and (self._items[-1]["type"], self._items[-1]["status"]) == (
            kind,
            "in_progress",
        )

    def _thought(self, text: str) -> Iterable[Event]:
        if not self._is_open("reasoning"):
            yield from self._closed("completed")
            part = {"type": "reasoning_text", "text": ""}
            item = {"type": "reasoning", "summary": [], "content": [part], "encrypted_content": None}
            yield from self._added("rs", item, {"content": []})
            yield self._of_part("response.content_part.added", part=dict(part))
        self._items[-1]["content"][0]["text"] += text
        yield self._of_part("response.reasoning_text.delta", delta=text)

    def _text(self, text: str) -> Iterable[Event]:
        if not self._is_open("message"):
            yield from self._closed("completed")
            part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
            item = {"type": "message", "role": "assistant", "content": [part]}
            yield from self._added("msg", item, {"content": []})
            yield self._of_part("response.content_part.added", part=dict(part))
        tokens, self._waiting = self._waiting, []
        content = self._items[-1]["content"][0]
        content["text"] += text
        content["logprobs"] += tokens
        yield self._of_part("response.output_text.delta", delta=text, logprobs=tokens)

    def _call_opened(self, part: CallOpened) -> Iterable[Event]:
        yield from self._closed("completed")
        self._json = ""
        self._waiting = []
        if part.name in self._custom:
            item = {"type": "custom_tool_call", "call_id": part.id, "name": part.name, "input": ""}
            yield from self._added("ctc", item)
        else:
            item = {"type": "function_call", "call_id": part.id, "name": part.name, "arguments": ""}
            yield from self._added("fc", item)

    def _added(self, prefix: str, item: dict[str, Any], at_first: Mapping[str, Any] = {}) -> Iterable[Event]:
        item = {"id": f"{prefix}_{uuid.uuid4().hex}", "status": "in_progress", **item}
        self._items.append(item)
        yield self._of_output("response.output_item.added", item={**item, **at_first})

    def _closed(self, status: str) -> Iterable[Event]:
        """The last item is complete."""
        if not self._items or self._items[-1]["status"] != "in_progress":
            return
        item = self._items[-1]
        item["status"] = status
        match item["type"]:
            case "message":
                part = item["content"][0]
                yield self._of_part("response.output_text.done", text=part["text"], logprobs=part["logprobs"])
                yield self._of_part("response.content_part.done", part=part)
            case "reasoning":
                part = item["content"][0]
                yield self._of_part("response.reasoning_text.done", text=part["text"])
                yield self._of_part("response.content_part.done", part=part)
            case "function_call":
                item["arguments"] = self._json
                yield self._of_item(
                    "response.function_call_arguments.done", arguments=self._json, name=item["name"]
                )
            case "custom_tool_call":
                item["input"] = _input(self._json)
                yield self._of_item("response.custom_tool_call_input.delta", delta=item["input"])
                yield self._of_item("response.custom_tool_call_input.done", input=item["input"])
        yield self._of_output("response.output_item.done", item=item)

    def _response(self, status: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "model": self._model,
            "output": list(self._items),
            "error": None,
            "incomplete_details": None,
            "usage": None,
            **self._echo,
        }

    def _of_part(self, kind: str, **fields: Any) -> Event:
        return self._of_item(kind, content_index=0, **fields)

    def _of_item(self, kind: str, **fields: Any) -> Event:
        return self._of_output(kind, item_id=self._items[-1]["id"], **fields)

    def _of_output(self, kind: str, **fields: Any) -> Event:
        return self._event(kind, output_index=len(self._items) - 1, **fields)

    def _event(self, kind: str, **fields: Any) -> Event:
        event = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return Event(event, kind)


def _input(arguments: str) -> str:
    """The one text of a custom tool; where the arguments are something else, all of them."""
    try:
        value = json.loads(arguments)["input"]
    except (ValueError, KeyError, TypeError):
        return arguments
    return value if isinstance(value, str) else arguments
