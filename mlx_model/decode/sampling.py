"""Choosing tokens from logits, and the exact distribution they are chosen from.

The order is that of transformers' generation: repetition penalty, temperature, top-k, top-p, min-p; each filter
works on the renormalized distribution that the one before it left, and none removes the most likely token.
Temperature 0 takes the most likely token after the penalties. OpenAI's logit bias is added before all that, and
OpenAI's two penalties are subtracted after the repetition penalty: the presence penalty from every token that
the reply has, the frequency penalty once for each time that it has it. (The repetition penalty applies to the
prompt's tokens too.) At a position behind drafts, these count as the reply's: drafting is exact with them all.

A draw is an argmax over logits with Gumbel noise (Gumbel 1954: the same as drawing from their softmax), and the
noise of each position and token is settled by the seed alone. So a reply depends on logits and seed, not on how
many positions were computed at once or on what was drafted for them (arXiv 2408.07978).
"""

import secrets
from collections.abc import Sequence

import mlx.core as mx

from mlx_model.decode.request import SamplingParameters

_REMOVED = -float("inf")
"""Logit of a token that cannot be drawn."""
# Colder than this, logits would overflow; what comes is long since certain.
_COLDEST = 1e-30
# Keys are split off in blocks: one call for so many positions.
_KEYS = 1024


class Sampler:
    """Chooses tokens one after another. Nothing here waits for the device: tokens stay arrays until read.

    `history` are the tokens so far, which the repetition penalty (arXiv 1909.05858) applies to. Equal seeds and
    logits give equal tokens.
    """

    def __init__(self, parameters: SamplingParameters, vocabulary: int, history: Sequence[int] = ()) -> None:
        self.parameters = parameters
        self._temperature = max(parameters.temperature, _COLDEST)
        seed = secrets.randbits(64) if parameters.seed is None else parameters.seed
        self._key = mx.random.key(seed % 2**64)
        self._keys = mx.zeros((0, 2), dtype=mx.uint32)
        self._seen: mx.array | None = None
        if parameters.repetition_penalty != 1.0:
            self._seen = mx.zeros(vocabulary, dtype=mx.bool_)
            if history:
                self._seen[mx.array(list(history))] = True
        self._counts: mx.array | None = None
        if parameters.presence_penalty or parameters.frequency_penalty:
            self._counts = mx.zeros(vocabulary, dtype=mx.int32)
        self._bias: mx.array | None = None
        if parameters.logit_bias:
            self._bias = mx.zeros(vocabulary)
            for token, bias in parameters.logit_bias:
                self._bias[token] = bias

    def __call__(self, logits: mx.array) -> mx.array:
        """One token [1] from logits [vocabulary]; it counts as taken from now on."""
        token = self.choose(logits[None])
        self.take(token)
        return token

    def choose(
        self,
        logits: mx.array,
        drafted: mx.array | None = None,
        first: int = 0,
        allowed: mx.array | None = None,
    ) -> mx.array:
        """The tokens [n] that would be chosen from logits [n, vocabulary] of n positions in a row, if the
        drafts `drafted` [m] were right; nothing is taken yet. The first of the positions lies `first` after the
        next one to be taken; for each, the drafts in front of it count as history, so n + first is at most
        m + 1. Only tokens that are `allowed` [n, vocabulary] are chosen; there must be one at each position."""
        logits = self._penalized(logits.astype(mx.float32), drafted, first)
        if allowed is not None:
            logits = mx.where(allowed, logits, _REMOVED)
        if self.parameters.temperature == 0:
            return mx.argmax(logits, axis=-1)
        candidates, values = _filtered(logits / self._temperature, self.parameters)
        noise = self._noise(first, *logits.shape)
        if candidates is None:
            return mx.argmax(values + noise, axis=-1)
        best = mx.argmax(values + mx.take_along_axis(noise, candidates, axis=-1), axis=-1, keepdims=True)
        return mx.take_along_axis(candidates, best, axis=-1)[:, 0]

    def take(self, tokens: mx.array) -> None:
        """Makes these [n] the next n tokens of the sequence."""
        if self.parameters.temperature > 0:
            self._split_keys(tokens.size)
            self._keys = self._keys[tokens.size :]
        if self._seen is not None:
            self._seen[tokens] = True
        if self._counts is not None:
            self._counts = self._counts.at[tokens].add(1)

    def distributions(self, logits: mx.array, drafted: mx.array | None = None, first: int = 0) -> mx.array:
        """The probabilities [n, vocabulary] in float32 that `choose` with these arguments draws from."""
        logits = self._penalized(logits.astype(mx.float32), drafted, first)
        if self.parameters.temperature == 0:
            best = mx.argmax(logits, axis=-1, keepdims=True)
            return (mx.arange(logits.shape[-1]) == best).astype(mx.float32)
        candidates, values = _filtered(logits / self._temperature, self.parameters)
        probabilities = mx.softmax(values, axis=-1)
        if candidates is None:
            return probabilities
        return mx.put_along_axis(mx.zeros(logits.shape), candidates, probabilities, axis=-1)

    def _penalized(self, logits: mx.array, drafted: mx.array | None, first: int) -> mx.array:
        if self._bias is not None:
            logits = logits + self._bias
        if self._seen is None and self._counts is None:
            return logits
        drafts: mx.array | None = None
        if drafted is not None and drafted.size:
            drafts = _counts_before(drafted, logits.shape[-1])[first : first + logits.shape[0]]
        if self._seen is not None:
            seen = self._seen if drafts is None else self._seen | (drafts > 0)
            penalty = self.parameters.repetition_penalty
            logits = mx.where(seen, mx.where(logits > 0, logits / penalty, logits * penalty), logits)
        if self._counts is not None:
            counts = self._counts if drafts is None else self._counts + drafts
            logits = logits - self.parameters.presence_penalty * (counts > 0)
            logits = logits - self.parameters.frequency_penalty * counts
        return logits

    def _noise(self, first: int, positions: int, vocabulary: int) -> mx.array:
        """Of positions that begin `first` after the next one."""
        last = first + positions
        self._split_keys(last)
        noise: mx.array = mx.vmap(lambda key: mx.random.gumbel((vocabulary,), key=key))(self._keys[first:last])
        return noise

    def _split_keys(self, positions: int) -> None:
        """Has the keys of so many positions ready. Always in equal blocks, so that they depend on the seed
        alone."""
        blocks = [self._keys]
        for _ in range(self._keys.shape[0], positions, _KEYS):
            keys = mx.random.split(self._key, _KEYS + 1)
            self._key = keys[0]
            blocks.append(keys[1:])
        self._keys = mx.concatenate(blocks)


