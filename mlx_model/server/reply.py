"""Turning a generation's tokens into the parts of a reply."""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from mlx_model.chat.detokenizer import Detokenizer
from mlx_model.chat.stop_strings import StopStrings
from mlx_model.chat.thoughts import ReadPart, Thought, ThoughtTokens
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.chat.tools.call_text import CLOSE, MARK, OPEN
from mlx_model.chat.tools.parser import ToolCallParser
from mlx_model.chat.tools.reply_parts import CallArguments, CallOpened, ReplyPart, VisibleText
from mlx_model.server.wires.wire import FinishReason, ThoughtUse

_UNREAD = 32
"""Pieces of a reply that may be in transit when its client disconnects."""


class ReplyReader:
    """Reads one reply token by token, and assembles the message that the client receives."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        stop_strings: Sequence[str],
        schemas: Mapping[str, Mapping[str, Any]] | None,
        *,
        one_call: bool = False,
        exact: bool = False,
        stop_tokens: Collection[int] | None = None,
        thought: ThoughtTokens | None = None,
        thinks: bool = False,
        budget: int | None = None,
    ) -> None:
        """`schemas`: the parameters of the tools that may be called, by name; None: the reply is text only.
        With `one_call` the reply ends after its first call. `exact` as for ToolCallParser. `stop_tokens`: by
        default the tokenizer's. `thought`: the tokens around a thought, which is told apart; None: it is text
        like any other. `thinks`: the reply begins in one. `budget`: the tokens after which it is ended."""
        self._tokenizer = tokenizer
        self._stop_tokens = tokenizer.stop_tokens if stop_tokens is None else stop_tokens
        self._detokenizer = Detokenizer(tokenizer)
        self._stops = StopStrings(stop_strings)
        self._parser = None if schemas is None else ToolCallParser(schemas, exact=exact)
        control = tokenizer.control_tokens
        self._marked = {control[tag] for tag in (OPEN, CLOSE) if exact and tag in control}
        self._one_call = one_call
        self._thought_tokens = thought
        self._thinks = thinks
        self._is_behind_thought = False
        self._thought: list[str] = []
        self._thought_length = 0
        self._budget = budget
        self._text: list[str] = []
        self._length = 0
        self._calls: list[dict[str, Any]] = []
        self.tokens: list[int] = []
        # In characters: the text decoded up to each token; the text sent up to each piece.
        self._raw = 0
        self.completed = ""
        """What the last token completed of the text, markup of calls included and thoughts left out."""
        self._raw_lengths: list[int] = []
        self._given_lengths: list[int] = []

    @property
    def stopped(self) -> bool:
        """Whether a stop string, or the end of the only call, makes the rest of the generation unwanted."""
        return self._stops.stopped or self._has_its_call

    @property
    def stop_string(self) -> str | None:
        """The stop string that ended the reply."""
        return self._stops.found

    @property
    def is_whole(self) -> bool:
        """Whether the message is everything that was generated, so that it can be remembered by its tokens."""
        return not self.stopped or (self._has_its_call and len(self._calls) == 1 and self._closed)

    @property
    def thought(self) -> ThoughtUse:
        """What the thought has taken."""
        length, budget = self._thought_length, self._budget
        closed = budget is not None and self._is_behind_thought and length >= budget
        return ThoughtUse(length, closed)

    def add(self, token: int) -> list[ReadPart]:
        """Takes the next token; returns the parts that it completes."""
        self.completed = ""
        if self._has_its_call:
            return []
        self.tokens.append(token)
        if self._is_of_thought(token):
            self._raw_lengths.append(self._raw)
            return self._thought_parts(token)
        text = "" if token in self._stop_tokens else self._detokenizer.add(token)
        if self._is_behind_thought and not self._raw:
            text = text.lstrip()  # the template writes the line feeds behind a thought
        self.completed = text
        self._raw += len(text)
        self._raw_lengths.append(self._raw)
        if token in self._marked:
            text = MARK + text
        return [] if token in self._stop_tokens else [*self._parts(self._stops.add(text))]

    def _is_of_thought(self, token: int) -> bool:
        """Whether a token belongs to a thought, its opening and its end included."""
        known = self._thought_tokens
        if known is not None and token == known.open and not self._raw:
            self._thinks = True
        return self._thinks

    def _thought_parts(self, token: int) -> list[ReadPart]:
        known = self._thought_tokens
        assert known is not None
        text = ""
        if token == known.close:
            self._thinks, self._is_behind_thought = False, True
            text, self._detokenizer = self._detokenizer.finish(), Detokenizer(self._tokenizer)
        elif token != known.open and token not in self._stop_tokens:
            text = self._detokenizer.add(token)
            self._thought_length += 1
        if not text:
            return []
        self._thought.append(text)
        return [Thought(text)]

    def finish(self) -> list[ReadPart]:
        """The parts held back, at the end of the reply."""
        if self._thinks:
            return []
        text = self._stops.add(self._detokenizer.finish()) + self._stops.finish()
        parts = self._parts(text)
        if self._parser is None:
            return [*parts]
        return [*parts, *self._noted(self._parser.finish(truncated=not self._ended_by_itself))]

    @property
    def message(self) -> dict[str, Any]:
        """The reply as a message of the conversation."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._text) or None}
        if self._calls:
            message["tool_calls"] = self._calls
        else:
            message["content"] = "".join(self._text)
        if self._thought:
            message["reasoning_content"] = "".join(self._thought).strip()
        return message

    def client_prefixes(self) -> Iterator[tuple[str, list[int]]]:
        """After a disconnect: every prefix of the reply that the client may hold, longest first, with its
        tokens. These are the generated tokens that lie within the prefix, and the encoding of its rest. May be
        called from another thread while the reply is being generated."""
        lengths = self._given_lengths[-_UNREAD:]
        text = "".join(self._text)
        for length in reversed(lengths):
            whole = bisect_left(self._raw_lengths, length)
            if whole < len(self._raw_lengths) and self._raw_lengths[whole] == length:
                yield text[:length], self.tokens[: whole + 1]
            else:
                within = self._raw_lengths[whole - 1] if whole else 0
                rest = self._tokenizer.encode(text[within:length])
                yield text[:length], [*self.tokens[:whole], *rest]

    @property
    def reason(self) -> FinishReason:
        """OpenAI's finish_reason."""
        if self._has_its_call:
            return "tool_calls"
        if self.stopped:
            return "stop"
        if not self._ended_by_itself:
            return "length"
        return "tool_calls" if self._calls else "stop"

    @property
    def _closed(self) -> bool:
        return self._parser is not None and self._parser.has_closed_call

    @property
    def _has_its_call(self) -> bool:
        return self._one_call and (self._closed or (self._parser is not None and self._parser.calls > 1))

    @property
    def _ended_by_itself(self) -> bool:
        return not self.stopped and bool(self.tokens) and self.tokens[-1] in self._stop_tokens

    def _parts(self, text: str) -> list[ReplyPart]:
        if self._parser is not None:
            return self._noted(self._parser.feed(text))
        return self._noted([VisibleText(text)] if text else [])

    def _noted(self, parts: list[ReplyPart]) -> list[ReplyPart]:
        if self._one_call:
            parts = [part for part in parts if isinstance(part, VisibleText) or part.index == 0]
        for part in parts:
            match part:
                case VisibleText(text):
                    self._text.append(text)
                    self._length += len(text)
                    if not self._calls:
                        self._given_lengths.append(self._length)
                case CallOpened(_, identifier, name):
                    function = {"name": name, "arguments": ""}
                    self._calls.append({"id": identifier, "type": "function", "function": function})
                case CallArguments(index, fragment):
                    self._calls[index]["function"]["arguments"] += fragment
        return parts
