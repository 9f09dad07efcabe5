"""What the MTP layer remembers of a conversation: keys and values of pairs (token, hidden state before it).

The layer lags behind the model: pairs gather until drafts are wanted, or the state is kept, and are then taken
in at once. A pair is named by the position of its token. The first token has nothing before it. Where the model
ran on without the layer, pairs are missing: what is before such a gap counts as if it stood that much later,
and is not kept in snapshots.
"""

from collections import deque

import mlx.core as mx

from mlx_model.state.kv import KVBuffer

# Blocks whose last hidden state is kept: a state is taken back some tokens at most, see SequenceState.
_ENDS = 48


class PairMemory:
    """Pairs of the tokens `first` to `length`, the first of them in `kv`, the rest gathered."""

    def __init__(self, kv: KVBuffer, length: int, hidden: mx.array | None = None) -> None:
        """Nothing yet, after `length` tokens, or what `kv` holds of them; `hidden` [1, 1, hidden] is the state
        of the last one, None where it is not known."""
        self.kv = kv
        self.length = length
        self.first = length - kv.length if kv.length or hidden is not None else length + 1
        self._has_gap = False
        self.ahead = False
        """Whether `kv` holds the pair of the token at `length` too, which the model has yet to take in."""
        self._tokens: list[mx.array] = []
        self._hidden: list[mx.array] = []
        self._ends: deque[tuple[int, mx.array]] = deque(maxlen=_ENDS)
        self._held: tuple[tuple[int, mx.array], ...] = ()
        if hidden is not None:
            self._ends.append((length, hidden))

    @property
    def last(self) -> mx.array | None:
        """The hidden state [1, 1, hidden] of the last token."""
        return self._ends[-1][1] if self._ends and self._ends[-1][0] == self.length else None

    @property
    def gathered(self) -> int:
        """Pairs to be taken in."""
        return sum(tokens.size for tokens in self._tokens)

    def follow(self, tokens: mx.array, hidden: mx.array) -> None:
        """The model took in tokens [n] and made the hidden states [1, n, hidden] of them."""
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
        """The model took in so many tokens that the layer will not see."""
        if self.ahead:
            self.kv.truncate(self.kv.length - 1)
            self.ahead = False
        self._has_gap = self._has_gap or bool(self.kv.length or self._tokens)
        # With the hidden state before it, the pair of the token after the gap is gone.
        self.first += tokens + (self.last is not None)
        self.length += tokens

    def look_ahead(self, token: int) -> None:
        """The next token is known, and its pair is wanted now."""
        assert self.last is not None and not self.ahead, "one proposal for each newest token"
        self._gather(mx.array([token]), self.last)
        self.ahead = True

    def take(self) -> tuple[mx.array, mx.array]:
        """What has gathered, tokens [n] and hidden states [1, n, hidden], for the layer to put into `kv`."""
        tokens, hidden = mx.concatenate(self._tokens), mx.concatenate(self._hidden, axis=1)
        self._tokens, self._hidden = [], []
        return tokens, hidden

    def hold(self) -> None:
        """It may be taken back to where it could be now, however far it goes on."""
        self._held = tuple(self._ends)

    def cut(self, length: int) -> None:
        """The state was taken back. Where the hidden state there is not known any more, the layer begins
        anew."""
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
            self._ends.extend(end for end in self._held if end[0] <= length)
        if self.last is None:
            self.kv.truncate(0)
            self._tokens, self._hidden, self.first, self._has_gap = [], [], length + 1, False

    def holds(self, start: int, stop: int) -> bool:
        """Whether `kv` has the pairs of all tokens [start, stop), but for the very first."""
        return not self._has_gap and self.first <= max(start, 1) and stop <= self.first + self.kv.length

    def arrays(self) -> list[mx.array]:
        """What has to be evaluated for this to be up to date."""
        return [*self.kv.arrays(), *(hidden for _, hidden in self._ends)]

    def _gather(self, tokens: mx.array, hidden: mx.array) -> None:
        self._tokens.append(tokens)
        self._hidden.append(hidden)
