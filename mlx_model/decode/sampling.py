"""Choosing a token from logits, and the exact distribution it is chosen from.

The order is that of transformers' generation: repetition penalty, temperature, top-k, top-p, min-p; each filter
works on the renormalized distribution that the one before it left, and none removes the most likely token.
Temperature 0 takes the most likely token after the penalty.
"""

import secrets
from collections.abc import Sequence

import mlx.core as mx

from mlx_model.decode.request import SamplingParameters

_REMOVED = -float("inf")


class Sampler:
    """Chooses tokens one after another. Nothing here waits for the device: tokens stay arrays until read.

    `history` are the tokens so far, which the repetition penalty (arXiv 1909.05858) applies to. Equal seeds and
    logits give equal tokens.
    """

    def __init__(self, parameters: SamplingParameters, vocabulary: int, history: Sequence[int] = ()) -> None:
        self.parameters = parameters
        seed = secrets.randbits(64) if parameters.seed is None else parameters.seed
        self._key = mx.random.key(seed % 2**64)
        self._seen: mx.array | None = None
        if parameters.repetition_penalty != 1.0:
            self._seen = mx.zeros(vocabulary, dtype=mx.bool_)
            if history:
                self._seen[mx.array(list(history))] = True

    def __call__(self, logits: mx.array) -> mx.array:
        """One token [1] from logits [vocabulary]; it counts as seen from now on."""
        logits = self._penalized(logits.astype(mx.float32))
        if self.parameters.temperature == 0:
            token = mx.argmax(logits, keepdims=True)
        else:
            candidates, values = _filtered(logits / self.parameters.temperature, self.parameters)
            self._key, key = mx.random.split(self._key)
            choice = mx.random.categorical(values, key=key)
            token = choice[None] if candidates is None else candidates[choice][None]
        if self._seen is not None:
            self._seen[token] = True
        return token

    def distribution(self, logits: mx.array) -> mx.array:
        """The probabilities [vocabulary] in float32 that the next call with these logits would draw from."""
        logits = self._penalized(logits.astype(mx.float32))
        if self.parameters.temperature == 0:
            return (mx.arange(logits.size) == mx.argmax(logits)).astype(mx.float32)
        candidates, values = _filtered(logits / self.parameters.temperature, self.parameters)
        probabilities = mx.softmax(values, axis=-1)
        if candidates is None:
            return probabilities
        spread = mx.zeros(logits.shape, dtype=mx.float32)
        spread[candidates] = probabilities
        return spread

    def _penalized(self, logits: mx.array) -> mx.array:
        if self._seen is None:
            return logits
        penalty = self.parameters.repetition_penalty
        return mx.where(self._seen, mx.where(logits > 0, logits / penalty, logits * penalty), logits)


def _filtered(logits: mx.array, parameters: SamplingParameters) -> tuple[mx.array | None, mx.array]:
    """Candidate tokens and their logits, those removed at minus infinity. No candidates named: all, in
    order."""
    size = logits.shape[-1]
    candidates: mx.array | None = None
    if 0 < parameters.top_k < size:
        candidates = mx.argpartition(logits, kth=-parameters.top_k)[-parameters.top_k :]
        logits = logits[candidates]
    if parameters.top_p < 1.0:
        order = mx.argsort(-logits)
        logits = logits[order]
        candidates = order if candidates is None else candidates[order]
        probabilities = mx.softmax(logits, axis=-1)
        # A token stays while those before it have not yet reached top_p; the first always does.
        before = mx.cumsum(probabilities) - probabilities
        kept = (before < parameters.top_p) | (mx.arange(logits.size) == 0)
        logits = mx.where(kept, logits, _REMOVED)
    if parameters.min_p > 0.0:
        logits = mx.where(logits >= logits.max() + mx.log(mx.array(parameters.min_p)), logits, _REMOVED)
    return candidates, logits
