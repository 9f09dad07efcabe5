"""From a generation's tokens to the parts of a reply."""

from collections.abc import Mapping, Sequence
from typing import Any

from mlx_model.chat.detokenizer import Detokenizer
from mlx_model.chat.stop_strings import StopStrings
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.chat.tool_calls import CallArguments, CallOpened, ReplyPart, ToolCallParser, VisibleText
from mlx_model.server.protocol import FinishReason


class ReplyReader:
    """Reads one reply token by token, and puts together the message that the client ends up with."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        stop_strings: Sequence[str],
        schemas: Mapping[str, Mapping[str, Any]] | None,
    ) -> None:
        """`schemas` are the parameters of the tools that may be called; None takes all as text."""
        self._stop_tokens = tokenizer.stop_tokens
        self._detokenizer = Detokenizer(tokenizer)
        self._stops = StopStrings(stop_strings)
        self._parser = None if schemas is None else ToolCallParser(schemas)
        self._text: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self.tokens: list[int] = []

    @property
    def stopped(self) -> bool:
        """Whether a stop string has come: the rest of the generation is not wanted."""
        return self._stops.stopped

    def add(self, token: int) -> list[ReplyPart]:
        """What this token makes certain."""
        self.tokens.append(token)
        if token in self._stop_tokens:
            return []
        return self._parts(self._stops.add(self._detokenizer.add(token)))

    def finish(self) -> list[ReplyPart]:
        """What was held back."""
        text = self._stops.add(self._detokenizer.finish()) + self._stops.finish()
        parts = self._parts(text)
        if self._parser is None:
            return parts
        return parts + self._noted(self._parser.finish(truncated=not self._ended_by_itself))

    @property
    def message(self) -> dict[str, Any]:
        """The reply as a message of the conversation."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._text) or None}
        if self._calls:
            message["tool_calls"] = self._calls
        else:
            message["content"] = "".join(self._text)
        return message

    @property
    def reason(self) -> FinishReason:
        """Why the reply ended."""
        if self.stopped:
            return "stop"
        if not self._ended_by_itself:
            return "length"
        return "tool_calls" if self._calls else "stop"

    @property
    def _ended_by_itself(self) -> bool:
        return not self.stopped and bool(self.tokens) and self.tokens[-1] in self._stop_tokens

    def _parts(self, text: str) -> list[ReplyPart]:
        if self._parser is not None:
            return self._noted(self._parser.feed(text))
        return self._noted([VisibleText(text)] if text else [])

    def _noted(self, parts: list[ReplyPart]) -> list[ReplyPart]:
        for part in parts:
            match part:
                case VisibleText(text):
                    self._text.append(text)
                case CallOpened(_, identifier, name):
                    function = {"name": name, "arguments": ""}
                    self._calls.append({"id": identifier, "type": "function", "function": function})
                case CallArguments(index, fragment):
                    self._calls[index]["function"]["arguments"] += fragment
        return parts
