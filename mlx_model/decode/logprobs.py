"""What the model thought of the tokens of a reply: log-probabilities, computed on the device beside the choice.

They are those of the model's own distribution, the softmax of its logits at temperature 1: before biases,
penalties, temperature and filters, and before a grammar removes what does not fit. So they say the same whether
a token was drafted or not, and a token that the grammar forced may have a low one.
"""

import math
from dataclasses import dataclass
from typing import cast

import mlx.core as mx

from mlx_model.decode.request import TokenLogprobs


@dataclass(frozen=True, slots=True)
class Chances:
    """Of tokens [n] at n positions in a row: their log-probabilities [n], and the `top` most likely tokens and
    theirs [n, top], in no order."""

    chosen: mx.array
    tokens: mx.array
    likely: mx.array

    def at(self, position: int) -> TokenLogprobs:
        """Those of one position; waits for the device."""
        likely = cast(list[float], self.likely[position].tolist())
        tokens = cast(list[int], self.tokens[position].tolist())
        ranked = sorted(zip(tokens, likely, strict=True), key=lambda item: (-item[1], item[0]))
        return TokenLogprobs(cast(float, self.chosen[position].item()), tuple(ranked))

    def arrays(self) -> tuple[mx.array, mx.array, mx.array]:
        """All of them, to be evaluated together."""
        return self.chosen, self.tokens, self.likely

    def last(self) -> "Chances":
        """Those of the last position alone."""
        return Chances(self.chosen[-1:], self.tokens[-1:], self.likely[-1:])


def chances(logits: mx.array, tokens: mx.array, top: int) -> Chances:
    """The chances of tokens [n] under logits [n, vocabulary]; nothing is evaluated yet."""
    logits = logits.astype(mx.float32)
    logprobs = logits - mx.logsumexp(logits, axis=-1, keepdims=True)
    chosen = mx.take_along_axis(logprobs, tokens[:, None], axis=-1)[:, 0]
    top = min(top, logits.shape[-1])
    if not top:
        nothing = mx.zeros((logits.shape[0], 0))
        return Chances(chosen, nothing.astype(mx.int32), nothing)
    best = mx.argpartition(logprobs, kth=-top, axis=-1)[..., -top:]
    return Chances(chosen, best, mx.take_along_axis(logprobs, best, axis=-1))


def margin(token: int, logprobs: TokenLogprobs) -> float:
    """How much more probable a token was than the most likely other one, -1 to 1; `logprobs` must have the two
    most likely ones."""
    others = (logprob for other, logprob in logprobs.top if other != token)
    return math.exp(logprobs.logprob) - math.exp(next(others, -math.inf))