def _counts_before(drafted: mx.array, vocabulary: int) -> mx.array:
    """How often each token is among the drafts [m] before each position, and among all: [m + 1, vocabulary]."""
    named = (mx.arange(vocabulary) == drafted[:, None]).astype(mx.int32)
    return mx.concatenate([mx.zeros((1, vocabulary), dtype=mx.int32), mx.cumsum(named, axis=0)], axis=0)


def _filtered(logits: mx.array, parameters: SamplingParameters) -> tuple[mx.array | None, mx.array]:
    """Candidate tokens [n, candidates] and their logits, those removed at minus infinity. No candidates named:
    all, in order."""
    size = logits.shape[-1]
    candidates: mx.array | None = None
    if 0 < parameters.top_k < size:
        candidates = mx.argpartition(logits, kth=-parameters.top_k, axis=-1)[..., -parameters.top_k :]
        logits = mx.take_along_axis(logits, candidates, axis=-1)
    if parameters.top_p < 1.0:
        order = mx.argsort(-logits, axis=-1)
        logits = mx.take_along_axis(logits, order, axis=-1)
        candidates = order if candidates is None else mx.take_along_axis(candidates, order, axis=-1)
        probabilities = mx.softmax(logits, axis=-1)
        # A token stays while those before it have not yet reached top_p; the first always does.
        before = mx.cumsum(probabilities, axis=-1) - probabilities
        kept = (before < parameters.top_p) | (mx.arange(logits.shape[-1]) == 0)
        logits = mx.where(kept, logits, _REMOVED)
    if parameters.min_p > 0.0:
        floor = logits.max(axis=-1, keepdims=True) + mx.log(mx.array(parameters.min_p))
        logits = mx.where(logits >= floor, logits, _REMOVED)
    return candidates, logits
