"""The recurrent state of one DeltaNet layer: the convolution's last inputs, and a matrix for every head."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import mlx.core as mx

Update = Callable[[mx.array, mx.array, mx.array, mx.array, mx.array, mx.array], Sequence[mx.array]]
"""mx.fast.gated_delta_update, or a function that computes the same: queries, keys, values, decay, beta and the
matrix before a block → the block's outputs and the matrix after it."""

_LONG_BLOCK = 64
"""Tokens of a block from which on what it is computed from is worth freeing early."""


@dataclass(frozen=True, slots=True)
class DeltaBlock:
    """The inputs of the recurrence for a block of tokens, enough to run it again without any projection.

    mixed [1, tokens, channels], what the convolution is given, in the dtype of activations; k [1, tokens, Hk,
    Dk], v [1, tokens, Hv, Dv], decay and beta [1, tokens, Hv], all float32.
    """

    mixed: mx.array
    k: mx.array
    v: mx.array
    decay: mx.array
    beta: mx.array

    def arrays(self) -> list[mx.array]:
        """Its parts, in their order."""
        return [self.mixed, self.k, self.v, self.decay, self.beta]

    def token(self, index: int) -> "DeltaBlock":
        """One token of the block, as a block."""
        at = slice(index, index + 1)
        return DeltaBlock(self.mixed[:, at], self.k[:, at], self.v[:, at], self.decay[:, at], self.beta[:, at])


class DeltaState:
    """The convolution's last inputs, `window` [1, kernel - 1, channels] in the dtype of activations, and
    `matrix` [1, Hv, Dv, Dk] in float32, both zeros at the start."""

    def __init__(self, window: mx.array | list[mx.array], matrix: mx.array) -> None:
        """`window` as one array, or token by token."""
        self.inputs = window if isinstance(window, list) else _by_token(window)
        self.matrix = matrix
        self.length = 0
        self._recorded: tuple[DeltaBlock, list[mx.array], mx.array] | None = None
        self._update: Update = mx.fast.gated_delta_update
        self.recording = False

    @property
    def window(self) -> mx.array:
        """The last inputs as one array, oldest first."""
        return mx.concatenate(self.inputs, axis=1)

    @window.setter
    def window(self, window: mx.array) -> None:
        # Token by token, so that a step neither joins nor copies them.
        self.inputs = _by_token(window)

    def arrays(self) -> list[mx.array]:
        """The arrays that have to be evaluated for the state to be up to date."""
        return [*self.inputs, self.matrix]

    def advance(self, q: mx.array, block: DeltaBlock, update: Update) -> mx.array:
        """Runs the recurrence over a block by `update`; q [1, tokens, Hk, Dk] → [1, tokens, Hv, Dv]."""
        self._recorded = (block, self.inputs, self.matrix) if self.recording else None
        self._update = update
        y, self.matrix = update(q, block.k, block.v, block.decay, block.beta, self.matrix)
        self.length += block.k.shape[1]
        self.inputs = _followed_by(self.inputs, block.mixed)
        if block.k.shape[1] >= _LONG_BLOCK:
            # The state first: until it is computed, what it is computed from is held, in every layer of a pass.
            (y,) = mx.depends([y], self.arrays())
        return y

    def follow(self, mixed: mx.array, matrix: mx.array) -> None:
        """Takes in tokens whose recurrence was computed elsewhere: their convolution's inputs [1, tokens,
        channels] and the matrix after them. They cannot be cut back."""
        self._recorded = None
        self.matrix = matrix
        self.length += mixed.shape[1]
        self.inputs = _followed_by(self.inputs, mixed)

    @property
    def recorded(self) -> DeltaBlock | None:
        """The last block, where it was recorded."""
        return None if self._recorded is None else self._recorded[0]

    def arrive(
        self,
        tokens: int,
        inputs: list[mx.array],
        matrix: mx.array,
        block: DeltaBlock | None,
        update: Update,
    ) -> None:
        """Takes in a block of `tokens` tokens that was computed elsewhere, by `update`: the last inputs and the
        matrix after it, and what `recorded` is to be."""
        self._recorded = None if block is None else (block, self.inputs, self.matrix)
        self._update = update
        self.inputs, self.matrix = inputs, matrix
        self.length += tokens

    def keep(self, tokens: int) -> None:
        """Cuts the recorded block back to its first `tokens` tokens, by running the recurrence again from
        before it."""
        assert self._recorded is not None, "nothing was recorded"
        block, inputs, before = self._recorded
        self._recorded = None
        self.length -= block.k.shape[1] - tokens
        if tokens == block.k.shape[1]:
            return
        self.inputs = _followed_by(inputs, block.mixed[:, :tokens]) if tokens else inputs
        self.matrix = before
        if tokens:
            k = block.k[:, :tokens]
            # The outputs are not wanted, so any queries will do.
            _, self.matrix = self._update(
                k, k, block.v[:, :tokens], block.decay[:, :tokens], block.beta[:, :tokens], before
            )


def _followed_by(inputs: list[mx.array], mixed: mx.array) -> list[mx.array]:
    """The last inputs after `mixed` [1, tokens, channels], as many as there were."""
    count = len(inputs)
    if mixed.shape[1] <= count:
        return [*inputs, *_by_token(mixed)][-count:]
    # A copy: a view would keep the whole block alive.
    return _by_token(mx.contiguous(mixed[:, -count:]))


def _by_token(inputs: mx.array) -> list[mx.array]:
    return [inputs[:, n : n + 1] for n in range(inputs.shape[1])]
