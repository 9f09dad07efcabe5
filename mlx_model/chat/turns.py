"""A rendered conversation encoded turn by turn, the model's own turns as the tokens they were generated as."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from mlx_model.chat.remembered import RememberedReplies
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.state.prefix_state import PrefixDigest

_CACHED_CHARACTERS = 16_000_000


class TurnEncoder:
    """Encodes rendered conversations. A turn is what ends with a stop token; as a tokenizer encodes what lies
    between two control tokens by itself, encoding turn by turn is encoding the whole.

    An agent sends the same turns again and again, so those encoded last are kept. Safe from any thread.
    """

    def __init__(self, tokenizer: Tokenizer, replies: RememberedReplies) -> None:
        self._tokenizer = tokenizer
        self._replies = replies
        self._lock = threading.Lock()
        self._encoded: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._characters = 0

    def encode(self, text: str, mark: str, messages: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
        """Tokens of `text`, which the template rendered of `messages` and ended with the opening of a reply;
        `mark` as in `Tokenizer.encode_marked`.

        The model's own turns are those that begin with that opening. Each that is remembered after just the
        tokens before it is taken as it was generated; a remembered reply that was cut short is closed as the
        template closes it.
        """
        with self._lock:
            return self._encode_turns(text, mark, messages)

    def _encode_turns(self, text: str, mark: str, messages: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
        turns, opening = self._split(text)
        own = [message for message in messages if message.get("role") == "assistant"]
        is_own = [bool(opening) and turn.startswith(opening) for turn, _ in turns]
        # A template that leaves a reply out, or opens one otherwise than it writes it, is encoded plainly.
        told = iter(own if sum(is_own) == len(own) else ())
        prefix = PrefixDigest()
        tokens: list[int] = []
        for (turn, stop), spoken in zip(turns, is_own, strict=True):
            message = next(told, None) if spoken else None
            encoded = message and self._as_generated(prefix, opening, mark, message, stop)
            encoded = encoded or self._encode(turn, mark)
            prefix.extend(encoded)
            tokens += encoded
        return (*tokens, *self._encode(opening, mark))

    def _as_generated(
        self, prefix: PrefixDigest, opening: str, mark: str, message: Mapping[str, Any], stop: int
    ) -> tuple[int, ...] | None:
        """The turn of a reply that is remembered after `prefix`."""
        begun = self._encode(opening, mark)
        reply = self._replies.find(prefix.digest(begun), message)
        if reply is None:
            return None
        closed = bool(reply) and reply[-1] in self._tokenizer.stop_tokens
        return (*begun, *reply) if closed else (*begun, *reply, stop)

    def _split(self, text: str) -> tuple[list[tuple[str, int]], str]:
        """Each closed turn with its stop token, and what follows the last."""
        ids, stops = self._tokenizer.control_tokens, self._tokenizer.stop_tokens
        turns: list[tuple[str, int]] = []
        start = 0
        for match in self._tokenizer.control_pattern.finditer(text):
            token = ids[match.group(match.lastindex or 0)]
            if token in stops:
                turns.append((text[start : match.end()], token))
                start = match.end()
        return turns, text[start:]

    def _encode(self, text: str, mark: str) -> tuple[int, ...]:
        known = self._encoded.get(text)
        if known is not None:
            self._encoded.move_to_end(text)
            return known
        tokens = tuple(self._tokenizer.encode_marked(text, mark))
        if mark not in text:
            self._encoded[text] = tokens
            self._characters += len(text)
            while self._characters > _CACHED_CHARACTERS:
                self._characters -= len(self._encoded.popitem(last=False)[0])
        return tokens
