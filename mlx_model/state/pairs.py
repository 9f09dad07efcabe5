"""The MTP layer's cache of a conversation: keys and values of pairs (token, hidden state before it).

The layer lags behind the model: pairs are collected until drafts are wanted or the state is stored, and then
run through the layer in one pass. A pair has the position of its token; the first token has no pair. Tokens
that the layer skipped leave a gap: older entries keep positions shifted right (RoPE is relative), and such a
cache is never snapshotted.
"""

from collections import deque

import mlx.core as mx

from mlx_model.state.kv import KVBuffer

_ENDS = 48
"""Blocks whose last hidden state is kept, so that a rollback finds it: SequenceState rolls back over at most
ROLLBACK_POINTS * _POINT_EVERY = 36 tokens, and a block has at least one."""


class PairMemory:
    """The pairs of tokens `first` to `length`: the older ones in `kv`, the newer ones collected."""

    def __init__(self, kv: KVBuffer, length: int, hidden: mx.array | None = None) -> None:
        """The pairs in `kv`, perhaps none, of a state that has seen `length` tokens; `hidden` [1, 1, hidden] is
        the hidden state of the last token, None where it is not known."""
        self.kv = kv
        self.length = length
        self.first = length - kv.length if kv.length or hidden is not None else length + 1
        self._has_gap = False
        self.ahead = False
        """Whether the pair of the token at `length` is here too, which the model has not processed yet."""
        self._tokens: list[mx.array] = []
        self._hidden: list[mx.array] = []
        self._ends: deque[tuple[int, mx.array]] = deque(maxlen=_ENDS)
        self._frozen_ends: tuple[tuple[int, mx.array], ...] = ()
        if hidden is not None:
            self._ends.append((length, hidden))

    @property
    def last(self) -> mx.array | None:
        """The hidden state [1, 1, hidden] of the last token; None where it is not known."""
        return self._ends[-1][1] if self._ends and self._ends[-1][0] == self.length else None

    @property
    def gathered(self) -> int:
        """How many collected pairs the layer has not processed."""
        return sum(tokens.size for tokens in self._tokens)

    def follow(self, tokens: mx.array, hidden: mx.array) -> None:
        """The model processed tokens [n] into hidden states [1, n, hidden]."""
        before, skipped = hidden[:, :-1], 1
        if self.last is not None and not self.ahead:
            before, skipped = mx.concatenate([self.last, before], axis=1), 0
        if tokens.size > skipped:
            self._gather(tokens[skipped:], before)
        self.ahead = False
        self.length += tokens.size
        # A copy: a view would keep the states of the whole block alive.
        self._ends.append((self.length, mx.contiguous(hidden[:, -1:])))

    def skip(self, tokens: int) -> None:
        """The model processed `tokens` tokens that the layer will not see: they leave a gap."""
        if self.ahead:
            self.kv.truncate(self.kv.length - 1)
            self.ahead = False
        self._has_gap = self._has_gap or bool(self.kv.length or self._tokens)
        # The token after the gap has no pair either: the hidden state before it is missing.
        self.first += tokens + (self.last is not None)
        self.length += tokens

    def look_ahead(self, token: int) -> None:
        """Collects the pair of the next token, before the model has processed that token."""
        assert self.last is not None and not self.ahead, "one proposal for each newest token"
        self._gather(mx.array([token]), self.last)
        self.ahead = True

    def take(self) -> tuple[mx.array, mx.array]:
        """Takes the collected pairs out, tokens [n] and hidden states [1, n, hidden]; the caller runs them
        through the layer, which appends to `kv`."""
        tokens, hidden = mx.concatenate(self._tokens), mx.concatenate(self._hidden, axis=1)
        self._tokens, self._hidden = [], []
        return tokens, hidden

    def freeze(self) -> None:
        """Keeps the present rollback points, however many tokens follow."""
        self._frozen_ends = tuple(self._ends)

    def roll_back(self, length: int) -> None:
        """Drops everything after `length` tokens. Where the hidden state there is not known any more, the cache
        is emptied."""
        if length >= self.length:
            return
        kept = max(0, length - self.first)
        while self._tokens and self.kv.length + self.gathered > kept:
            rest = kept - self.kv.length - self.gathered + self._tokens[-1].size
            tokens, hidden = self._tokens.pop(), self._hidden.pop()
            if rest > 0:
                self._gather(tokens[:rest], hidden[:, :rest])
        self.kv.truncate(min(kept, self.kv.length))
        self.length, self.ahead = length, False
        while self._ends and self._ends[-1][0] > length:
            self._ends.pop()
        if self.last is None:
            self._ends.extend(end for end in self._frozen_ends if end[0] <= length)
        if self.last is None:
            self.kv.truncate(0)
            self._tokens, self._hidden, self.first, self._has_gap = [], [], length + 1, False

    def holds(self, start: int, stop: int) -> bool:
        """Whether `kv` has the pairs of all tokens [start, stop), token 0 aside."""
        return not self._has_gap and self.first <= max(start, 1) and stop <= self.first + self.kv.length

    def arrays(self) -> list[mx.array]:
        """The arrays that have to be evaluated for the cache to be up to date."""
        return [*self.kv.arrays(), *(hidden for _, hidden in self._ends)]

    def _gather(self, tokens: mx.array, hidden: mx.array) -> None:
        self._tokens.append(tokens)
        self._hidden.append(hidden)
