"""What a DFlash drafter knows of a conversation, and the target's hidden states on the way to it.

For every token one vector is kept (`layers.drafters.dflash`), and keys and values that each of the drafter's
layers made of it. Snapshots hold the vectors alone, which are a few times smaller; keys and values are made of
them anew.
"""

import mlx.core as mx

from mlx_model.state.kv import KVBuffer

_PART = "vectors"


class WatchedLayers:
    """The outputs of some of the target's layers for its last block: the model adds them, the drafter takes
    them. `layers`: from 0 on."""

    def __init__(self, layers: tuple[int, ...]) -> None:
        self.layers = layers
        self._outputs: dict[int, mx.array] = {}

    def see(self, layer: int, output: mx.array) -> None:
        """A layer gave `output` [1, n, hidden]."""
        if layer in self.layers:
            self._outputs[layer] = output

    def take(self, tokens: int) -> mx.array:
        """The outputs for the first `tokens` of the last block, side by side [1, tokens, layers · hidden]."""
        outputs, self._outputs = self._outputs, {}
        return mx.concatenate([outputs[layer][:, :tokens] for layer in self.layers], axis=-1)


class DraftContext:
    """The vectors of tokens `first` to `length`, the newest of which may still be features that wait for the
    drafter. `drafter` is whose they are; `kv`, which the drafter fills, may lag behind the vectors."""

    def __init__(self, drafter: str, first: int, vectors: KVBuffer | None = None) -> None:
        self.drafter, self.first = drafter, first
        self._vectors = KVBuffer(1, 0, mx.float32) if vectors is None else vectors
        self.kv: list[KVBuffer] = []
        self._features: list[mx.array] = []

    @property
    def length(self) -> int:
        """The tokens that the conversation has, as far as is known here."""
        return self.first + self._vectors.length + self.gathered

    @property
    def gathered(self) -> int:
        """How many tokens' features wait for the drafter."""
        return sum(features.shape[1] for features in self._features)

    def gather(self, features: mx.array) -> None:
        """Adds the features [1, n, layers · hidden] of the next tokens."""
        self._features.append(features)

    def take(self) -> mx.array:
        """Takes the gathered features out [1, n, layers · hidden]; the caller adds vectors for them."""
        features, self._features = self._features, []
        return mx.concatenate(features, axis=1)

    def add(self, vectors: mx.array) -> None:
        """Appends vectors [1, n, hidden]."""
        self._vectors.extend({_PART: vectors[:, None]})

    def without_keys(self) -> mx.array | None:
        """The vectors [1, n, hidden] of the tokens that `kv` lacks; None where there are none."""
        known = self.kv[0].length
        if known == self._vectors.length:
            return None
        return self._vectors.slice(known, self._vectors.length)[_PART][:, 0]

    def roll_back(self, length: int) -> None:
        """Drops everything after `length` tokens."""
        if length >= self.length:
            return
        kept = max(0, length - self.first)
        while self._features and self._vectors.length + self.gathered > kept:
            last = self._features.pop()
            rest = kept - self._vectors.length - self.gathered
            if rest > 0:
                self._features.append(last[:, :rest])
        for buffer in (self._vectors, *self.kv):
            buffer.truncate(min(kept, buffer.length))
        self.first = min(self.first, length)

    def segment(self, start: int, stop: int) -> mx.array | None:
        """The vectors of tokens [start, stop), [1, 1, stop - start, hidden]; None where not all are here."""
        if start < self.first or stop > self.first + self._vectors.length:
            return None
        return self._vectors.slice(start - self.first, stop - self.first)[_PART]

    def arrays(self) -> list[mx.array]:
        """The arrays that have to be evaluated for the context to be up to date."""
        return [array for buffer in (self._vectors, *self.kv) for array in buffer.arrays()]


def restored_context(drafter: str, first: int, parts: list[mx.array], room: int) -> DraftContext:
    """The context of consecutive vectors [1, 1, n, hidden], the first at token `first`; `room`: for how many
    tokens."""
    vectors = KVBuffer(1, parts[0].shape[-1], parts[0].dtype)
    vectors.reserve(room)
    for part in parts:
        vectors.extend({_PART: part})
    return DraftContext(drafter, first, vectors)
