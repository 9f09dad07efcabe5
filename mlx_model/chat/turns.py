"""Encoding a rendered conversation turn by turn, with the model's own turns as the tokens that it generated."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from mlx_model.chat.remembered import RememberedReplies
from mlx_model.chat.thoughts import OPENING
from mlx_model.chat.tokenizer import Tokenizer
from mlx_model.state.prefix_state import PrefixDigest

_CACHED_CHARACTERS = 16_000_000
"""Characters of encoded turns that are kept: some conversations of 262,144 tokens."""


class TurnEncoder:
    """Encodes rendered conversations. A turn ends with a stop token. A tokenizer encodes the text between two
    control tokens by itself, so encoding turn by turn gives the tokens of the whole text.

    An agent sends the same turns with each request, so the turns encoded last are cached. Safe from any thread.
    """

    def __init__(self, tokenizer: Tokenizer, replies: RememberedReplies) -> None:
        self._tokenizer = tokenizer
        self._replies = replies
        self._lock = threading.Lock()
        self._encoded: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._characters = 0

    def encode(self, text: str, mark: str, messages: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
        """The tokens of `text`, which the template rendered from `messages` and which ends with the opening of
        a reply; `mark` as in `Tokenizer.encode_marked`.

        The model's own turns are those that begin with that opening, up to a thought that it opens. Each one
        that is remembered after exactly the tokens before it is encoded as it was generated; one that was cut
        short is closed as the template closes it.
        """
        with self._lock:
            return self._encode_turns(text, mark, messages)

    def _encode_turns(self, text: str, mark: str, messages: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
        turns, opening = self._split(text)
        own = [message for message in messages if message.get("role") == "assistant"]
        # A past reply may be without the thought that the template opens.
        begins = opening.partition(OPENING)[0]
        is_own = [bool(begins) and turn.startswith(begins) for turn, _ in turns]
        # Where the template leaves a reply out, or writes a past reply's opening differently, none is looked
        # up.
        told = iter(own if sum(is_own) == len(own) else ())
        prefix = PrefixDigest()
        tokens: list[int] = []
        for (turn, stop), spoken in zip(turns, is_own, strict=True):
            message = next(told, None) if spoken else None
            is_whole = turn.startswith(opening)
            encoded = message and is_whole and self._as_generated(prefix, opening, mark, message, stop)
            encoded = encoded or self._encode(turn, mark)
            prefix.extend(encoded)
            tokens += encoded
        return (*tokens, *self._encode(opening, mark))

    def _as_generated(
        self, prefix: PrefixDigest, opening: str, mark: str, message: Mapping[str, Any], stop: int
    ) -> tuple[int, ...] | None:
        """The turn of a reply that is remembered after `prefix`; None where none is."""
        begun = self._encode(opening, mark)
        reply = self._replies.find(prefix.digest(begun), message)
        if reply is None:
            return None
        closed = bool(reply) and reply[-1] in self._tokenizer.stop_tokens
        return (*begun, *reply) if closed else (*begun, *reply, stop)

    def _split(self, text: str) -> tuple[list[tuple[str, int]], str]:
        """Each closed turn with its stop token, and the text after the last turn."""
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
